"""Files as the original writes them, and weights of ours at a reduced size, all with optimisers that have run."""

from __future__ import annotations

import json
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kelong_contract import names, orders, store
from kelong_speech import config
from kelong_trainer import __main__ as door
from kelong_trainer.interchange import conversion, original_files

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
ZH_CLAP = pathlib.Path(__file__).parents[1] / "model" / "fixtures" / "zh_clap_state_dict.json"
VOICE = orders.VoiceName(namespace="default", name="mei", uid="1")
SETTINGS = {"lr": 1.99e-4, "betas": [0.8, 0.99], "eps": 1e-9, "weight_decay": 0.01, "initial_lr": 2e-4, "fused": None}
LARGE = 100_000  # elements from which on a tensor of the full size is one repeated number, which takes no room


def _tensor(name: str, shape: list[int]) -> torch.Tensor:
    source = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if torch.Size(shape).numel() >= LARGE:
        return torch.rand((), generator=source).expand(shape)
    return 0.1 * torch.randn(shape, generator=source)


@pytest.fixture(scope="session")
def zh_clap() -> dict[str, Any]:
    return json.loads(ZH_CLAP.read_text())


@pytest.fixture(scope="session")
def multilingual() -> dict[str, Any]:
    return json.loads((FIXTURES / "v2_3_state_dict.json").read_text())


@pytest.fixture(scope="session")
def as_saved() -> Callable[..., original_files.LegacyFile]:
    """A network of a layout as the original saves it; `without` leaves tensors out, frozen ones have no moments."""

    def make(
        layout: dict[str, Any], network: str, *, fresh: bool = False, without: str = "\0", frozen: tuple[str, ...] = ()
    ) -> original_files.LegacyFile:
        model = {key: _tensor(key, shape) for key, shape, _ in layout[network] if not key.startswith(without)}
        if "enc_p.emo_vq._codebook.initted" in model:
            model["enc_p.emo_vq._codebook.initted"] = torch.ones(1)
        order = [key for key in layout["_meta"]["summary"][network]["param_order"] if not key.startswith(frozen)]
        order = [key for key in order if key in model]
        moments = {
            number: {
                "step": torch.tensor(8000.0),
                "exp_avg": _tensor(f"m {key}", list(model[key].shape)),
                "exp_avg_sq": _tensor(f"v {key}", list(model[key].shape)),
            }
            for number, key in enumerate(order)
        }
        optimiser = original_files.Optimiser(moments={} if fresh else moments, parameters=len(order), settings=SETTINGS)
        return original_files.LegacyFile(model=model, iteration=37, learning_rate=2e-4, optimiser=optimiser)

    return make


@pytest.fixture
def small_config() -> config.VoiceConfig:
    """Everything that the full size has, small."""
    speakers = tuple(
        config.Speaker(name=name, id=row, style=(0.25,) * 16) for row, name in enumerate(("Mei", "Khazix"))
    )
    return config.preset("tiny", speakers=speakers, text_feature_channels=24, style_channels=16)


@pytest.fixture
def new_weights() -> Callable[..., conversion.Weights]:
    """Random weights of ours, with moments, for the networks named."""

    def make(
        voice: config.VoiceConfig, networks: tuple[str, ...] = ("G", "D", "WD", "DUR"), *, step: int = 40
    ) -> conversion.Weights:
        made = {}
        for network in networks:
            heard = {"pre.weight_v": torch.zeros(64, 30, 1)} if network == "WD" else {}
            module = conversion.build(network, voice, heard)
            tensors = {key: _tensor(key, list(value.shape)) + 0 for key, value in module.state_dict().items()}
            moments = {
                key: {
                    "step": torch.tensor(40.0),
                    "exp_avg": _tensor(f"m {key}", list(value.shape)) + 0,
                    "exp_avg_sq": _tensor(f"v {key}", list(value.shape)) + 0,
                }
                for key, value in module.named_parameters()
            }
            if "enc_p.emo_vq._codebook.initted" in tensors:
                tensors["enc_p.emo_vq._codebook.initted"] = torch.ones(1)
            made[network] = conversion.Network(tensors=tensors, moments=moments)
        return conversion.Weights(config=voice, step=step, epoch=3, learning_rate=2e-4, networks=made)

    return make


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> store.FolderStore:
    """The store of this process' environment."""
    found = store.FolderStore(tmp_path / "store")
    monkeypatch.setenv(names.ENV_STORE_URL, found.root.as_uri())
    return found


@pytest.fixture
def run() -> Callable[..., int]:
    """The trainer's door in this process."""
    return lambda *arguments: door.main([str(argument) for argument in arguments])


@pytest.fixture
def same() -> Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], list[str]]:
    """The names whose tensors are not the same bit for bit, and those that only one has."""

    def compare(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
        both = [name for name in a if name in b]
        return [name for name in both if a[name].dtype != b[name].dtype or not torch.equal(a[name], b[name])] + sorted(
            a.keys() ^ b.keys()
        )

    return compare
