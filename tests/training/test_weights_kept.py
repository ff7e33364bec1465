"""What stays of a step: a mean of the weights, frozen parts as they were, and checkpoints that hold all of it."""

from __future__ import annotations

import copy
import pathlib
from typing import Any

import pytest
import safetensors.torch
import torch
from kelong_trainer.context import BadOrder
from kelong_trainer.training import state, step

FACTS: dict[str, Any] = {"epoch": 0, "batch": 1, "batch_frames": 400, "seed": 3, "learning_rate": 1e-3}
FACTS |= {"started_at": "", "threads": 1, "device": "cpu", "cpu": "any", "torch_version": "any"}


def train(workshop, at: state.TrainingState, steps: int, **options: Any) -> list[dict[str, float]]:
    batch = workshop.batch()
    return [step.run(at, batch, 1e-3, workshop.settings(**options)).losses for _ in range(steps)]


def saved(at: state.TrainingState, folder: pathlib.Path) -> tuple[str, ...]:
    return state.write(state.snapshot(at), state.Facts(step=at.step, **FACTS), at.config, folder)


def moved(network: torch.nn.Module, before: torch.nn.Module) -> set[str]:
    old = before.state_dict()
    return {name for name, tensor in network.state_dict().items() if not tensor.equal(old[name])}


@pytest.mark.parametrize(
    ("profile", "name", "still"),
    [
        ("fixed", "TextFeatures", ("enc_p.bert_pre_proj.", "enc_p.bert_proj.")),
        ("as-original", "TextFeatures", ("enc_p.bert_proj.",)),
        ("fixed", "Style", ("enc_p.in_feature_net.", "enc_p.emo_vq.", "enc_p.out_feature_net.")),
        ("as-original", "Style", ("enc_p.emo_vq.project_",)),
        ("fixed", "TextEncoder", ("enc_p.",)),
        ("fixed", "Decoder", ("dec.",)),
    ],
)
def test_what_is_frozen_does_not_move_and_has_no_moments_and_all_else_moves(workshop, profile, name, still) -> None:
    options = {"freeze": (name,), "profile": profile}
    at = workshop.state(**options)
    before = copy.deepcopy(at.generator)
    train(workshop, at, 1, **options)
    names = set(at.generator.state_dict())
    frozen = {key for key in names if key.startswith(still)}
    assert frozen and moved(at.generator, before) == names - frozen - {"enc_p.emo_vq._codebook.initted"}
    moments = state.snapshot(at).optimiser
    assert not [key for key in moments if key.startswith(tuple(f"generator.exp_avg.{part}" for part in still))]
    assert [key for key in moments if key.startswith("generator.exp_avg.")]


def test_a_part_that_the_model_lacks_cannot_be_frozen(plain_workshop) -> None:
    with pytest.raises(BadOrder, match=r"training\.freeze names Style, which this model does not have"):
        plain_workshop.state(freeze=("Style",))


def test_what_is_served_is_a_mean_that_lags_behind_what_is_trained(workshop) -> None:
    at = workshop.state(ema_decay=0.5)
    begun = {name: parameter.detach().clone() for name, parameter in at.generator.named_parameters()}
    expected = {name: tensor.clone() for name, tensor in begun.items()}
    for done in (1, 2):
        train(workshop, at, 1)
        decay = min(0.5, (1 + done) / (10 + done))
        for name, parameter in at.generator.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * parameter.detach()
    taken = state.snapshot(at)
    assert taken.raw_generator is not None
    for name, tensor in expected.items():
        assert torch.allclose(taken.generator[name], tensor, atol=1e-6), name
        assert taken.raw_generator[name].equal(at.generator.state_dict()[name]), name
    for name, tensor in at.generator.named_buffers():
        assert taken.generator[name].equal(tensor), name


@pytest.mark.parametrize(
    "options", [{}, {"ema_decay": 0.9}, {"duration_discriminator": "On", "wavlm_channels": 24, "freeze": ("Style",)}]
)
def test_a_checkpoint_goes_on_as_if_nothing_had_happened(workshop, tmp_path: pathlib.Path, options) -> None:
    channels = {name: value for name, value in options.items() if name == "wavlm_channels"}
    ordered = {name: value for name, value in options.items() if name not in channels}
    whole = workshop.state(**options)
    train(workshop, whole, 1, **ordered)
    names = saved(whole, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    expected = train(workshop, whole, 2, **ordered)

    again = workshop.state(**options)
    train(workshop, again, 1, **ordered)  # whatever was there before is replaced
    assert state.read(tmp_path, again).step == 1
    assert train(workshop, again, 2, **ordered) == expected
    ours, theirs = state.snapshot(again), state.snapshot(whole)
    for kind in ("generator", "raw_generator", "discriminators", "optimiser"):
        one, other = getattr(ours, kind) or {}, getattr(theirs, kind) or {}
        assert one.keys() == other.keys()
        assert all(tensor.equal(other[name]) for name, tensor in one.items()), kind


def test_all_judges_lie_in_one_file_each_under_its_name(workshop, tmp_path: pathlib.Path) -> None:
    at = workshop.state(duration_discriminator="On", wavlm_channels=24)
    saved(at, tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / state.DISCRIMINATORS)
    beginnings = {name.partition(".")[0] for name in tensors}
    assert beginnings == {"discriminators", "wavlm_discriminator", "duration_discriminator"}


def test_a_checkpoint_without_a_judge_that_is_ordered_is_refused_by_name(workshop, tmp_path: pathlib.Path) -> None:
    saved(workshop.state(), tmp_path)
    with pytest.raises(
        state.StateMismatch, match=r"discriminators\.safetensors does not fit.*duration_discriminator\."
    ):
        state.read(tmp_path, workshop.state(duration_discriminator="On"))


@pytest.mark.parametrize(("then", "now"), [({"ema_decay": 0.9}, {}), ({}, {"ema_decay": 0.9})])
def test_a_mean_may_begin_or_end_between_two_runs(workshop, tmp_path: pathlib.Path, then, now, caplog) -> None:
    at = workshop.state(**then)
    train(workshop, at, 2)
    saved(at, tmp_path)
    again = workshop.state(**now)
    state.read(tmp_path, again)
    for name, tensor in at.generator.state_dict().items():
        assert again.generator.state_dict()[name].equal(tensor), name
    taken = state.snapshot(again)
    assert all(tensor.equal(at.generator.state_dict()[name]) for name, tensor in taken.generator.items())
    assert "running mean of the weights" in caplog.text
