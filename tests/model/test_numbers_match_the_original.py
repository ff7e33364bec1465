"""Module by module, the generator gives the numbers the original gave for the same weights and inputs."""

import pytest
import torch
from kelong_speech import alignment, audio, synthesiser


def assert_matches(found, recorded):
    """Shape and sums agree, and the first and last values to 1e-4 of the largest value or the deviation."""
    values = found.detach().flatten().double()
    assert list(found.shape) == recorded["shape"]
    first, last = (torch.tensor(recorded[end], dtype=torch.float64) for end in ("first", "last"))
    scale = max(float(first.abs().max()), float(last.abs().max()), recorded["std"])
    assert float((values[: len(first)] - first).abs().max()) <= 1e-4 * scale + 1e-6
    assert float((values[-len(last) :] - last).abs().max()) <= 1e-4 * scale + 1e-6
    assert float(values.mean()) == pytest.approx(recorded["mean"], abs=1e-4 * scale)
    assert float(values.abs().sum()) == pytest.approx(recorded["abs_sum"], rel=1e-4)
    if len(values) > 1:
        assert float(values.std()) == pytest.approx(recorded["std"], rel=1e-3)


@pytest.fixture(scope="module")
def prior(original, inputs, speaker):
    return original.enc_p(inputs.text, speaker)


@pytest.fixture(scope="module")
def posterior(original, inputs, speaker, named_tensor):
    return original.enc_q(inputs.spectrogram, inputs.frame_counts, speaker, named_tensor("like", (1, 192, 40)))


def test_the_speaker_table(speaker, recorded):
    assert_matches(speaker, recorded["g"])


def test_the_style_path(original, inputs, recorded):
    features = original.enc_p.in_feature_net(inputs.text.style)
    assert_matches(features, recorded["in_feature_net"])
    quantised = original.enc_p.emo_vq(features.unsqueeze(1))
    assert_matches(quantised.vectors, recorded["emo_vq.out"])
    assert quantised.indices.flatten().tolist() == recorded["emo_vq.indices"]


def test_the_text_encoder(prior, recorded):
    assert_matches(prior.hidden, recorded["enc_p.h"])
    assert_matches(prior.mean, recorded["enc_p.m_p"])
    assert_matches(prior.log_deviation, recorded["enc_p.logs_p"])


def test_the_duration_predictor(original, prior, speaker, recorded):
    assert_matches(original.dp(prior.hidden, prior.mask, speaker), recorded["dp.logw"])


def test_the_stochastic_duration_predictor_draws_the_same_durations(original, prior, speaker, recorded, named_tensor):
    drawn = original.sdp.sample(prior.hidden, prior.mask, speaker, 0.8 * named_tensor("sdp_noise", (1, 2, 15)))
    assert_matches(drawn, recorded["sdp.logw(noise=0.8*N(sdp_noise))"])


def test_the_stochastic_duration_predictor_has_the_same_likelihood(original, prior, speaker, recorded, named_tensor):
    frames = (1 + torch.arange(15) % 4).float().view(1, 1, 15)
    noise = named_tensor("sdp_noise", (1, 2, 15))
    likelihood = original.sdp.negative_log_likelihood(prior.hidden, prior.mask, speaker, frames, noise)
    assert_matches(likelihood / 15, recorded["sdp.nll(w=1+i%4)"])


def test_the_posterior_encoder(posterior, recorded):
    assert_matches(posterior.latent, recorded["enc_q.z"])
    assert_matches(posterior.mean, recorded["enc_q.m_q"])
    assert_matches(posterior.log_deviation, recorded["enc_q.logs_q"])


def test_the_flow_and_its_way_back(original, posterior, speaker, recorded):
    there = original.flow(posterior.latent, posterior.mask, speaker)
    assert_matches(there, recorded["flow.fwd(z)"])
    back = original.flow(there, posterior.mask, speaker, reverse=True)
    assert float((back - posterior.latent).abs().max()) <= 3 * recorded["flow.roundtrip_max_err"]


def test_the_decoder(original, posterior, speaker, recorded):
    assert_matches(original.dec(posterior.latent[:, :, :8], speaker), recorded["dec(z[:, :, :8])"])


def test_speech_without_noise(original, inputs, recorded, named_noise):
    manner = synthesiser.Manner(length=6.0, noise=0.0, sdp_ratio=0.0)
    spoken = original.infer(inputs.text, [manner], [named_noise])
    assert spoken.durations_frames[0].tolist() == recorded["infer.durations"]
    assert_matches(spoken.waveform, recorded["infer(noise_scale=0,sdp_ratio=0,length_scale=6).audio"])


def test_speech_with_noise(original, inputs, recorded, named_noise):
    manner = synthesiser.Manner(length=6.0, noise=0.6, noise_w=0.8, sdp_ratio=0.5)
    spoken = original.infer(inputs.text, [manner], [named_noise])
    assert spoken.durations_frames[0].tolist() == recorded["infer2.durations"]
    name = "infer(noise_scale=0.6*N(like),sdp_ratio=0.5 with 0.8*N(sdp_noise),length_scale=6).audio"
    assert_matches(spoken.waveform, recorded[name])


def test_the_alignment(recorded, named_tensor):
    found = alignment.search(named_tensor("mas", (1, 12, 5)), torch.tensor([5]), torch.tensor([12]))
    owners = torch.arange(5).repeat_interleave(found[0])
    assert owners.tolist() == recorded["mas.path_argmax_per_frame"]


def test_the_spectrograms(original, recorded, named_tensor):
    sound = original.config.audio
    linear = audio.linear_spectrogram(named_tensor("wav", (1, 4096), 0.1), sound)
    assert_matches(linear, recorded["linear_spec(wav)"])
    assert_matches(audio.log_mel(linear, sound), recorded["log_mel(wav)"])
