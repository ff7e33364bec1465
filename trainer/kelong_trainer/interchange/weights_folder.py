"""Weights as the files of a checkpoint in a folder: what an import leaves, what an export and a new voice begin with.

The files are those of `state`; here they are read and written without a network to train around them.
"""

from __future__ import annotations

import pathlib

import safetensors
import safetensors.torch
import torch
from kelong_contract import codec, layout, manifests
from kelong_contract import store as stores
from kelong_speech import config as voice_config
from torch import Tensor

from kelong_trainer import telemetry
from kelong_trainer.interchange import conversion
from kelong_trainer.interchange.original_files import Unusable
from kelong_trainer.training import state

# The original's letters and the names of the networks in our files.
OWNERS = {
    "G": "generator",
    "D": "discriminators",
    "WD": "wavlm_discriminator",
    "DUR": "duration_discriminator",
}
_KINDS = ("step", "exp_avg", "exp_avg_sq")


def is_ours(folder: pathlib.Path) -> bool:
    """Whether a folder holds our files (and not, or not only, the original's)."""
    return (folder / layout.GENERATOR_FILE).is_file()


def write(weights: conversion.Weights, origin: manifests.Origin, folder: pathlib.Path) -> tuple[str, ...]:
    """Write the files of a step; their names. What is missing among the weights is no file, or not in it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [layout.GENERATOR_FILE]
    safetensors.torch.save_file(_plain(weights.networks["G"].tensors), folder / layout.GENERATOR_FILE)
    judges: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    for network, part in weights.networks.items():
        if network != "G":
            judges |= {_prefix(network) + name: tensor for name, tensor in part.tensors.items()}
        for name, entry in part.moments.items():
            moments |= {f"{OWNERS[network]}.{kind}.{name}": tensor for kind, tensor in entry.items()}
    for file, tensors in ((state.DISCRIMINATORS, judges), (state.OPTIMISER, moments)):
        if tensors:
            safetensors.torch.save_file(_plain(tensors), folder / file)
            names.append(file)
    (folder / state.STATE).write_bytes(codec.dumps(_facts(weights, origin)))
    (folder / layout.CONFIG_FILE).write_bytes(weights.config.to_json())
    return (*names, state.STATE, layout.CONFIG_FILE)


def read(folder: pathlib.Path, *, raw: bool = False) -> conversion.Weights:
    """The weights in a folder of ours. Raises Unusable.

    Where a running mean of the weights was kept, the generator is that mean and begins with a fresh optimiser; with
    `raw` it is what training goes on from.
    """
    try:
        config = voice_config.from_json((folder / layout.CONFIG_FILE).read_bytes())
        facts = codec.loads(state.Facts, (folder / state.STATE).read_bytes(), state.STATE)
        averaged = (folder / state.RAW_GENERATOR).is_file()
        generator = _tensors(folder / (state.RAW_GENERATOR if averaged and raw else layout.GENERATOR_FILE))
        judges = _tensors(folder / state.DISCRIMINATORS)
        moments = _tensors(folder / state.OPTIMISER)
    except (OSError, safetensors.SafetensorError) as error:
        raise Unusable(f"{folder} does not hold the files of a step: {error}") from None
    except (voice_config.ConfigError, codec.Malformed) as error:
        raise Unusable(f"{folder}: {error}") from None
    if averaged and not raw:
        moments = {name: tensor for name, tensor in moments.items() if not name.startswith("generator.")}
    tensors = {"G": generator} | {network: _own(judges, network) for network in ("D", "WD", "DUR")}
    return conversion.Weights(
        config=config,
        step=facts.step,
        epoch=facts.epoch,
        learning_rate=facts.ordered_learning_rate or facts.learning_rate,
        networks={
            network: conversion.Network(
                tensors=held, moments=_moments(moments, OWNERS[network]), legacy=facts.legacy.get(network)
            )
            for network, held in tensors.items()
            if held
        },
    )


def check(folder: pathlib.Path, base: manifests.BaseModel) -> None:
    """Raise Unusable unless every file is the one that the folder's manifest describes."""
    for stored in base.files:
        path = folder / stored.name
        found = stores.digest_file(path) if path.is_file() else "none"
        if found != stored.sha256:
            raise Unusable(
                f"{stored.key} has the digest {found}, its manifest says {stored.sha256}: import the model again"
            )


def _facts(weights: conversion.Weights, origin: manifests.Origin) -> state.Facts:
    """State of a step that no training of ours has seen: it names no batches and no machine."""
    return state.Facts(
        step=weights.step,
        epoch=weights.epoch,
        batch=0,
        batch_frames=0,
        seed=0,
        learning_rate=state.learning_rate(weights.learning_rate, weights.epoch),
        ordered_learning_rate=weights.learning_rate,
        started_at=telemetry.now(),
        threads=0,
        device="",
        cpu="",
        torch_version=torch.__version__,
        origin=origin,
        legacy={network: part.legacy for network, part in weights.networks.items() if part.legacy is not None},
    )


def _prefix(network: str) -> str:
    """The judges of sound call their tensors `discriminators.…` already, as in the original's file."""
    return "" if network == "D" else f"{OWNERS[network]}."


def _own(judges: dict[str, Tensor], network: str) -> dict[str, Tensor]:
    if network == "D":
        return {name: tensor for name, tensor in judges.items() if name.startswith("discriminators.")}
    prefix = _prefix(network)
    return {name.removeprefix(prefix): tensor for name, tensor in judges.items() if name.startswith(prefix)}


def _moments(moments: dict[str, Tensor], owner: str) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for kind in _KINDS:
        prefix = f"{owner}.{kind}."
        for name, tensor in moments.items():
            if name.startswith(prefix):
                found.setdefault(name.removeprefix(prefix), {})[kind] = tensor
    return found


def _tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """The tensors of a file, none where the step has no such file; the generator must be there."""
    if not path.is_file() and path.name != layout.GENERATOR_FILE:
        return {}
    found: dict[str, Tensor] = safetensors.torch.load_file(path)
    return found


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
