"""The judges are the original's: names, shapes, order and numbers, recorded by running its modules."""

import math

import pytest
import torch
from kelong_trainer.training import discriminators


def made(name):
    """An untrained judge of the original's size."""
    if name == "D":
        return discriminators.Discriminators(discriminators.preset("zh-clap"))
    if name == "WD":
        return discriminators.WavLMDiscriminator(9984)
    return discriminators.DurationDiscriminator(192, 256)


def assert_matches(found, recorded):
    """Every recorded figure to 1e-4 of the largest value or the deviation; the recording has six decimals."""
    values = found.flatten().double()
    assert values.numel() == math.prod(recorded["shape"])
    ends = torch.tensor([*recorded["first"], *recorded["last"]], dtype=torch.float64)
    allowed = 1e-4 * max(float(ends.abs().max()), recorded["std"]) + 1e-6
    first, last = len(recorded["first"]), len(recorded["last"])
    assert float((torch.cat([values[:first], values[-last:]]) - ends).abs().max()) <= allowed
    assert float(values.mean()) == pytest.approx(recorded["mean"], abs=allowed)
    assert float(values.std()) == pytest.approx(recorded["std"], abs=allowed)
    assert float(values.abs().sum()) == pytest.approx(recorded["abs_sum"], rel=1e-4)


@pytest.fixture(scope="module")
def timing(filled):
    return filled(made("DUR"))


@pytest.mark.parametrize("name", ["D", "WD", "DUR"])
def test_names_shapes_types_and_order_of_the_tensors_are_the_originals(layout, name):
    network = made(name)
    state = network.state_dict()
    described = [[key, list(value.shape), str(value.dtype).removeprefix("torch.")] for key, value in state.items()]
    assert described == layout[name]
    parameters = [key for key, _ in network.named_parameters()]
    assert parameters == layout["_meta"]["summary"][name]["param_order"]


def test_scores_of_sound_are_the_originals(filled, recorded, named_tensor):
    judges = filled(made("D"))
    sounds = [named_tensor(name, (1, 1, 4096), 0.1) for name in ("wav", "wav_hat")]
    for judgement, which in zip(judges(*sounds), ("mpd.real", "mpd.fake"), strict=True):
        for score, expected in zip(judgement.scores, recorded[which], strict=True):
            # Ours holds a period's columns as rows; the original lays them out side by side.
            assert_matches(score.squeeze(1).T, expected)
        assert [len(features) for features in judgement.features] == recorded["mpd.fmap_counts"]


def test_scores_of_what_a_wavlm_hears_are_the_originals(filled, recorded, named_tensor):
    (scores,) = filled(made("WD"))(named_tensor("wavlm", (1, 9984, 6)))
    assert_matches(scores, recorded["wd"])


def test_scores_of_durations_are_the_originals(timing, original, inputs, speaker, recorded, named_tensor):
    prior = original.enc_p(inputs.text, speaker)
    candidates = [named_tensor(name, (1, 1, 15)) for name in ("dur_r", "dur_h")]
    scores = timing(prior.hidden, prior.mask, speaker, candidates)
    for score, expected in zip(scores, recorded["dur_disc"], strict=True):
        assert_matches(score, expected)


def test_durations_are_judged_alike_in_any_batch(timing):
    hidden, speaker, told = torch.randn(2, 192, 20), torch.randn(2, 256, 1), torch.randn(2, 1, 20)
    mask = (torch.arange(20) < torch.tensor([[20], [13]])).float().unsqueeze(1)
    (together,) = timing(hidden, mask, speaker, [told])
    (alone,) = timing(hidden[1:, :, :13], mask[1:, :, :13], speaker[1:], [told[1:, :, :13]])
    assert torch.allclose(together[1:, :13], alone, atol=1e-6)


def test_judging_durations_teaches_nobody_but_the_judge_and_who_predicted_them():
    judge = discriminators.DurationDiscriminator(8, 4)
    hidden, speaker, told = (torch.randn(1, *shape, requires_grad=True) for shape in ((8, 5), (4, 1), (1, 5)))
    judge(hidden, torch.ones(1, 1, 5), speaker, [told])[0].sum().backward()
    assert hidden.grad is None and speaker.grad is None and told.grad is not None
    assert all(parameter.grad is not None for parameter in judge.parameters())
