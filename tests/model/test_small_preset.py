"""The preset `small`: everything at the frame rate, the same interfaces, and nothing leaks between items of a batch."""

import dataclasses

import pytest
import torch
from kelong_speech import config, draws, frames, synthesiser, vocos
from kelong_speech.config import ConfigError, ModelConfig

WIDTHS = {"text_feature_channels": 24, "style_channels": 16}
COUNTS = [140, 171, 129]
PHONES = [9, 23, 15]
CLIPS = ("a", "b", "c")
MANNERS = [
    synthesiser.Manner(length=2.0, sdp_ratio=0.5),
    synthesiser.Manner(length=3.0),
    synthesiser.Manner(length=2.5, noise=0.3),
]


def small_config(**widths):
    speakers = tuple(config.Speaker(name=name, id=row) for row, name in enumerate("ab"))
    return config.preset("small", speakers=speakers, **widths)


@pytest.fixture(scope="module")
def generator():
    """The preset with a text encoder and a style, shaken so that no zero-initialised layer hides a fault."""
    torch.manual_seed(1)
    made = synthesiser.Synthesiser(small_config(**WIDTHS))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made


@pytest.fixture
def text(random_text_batch):
    return random_text_batch(PHONES, **WIDTHS)


def known_durations():
    """Frames of each phoneme: drawn, each at least one, the padding none."""
    draw = torch.Generator().manual_seed(4)
    known = torch.zeros(len(COUNTS), max(PHONES), dtype=torch.int64)
    for item, (phones, count) in enumerate(zip(PHONES, COUNTS, strict=True)):
        owners = torch.randint(phones, (count - phones,), generator=draw)
        known[item, :phones] = 1 + torch.bincount(owners, minlength=phones)
    return known


def recordings(counts, known=None):
    bins = small_config().audio.spectrogram_bins
    spectrogram = torch.rand(len(counts), bins, max(counts), generator=torch.Generator().manual_seed(3))
    for item, count in enumerate(counts):
        spectrogram[item, :, count:] = 0
    return synthesiser.Recordings(spectrogram=spectrogram, frame_counts=torch.tensor(counts), durations_frames=known)


def loss_of(result):
    mask, taught = result.posterior.mask, result.lessons
    kl = result.prior_log_deviation - result.posterior.log_deviation - 0.5
    kl = kl + 0.5 * (result.latent_prior - result.prior_mean) ** 2 * torch.exp(-2 * result.prior_log_deviation)
    told = ((taught.phones - taught.wanted).abs() + (taught.frames - taught.wanted).abs()).mean()
    durations = result.duration_error.sum() + result.duration_nll.sum() + result.prior.commitment.mean()
    heard = result.waveform.abs().mean() + taught.waveform.abs().mean()
    return heard + (kl * mask).sum() / mask.sum() + told + durations


def test_it_has_fewer_than_fifteen_million_parameters():
    bare = synthesiser.Synthesiser(small_config())
    assert sum(parameter.numel() for parameter in bare.parameters()) < 15_000_000
    assert not [name for name in bare.state_dict() if "bert" in name or "emo_vq" in name]


def test_its_configuration_survives_the_way_through_json():
    made = small_config(**WIDTHS)
    assert config.from_json(made.to_json()) == made
    assert made.audio.sample_rate_hz == 24000


def test_a_window_must_be_a_whole_number_of_hops():
    made = small_config()
    with pytest.raises(ConfigError, match="vocos needs windows"):
        dataclasses.replace(made, audio=dataclasses.replace(made.audio, n_fft=1024, win_samples=1024))


def test_a_batch_says_each_item_as_it_would_alone(generator, text, only):
    noises = [synthesiser.SeededNoise(100 + item) for item in range(3)]
    together = generator.eval().infer(text, MANNERS, noises)
    assert together.waveform.abs().max() > 1e-3
    for item in range(3):
        alone = generator.infer(only(text, item), [MANNERS[item]], [synthesiser.SeededNoise(100 + item)])
        length = int(alone.sample_counts[0])
        assert length == int(together.sample_counts[item])
        assert torch.allclose(alone.waveform[0, 0], together.waveform[item, 0, :length], atol=1e-5)


