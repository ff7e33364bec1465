"""The judges are the original's: names, shapes and numbers, recorded by running its modules."""

from __future__ import annotations

import json
import pathlib
import zlib

import numpy as np
import pytest
import torch
from kelong_trainer import discriminators

FIXTURES = pathlib.Path(__file__).parents[1] / "model" / "fixtures"


@pytest.fixture(scope="module")
def judges() -> discriminators.Discriminators:
    """The full-size judges, every tensor filled by the fixture's formula."""
    made = discriminators.Discriminators(discriminators.preset("zh-clap"))
    made.load_state_dict({name: _filled(name, tensor.shape) for name, tensor in made.state_dict().items()})
    return made


def _normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)


def _filled(name: str, shape: torch.Size) -> torch.Tensor:
    values, last = _normal(name, tuple(shape)), name.rpartition(".")[2]
    if last == "weight_g":
        values = 1 + 0.1 * values
    elif last == "bias":
        values = 0.05 * values
    else:
        values = values / np.sqrt(np.prod(shape[1:]))
    return torch.tensor(values, dtype=torch.float32)


def test_names_shapes_and_order_of_the_tensors_are_the_originals(judges: discriminators.Discriminators) -> None:
    recorded = json.loads((FIXTURES / "zh_clap_state_dict.json").read_text())["D"]
    assert [[name, list(tensor.shape)] for name, tensor in judges.state_dict().items()] == [
        [name, shape] for name, shape, _ in recorded
    ]


@pytest.mark.parametrize(("sound", "which"), [("wav", "mpd.real"), ("wav_hat", "mpd.fake")])
def test_scores_are_the_originals(judges: discriminators.Discriminators, sound: str, which: str) -> None:
    recorded = json.loads((FIXTURES / "zh_clap_golden_numeric.json").read_text())[which]
    with torch.no_grad():
        judgement = judges(torch.tensor(_normal(sound, (1, 1, 4096)) * 0.1, dtype=torch.float32))
    for score, expected in zip(judgement.scores, recorded, strict=True):
        # Ours holds a period's columns as rows; the original lays them out side by side.
        laid_out = score.squeeze(1).T.flatten()
        assert laid_out.numel() == expected["shape"][1]
        assert laid_out.abs().sum().item() == pytest.approx(expected["abs_sum"], rel=1e-4)
        assert laid_out[: len(expected["first"])].tolist() == pytest.approx(expected["first"], abs=2e-5)
        assert laid_out[-len(expected["last"]) :].tolist() == pytest.approx(expected["last"], abs=2e-5)
    assert [len(features) for features in judgement.features] == [7, 6, 6, 6, 6, 6]
