"""What an order may ask for reaches training through the front door, is saved, and comes back on resuming."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest
from kelong_contract import codec, names, orders
from kelong_trainer.training import state

OPTIONS: dict[str, Any] = {"ema_decay": 0.9, "duration_discriminator": "On", "freeze": ("Decoder",)}


@pytest.fixture
def hearing(wavlm_folder: pathlib.Path) -> str:
    """A source with a small random WavLM."""
    return f"path:{wavlm_folder}"


def asking(bench, wavlm: str, **training: Any) -> str:
    order = bench.order(**{**OPTIONS, **training})
    sources = dataclasses.replace(order.model.sources, wavlm=wavlm)
    return codec.dumps(
        dataclasses.replace(order, model=orders.Model(preset="tiny", sources=sources), auditions=())
    ).decode()


def test_every_judge_and_the_mean_of_the_weights_are_trained_saved_and_resumed(bench, run_here, hearing: str) -> None:
    assert run_here(asking(bench, hearing, max_steps=1, interval_steps=1)) == names.EXIT_DONE
    assert {file.name for file in bench.manifest(1).files} == {*state.FILES, state.RAW_GENERATOR}
    told = bench.losses(1)[0].losses
    assert {"wavlm_feature", "wavlm_adversarial", "duration_adversarial"} <= set(told)
    assert set(bench.progress().gradient_norms) == {
        "generator",
        "discriminators",
        "wavlm_discriminator",
        "duration_discriminator",
    }

    assert run_here(asking(bench, hearing, max_steps=2, interval_steps=1)) == names.EXIT_DONE
    assert bench.progress().resumed_from == 1 and [line.step for line in bench.losses(2)] == [2]


def test_a_wavlm_that_is_not_there_is_refused_by_its_field(bench, run_here, tmp_path: pathlib.Path) -> None:
    assert run_here(asking(bench, f"path:{tmp_path}/nothing")) == names.EXIT_BAD_ORDER
    problem = bench.progress().problem
    assert problem is not None and problem.reason == "ModelSourceUnavailable"
    assert "model.sources.wavlm" in problem.message


def test_what_cannot_be_frozen_is_refused(bench, run_here) -> None:
    assert run_here(asking(bench, "none", freeze=["Style"])) == names.EXIT_BAD_ORDER
    problem = bench.progress().problem
    assert problem is not None and problem.reason == "BadOrder" and "training.freeze names Style" in problem.message


def test_without_options_a_checkpoint_holds_nothing_of_them(bench, run_here) -> None:
    document = codec.encode(bench.order(max_steps=1, interval_steps=1))
    assert run_here(json.dumps(document)) == names.EXIT_DONE
    assert {file.name for file in bench.manifest(1).files} == set(state.FILES)