def test_a_batch_is_taught_as_each_item_would_be_alone(generator, text, only):
    together = generator.eval()(text, recordings(COUNTS, known_durations()), draws.Draws(0, 1, CLIPS))
    for item, count in enumerate(COUNTS):
        whole = recordings(COUNTS, known_durations())
        own = synthesiser.Recordings(
            spectrogram=whole.spectrogram[item : item + 1, :, :count],
            frame_counts=whole.frame_counts[item : item + 1],
            durations_frames=known_durations()[item : item + 1, : PHONES[item]],
        )
        alone = generator(only(text, item), own, draws.Draws(0, 1, CLIPS[item : item + 1]))
        pairs = [
            (alone.waveform[0], together.waveform[item]),
            (alone.lessons.waveform[0], together.lessons.waveform[item]),
            (alone.latent_prior[0], together.latent_prior[item, :, :count]),
            (alone.prior_mean[0], together.prior_mean[item, :, :count]),
            (alone.lessons.frames[0], together.lessons.frames[item, :, :count]),
            (alone.lessons.phones[0], together.lessons.phones[item, :, :count]),
            (alone.duration_nll[0], together.duration_nll[item]),
        ]
        for single, shared in pairs:
            assert torch.allclose(single, shared, atol=1e-4)


def test_every_parameter_gets_a_gradient(generator, text):
    result = generator.train()(text, recordings(COUNTS, known_durations()), draws.Draws(0, 1, CLIPS))
    segment, hop = generator.config.model.segment_frames, generator.config.audio.hop_samples
    assert result.waveform.shape == result.lessons.waveform.shape == (3, 1, segment * hop)
    generator.zero_grad()
    loss_of(result).backward()
    # Phonemes and frames are two heads; what a phoneme's prior lacks, its frames' corrections make up for.
    assert [name for name, parameter in generator.named_parameters() if parameter.grad is None] == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in generator.parameters())


def test_known_durations_are_kept_to(generator, text):
    known = known_durations()
    result = generator.eval()(text, recordings(COUNTS, known), draws.Draws(0, 1, CLIPS))
    assert torch.equal(result.durations_frames, known)


def test_recordings_without_durations_are_refused(generator, text):
    with pytest.raises(ValueError, match="small is told durations"):
        generator.eval()(text, recordings(COUNTS), draws.Draws(0, 1, CLIPS))


def test_the_decoder_sees_no_further_than_its_layers_reach():
    model = ModelConfig(latent_channels=8, decoder_channels=16, decoder_layers=2, speaker_channels=4, decoder="vocos")
    sound = small_config().audio
    torch.manual_seed(0)
    decoder = vocos.Decoder(model, sound).eval()
    latent, speaker = torch.randn(1, 8, 60), torch.randn(1, 4, 1)
    other = latent.clone()
    other[:, :, 30] += 1
    changed = (decoder(latent, speaker) - decoder(other, speaker)).abs()[0, 0].view(60, sound.hop_samples).amax(dim=1)
    reach = vocos.WIDE // 2 + model.decoder_layers * (frames.KERNEL // 2) + 2  # two: a window's half beyond its frame
    touched = torch.nonzero(changed > 1e-6).flatten()
    assert 30 - reach <= int(touched.min()) < 30 < int(touched.max()) <= 30 + reach


def test_places_tell_where_in_its_phoneme_a_frame_lies():
    told = frames.places(torch.tensor([[2, 4]]), 7)[0]
    assert told[0].tolist() == pytest.approx([0.25, 0.75, 0.125, 0.375, 0.625, 0.875, 0])
    assert told[3].tolist() == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0])


def test_a_pass_in_mixed_precision_is_finite_and_trains(generator, text):
    with torch.autocast("cpu", torch.bfloat16):
        result = generator.train()(text, recordings(COUNTS, known_durations()), draws.Draws(0, 1, CLIPS))
        loss = loss_of(result).float()
    generator.zero_grad()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in generator.parameters())
