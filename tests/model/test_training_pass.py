"""A training pass gives named results that every part of the generator can learn from."""

import pytest
import torch
from kelong_speech import draws, synthesiser


def recordings(frame_counts):
    spectrogram = torch.rand(len(frame_counts), 1025, max(frame_counts), generator=torch.Generator().manual_seed(3))
    for item, count in enumerate(frame_counts):
        spectrogram[item, :, count:] = 0
    return synthesiser.Recordings(spectrogram=spectrogram, frame_counts=torch.tensor(frame_counts))


def drawn(seed=0):
    return draws.Draws(seed, 1, ("a", "b", "c"))


def loss_of(result):
    mask = result.posterior.mask
    kl = result.prior_log_deviation - result.posterior.log_deviation - 0.5
    kl = kl + 0.5 * (result.latent_prior - result.prior_mean) ** 2 * torch.exp(-2 * result.prior_log_deviation)
    durations = result.duration_error.sum() + result.duration_nll.sum()
    return result.waveform.abs().mean() + (kl * mask).sum() / mask.sum() + durations + result.prior.commitment.mean()


def test_every_result_has_its_shape_and_is_finite(small):
    torch.manual_seed(0)
    result = small.generator.train()(small.text, recordings([60, 90, 45]), drawn(), alignment_noise=0.01)
    segment, hop = small.generator.config.model.segment_frames, small.generator.config.audio.hop_samples
    assert result.waveform.shape == (3, 1, segment * hop)
    assert result.latent_prior.shape == result.prior_mean.shape == result.prior_log_deviation.shape == (3, 64, 90)
    assert result.durations_frames.sum(dim=1).tolist() == [60, 90, 45]
    assert result.duration_error.shape == result.duration_nll.shape == (3,)
    assert torch.isfinite(loss_of(result))


def test_segments_lie_inside_their_recordings(small):
    for seed in range(5):
        torch.manual_seed(seed)
        starts = small.generator.train()(small.text, recordings([60, 32, 45]), drawn(seed)).segment_starts_frames
        assert starts[1] == 0 and 0 <= starts[0] <= 28 and 0 <= starts[2] <= 13


def test_every_parameter_gets_a_gradient(small):
    torch.manual_seed(0)
    loss_of(small.generator.train()(small.text, recordings([60, 90, 45]), drawn())).backward()
    without = [name for name, parameter in small.generator.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in small.generator.parameters())


def test_the_same_seed_gives_the_same_pass(small):
    losses = []
    for _ in range(2):
        torch.manual_seed(5)
        small.generator.eval()  # codebooks follow the batch in training mode, so that a second pass would differ
        losses.append(loss_of(small.generator(small.text, recordings([60, 90, 45]), drawn(), alignment_noise=0.01)))
    assert torch.equal(losses[0], losses[1])


def test_a_recording_shorter_than_a_segment_is_refused(small):
    with pytest.raises(ValueError, match="31 frames is shorter than the training segment of 32"):
        small.generator(small.text, recordings([60, 90, 31]), drawn())


def test_a_missing_feature_is_refused_by_name(small):
    bare = small.text.__class__(**{**vars(small.text), "text_features": None})
    with pytest.raises(ValueError, match=r"this model needs TextBatch\.text_features"):
        small.generator(bare, recordings([60, 90, 45]), drawn())


def test_what_a_preset_does_not_have_costs_nothing(tiny):
    names = list(tiny.generator.state_dict())
    assert not [name for name in names if "bert" in name or "emo_vq" in name or "feature_net" in name]
    assert sum(parameter.numel() for parameter in tiny.generator.parameters()) < 2_000_000


def test_the_noise_of_the_search_fades_out():
    steps = (0, 2500, 5000, 9000)
    assert [synthesiser.alignment_noise_at(step) for step in steps] == pytest.approx([0.01, 0.005, 0.0, 0.0])


def test_a_pass_in_mixed_precision_is_finite_and_trains(small):
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        result = small.generator.train()(small.text, recordings([60, 90, 45]), drawn(), alignment_noise=0.01)
        loss = loss_of(result).float()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in small.generator.parameters())
