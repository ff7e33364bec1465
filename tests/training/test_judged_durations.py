"""The duration judge is there when ordered, learns from what the alignment found, and teaches both predictors."""

from __future__ import annotations

import pytest
import torch
from kelong_trainer.training import losses, ranks, step

ON = {"duration_discriminator": "On"}


def test_without_it_nothing_of_it_exists(workshop) -> None:
    at = workshop.state()
    assert at.duration_discriminator is None and set(at.networks) == {"generator", "discriminators"}
    assert not [name for name in at.optimisers if "duration" in name]


def test_it_learns_and_teaches_the_plain_and_the_stochastic_predictor(workshop) -> None:
    at = workshop.state(**ON)
    assert at.duration_discriminator is not None
    asked: list[int] = []
    at.duration_discriminator.register_forward_pre_hook(lambda _, given: asked.append(len(given[3])))
    before = {name: tensor.clone() for name, tensor in at.duration_discriminator.named_parameters()}
    result = step.run(at, workshop.batch(), 1e-3, workshop.settings(**ON))
    assert asked == [3]  # what was found, and what each of the two predicts
    assert {"duration_discriminator", "duration_adversarial"} <= set(result.losses)
    for name, tensor in at.duration_discriminator.named_parameters():
        assert not tensor.equal(before[name]), name


def test_the_original_judges_the_plain_predictor_alone(workshop) -> None:
    at = workshop.state(profile="as-original", **ON)
    assert at.duration_discriminator is not None
    asked: list[int] = []
    at.duration_discriminator.register_forward_pre_hook(lambda _, given: asked.append(len(given[3])))
    step.run(at, workshop.batch(), 1e-3, workshop.settings(profile="as-original", **ON))
    assert asked == [2, 2]


def _scores(mask: torch.Tensor, profile: str) -> losses.DurationScores:
    items, phones = mask.shape[0], int(mask.sum())
    part = ranks.Part(positions=tuple(range(items)), items=items, frames=1, phones=phones)
    return losses.DurationScores(mask, part, profile)  # type: ignore[arg-type]


def test_its_losses_do_not_grow_with_the_batch_but_the_originals_do() -> None:
    scores, mask = torch.full((1, 6), 0.3), torch.ones(1, 1, 6)
    for profile, grows in (("fixed", 1.0), ("as-original", 4.0)):
        one = _scores(mask, profile).judging(scores, [scores])
        four = _scores(mask.repeat(4, 1, 1), profile).judging(scores.repeat(4, 1), [scores.repeat(4, 1)])
        assert float(four) == pytest.approx(grows * float(one)), profile
    assert float(_scores(mask, "fixed").judging(scores, [scores, scores])) == pytest.approx(0.7**2 + 0.3**2)


def test_padding_counts_for_the_original_only() -> None:
    scores = torch.tensor([[0.3, 0.3, 0.9, 0.9]])
    mask = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    assert float(_scores(mask, "fixed").adversarial([scores])) == pytest.approx(0.7**2)
    assert float(_scores(mask, "as-original").adversarial([scores])) == pytest.approx((0.7**2 + 0.1**2) / 2)


def test_predictors_are_judged_separately_and_count_alike() -> None:
    scores = _scores(torch.ones(1, 1, 2), "fixed")
    first, second = torch.tensor([[0.2, 0.2]]), torch.tensor([[0.6, 0.6]])
    assert float(scores.adversarial([first, second])) == pytest.approx((0.8**2 + 0.4**2) / 2)
