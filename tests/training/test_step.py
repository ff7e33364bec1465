"""What one training step learns, of whom, and that neither padding nor the rest of the batch changes it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from kelong_contract import orders
from kelong_trainer.training import losses, memory, step

RATE = 1e-3


def taken(at: Any, batch: Any, settings: Any, **options: Any) -> step.StepResult:
    return step.run(at, batch, RATE, settings, **options)


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def moved(network: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, parameter in network.named_parameters() if not parameter.equal(before[name])}


@pytest.mark.parametrize("profile", ["fixed", "as-original"])
def test_a_step_moves_the_judges_and_the_generator_and_tells_every_loss(workshop, profile) -> None:
    at = workshop.state(profile=profile)
    before = {name: weights_of(network) for name, network in at.networks.items()}
    result = taken(at, workshop.batch(), workshop.settings(profile=profile))
    assert at.step == 1
    for name, network in at.networks.items():
        assert moved(network, before[name]) == set(before[name]), name
    own = {"adversarial", "feature_match", "mel", "divergence", "durations", "commitment"}
    assert set(result.losses) == {"discriminators", "generator", *own}
    weighed = sum(getattr(orders.LossWeights(), name) * result.losses[name] for name in own - {"commitment"})
    added = result.losses["commitment"] if profile == "fixed" else 0.0
    assert result.losses["commitment"] > 0
    assert result.losses["generator"] == pytest.approx(weighed + added, rel=1e-5)


@pytest.mark.parametrize(("profile", "passes"), [("fixed", 1), ("as-original", 2)])
def test_every_judge_is_asked_once_a_step_but_twice_as_the_original_does(workshop, profile, passes) -> None:
    at = workshop.state(profile=profile)
    asked: list[int] = []
    at.discriminators.register_forward_hook(lambda *_: asked.append(1))
    taken(at, workshop.batch(), workshop.settings(profile=profile))
    assert len(asked) == passes


def test_in_both_profiles_the_judges_learn_the_same_from_their_first_step(workshop) -> None:
    judged = []
    for profile in ("fixed", "as-original"):
        at = workshop.state(profile=profile)
        settings = dataclasses.replace(workshop.settings(profile=profile))
        loss = taken(at, workshop.batch(), settings).losses["discriminators"]
        judged.append((loss, weights_of(at.discriminators)))
    assert judged[0][0] == pytest.approx(judged[1][0], rel=1e-6)
    for name, tensor in judged[0][1].items():
        assert torch.allclose(tensor, judged[1][1][name], atol=1e-6), name


def test_only_the_original_in_full_precision_leaves_gradients_as_long_as_they_are(workshop, monkeypatch) -> None:
    monkeypatch.setattr(step, "LARGEST_NORMS", dict.fromkeys(step.LARGEST_NORMS, 1e-4))
    lengths = {}
    for profile in ("fixed", "as-original"):
        at = workshop.state(profile=profile)
        result = taken(at, workshop.batch(), workshop.settings(profile=profile))
        gradients = [parameter.grad for parameter in at.generator.parameters() if parameter.grad is not None]
        lengths[profile] = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
        assert result.gradient_norms["generator"] > 1e-2
    assert lengths["fixed"] == pytest.approx(1e-4, rel=0.01)
    assert lengths["as-original"] > 1e-2


def test_what_lies_in_the_padding_changes_no_loss(workshop) -> None:
    batch = workshop.batch()
    text, recordings, samples = batch.text, batch.recordings, batch.samples.clone()
    phones, frames = int(text.phone_counts[0]), int(recordings.frame_counts[0])
    ids, features = text.phone_ids.clone(), text.text_features.clone()
    spectrogram = recordings.spectrogram.clone()
    ids[0, phones:], features[0, :, phones:], spectrogram[0, :, frames:] = 9, 100.0, 100.0
    samples[0, :, frames * workshop.config().audio.hop_samples :] = 1.0
    dirty = dataclasses.replace(
        batch,
        text=dataclasses.replace(text, phone_ids=ids, text_features=features),
        recordings=dataclasses.replace(recordings, spectrogram=spectrogram),
        samples=samples,
    )
    options = {"duration_discriminator": "On"}
    clean = taken(workshop.state(**options), batch, workshop.settings(**options))
    other = taken(workshop.state(**options), dirty, workshop.settings(**options))
    assert other.losses == pytest.approx(clean.losses, rel=1e-5)
    assert other.gradient_norms == pytest.approx(clean.gradient_norms, rel=1e-4)


def test_a_batch_teaches_what_its_clips_teach_one_by_one(plain_workshop) -> None:
    options = {"duration_discriminator": "On"}
    batch = plain_workshop.batch(("a", 7, 24), ("bb", 11, 36), ("ccc", 9, 30))
    whole, parts = plain_workshop.state(**options), plain_workshop.state(**options)
    for at in (whole, parts):  # dropout has no clip: without it a part draws what the whole draws
        at.duration_discriminator.eval()
    together = taken(whole, batch, plain_workshop.settings(**options))
    one_by_one = taken(parts, batch, plain_workshop.settings(**options), frames_at_once=1)
    assert one_by_one.losses == pytest.approx(together.losses, rel=1e-4)
    assert one_by_one.gradient_norms == pytest.approx(together.gradient_norms, rel=1e-3)


def test_a_batch_in_parts_teaches_the_same_as_the_original_does(plain_workshop) -> None:
    batch = plain_workshop.batch(("a", 7, 24), ("bb", 11, 36), ("ccc", 9, 30))
    settings = plain_workshop.settings(profile="as-original")
    together = taken(plain_workshop.state(profile="as-original"), batch, settings)
    in_parts = taken(plain_workshop.state(profile="as-original"), batch, settings, frames_at_once=60)
    assert in_parts.losses == pytest.approx(together.losses, rel=1e-4)
    assert in_parts.gradient_norms == pytest.approx(together.gradient_norms, rel=1e-3)


def test_parts_hold_every_clip_once_and_no_more_frames_than_allowed(workshop) -> None:
    batch = workshop.batch(("a", 7, 24), ("bb", 11, 36), ("ccc", 9, 30), ("dddd", 5, 12))
    parts = memory.divide(batch, 60)
    assert sorted(clip for part in parts for clip in part.clips) == ["a", "bb", "ccc", "dddd"]
    assert all(memory.padded_frames(part) <= 60 for part in parts)
    for part in parts:
        assert part.samples.shape[2] == part.recordings.spectrogram.shape[2] * 512
        for position, clip in zip(part.part.positions, part.clips, strict=True):
            assert batch.clips[position] == clip
    assert memory.divide(batch, 4 * 36) == (batch,)


def test_the_judges_may_come_later_and_cost_nothing_before(workshop) -> None:
    at = workshop.state()
    before = weights_of(at.discriminators)
    settings = dataclasses.replace(workshop.settings(), judges_from=2)
    first = taken(at, workshop.batch(), settings)
    assert "adversarial" not in first.losses and "discriminators" not in first.gradient_norms
    assert moved(at.discriminators, before) == set()
    assert "adversarial" in taken(at, workshop.batch(), settings).losses


def test_a_loss_without_weight_teaches_nothing(workshop) -> None:
    ordered = dataclasses.replace(orders.LossWeights(), durations=0.0)
    at = workshop.state()
    taken(at, workshop.batch(), workshop.settings(weights=ordered))
    gradients = [p.grad for p in (*at.generator.sdp.parameters(), *at.generator.dp.parameters())]
    assert all(gradient is None or not gradient.any() for gradient in gradients)


def test_the_weights_in_effect_are_the_orders_but_for_what_the_original_forgets() -> None:
    ordered = orders.LossWeights(mel=30.0, commitment=2.0, wavlm_feature=0.5)
    assert losses.weights(ordered, "fixed", judges_durations=False) == ordered
    alone = losses.weights(ordered, "as-original", judges_durations=False)
    assert (alone.mel, alone.commitment, alone.wavlm_feature, alone.wavlm_adversarial) == (30.0, 0.0, 0.0, 0.0)
    with_durations = losses.weights(ordered, "as-original", judges_durations=True)
    assert (with_durations.commitment, with_durations.wavlm_feature, with_durations.wavlm_adversarial) == (0, 0.5, 1)


def test_what_is_no_number_ends_training_and_names_the_loss(workshop) -> None:
    at = workshop.state()
    with torch.no_grad():
        at.generator.dec.conv_post.weight.fill_(float("nan"))
    with pytest.raises(step.Diverged, match="the loss mel is nan"):
        taken(at, workshop.batch(), workshop.settings())
    assert at.step == 0


@pytest.mark.parametrize(("share", "field"), [("text_feature_dropout", "text_features"), ("style_dropout", "style")])
def test_what_is_left_out_of_every_clip_teaches_a_step_nothing(workshop, share, field) -> None:
    batch = workshop.batch()
    other = dataclasses.replace(batch, text=dataclasses.replace(batch.text, **{field: getattr(batch.text, field) + 1}))

    def learnt(of: Any, dropout: float) -> dict[str, float]:
        return taken(workshop.state(), of, workshop.settings(**{share: dropout})).losses

    assert learnt(batch, 1.0) == learnt(other, 1.0)
    assert learnt(batch, 0.0) != learnt(other, 0.0)


def test_what_is_learned_does_not_depend_on_what_was_drawn_before(workshop) -> None:
    numbers = []
    for seed in (1, 2):
        at = workshop.state()
        torch.manual_seed(seed)
        numbers.append(taken(at, workshop.batch(), workshop.settings(style_dropout=0.5)).losses)
    assert numbers[0] == numbers[1]
