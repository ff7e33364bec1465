"""The generator of a step as files: `generator.safetensors` and `config.json`, loaded strictly.

The trainer publishes them under the names of `layout` and describes them in a manifest; `voice` loads them by it.
"""

from __future__ import annotations

import pathlib
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import overrides

from kelong_speech import config, synthesiser


class UnusableCheckpoint(Exception):
    """Files that do not hold the generator their configuration describes; the message lists every difference."""


def load_weights(path: pathlib.Path, voice_config: config.VoiceConfig) -> synthesiser.Synthesiser:
    """A generator of this configuration with exactly the tensors of the file. Raises `UnusableCheckpoint`."""
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UnusableCheckpoint(f"{path.name} cannot be read: {error}") from error
    with undrawn():
        generator = synthesiser.Synthesiser(voice_config)
    faults = differences(generator.state_dict(), tensors)
    if faults:
        raise UnusableCheckpoint(f"{path.name} does not hold a {voice_config.preset} generator: " + "; ".join(faults))
    generator.load_state_dict(tensors, assign=True)
    return generator


class undrawn(overrides.TorchFunctionMode):
    """Lets no layer draw its first weights: they are replaced at once, and torch's generator belongs to who trains.

    (The meta device would do as much, but imports torch._dynamo, which takes seconds.)
    """

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        given = named or {}
        draws = function in (torch.Tensor.normal_, torch.Tensor.uniform_)
        if draws or getattr(function, "__module__", None) == "torch.nn.init":
            return given["tensor"] if "tensor" in given else arguments[0]
        return function(*arguments, **given)


def differences(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> list[str]:
    """Every way in which two sets of tensors differ in names, shapes and types; empty when they fit.

    A part of the network of which nothing is there is one entry, `enc_q.* (103 tensors)`.
    """
    faults = []
    missing = _grouped([name for name in expected if name not in found], found)
    unexpected = _grouped([name for name in found if name not in expected], expected)
    if missing:
        faults.append(f"missing {', '.join(missing)}")
    if unexpected:
        faults.append(f"unexpected {', '.join(unexpected)}")
    for name in expected:
        if name in found and (expected[name].shape, expected[name].dtype) != (found[name].shape, found[name].dtype):
            faults.append(f"{name} is {_form(found[name])}, expected {_form(expected[name])}")
    return faults


def not_finite(tensors: dict[str, torch.Tensor]) -> list[str]:
    """The names of the tensors that hold infinity or what is not a number."""
    return [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]


def some(names: list[str]) -> str:
    """A few names of many, for a sentence."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _grouped(names: list[str], others: dict[str, torch.Tensor]) -> list[str]:
    """The names, those of a part (`enc_q`, `enc_p.emo_vq`) together where the others have nothing of it."""
    groups: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        heads = [".".join(parts[:depth]) + "." for depth in (1, 2) if depth < len(parts)]
        absent = [head for head in heads if not any(other.startswith(head) for other in others)]
        groups.setdefault(absent[0] if absent else name, []).append(name)
    return [f"{head}* ({len(held)} tensors)" if len(held) > 1 else held[0] for head, held in groups.items()]


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
