"""The generator and a plain reading of the same papers, kept for benchmarks, say the same from the same weights."""

import dataclasses

import pytest
import torch
from kelong_speech import config, encoders, synthesiser
from plain import generator as plain
from plain import training as plain_training

SMALLER = {
    "latent_channels": 16,
    "hidden_channels": 24,
    "filter_channels": 32,
    "speaker_channels": 8,
    "text_layers": 3,
    "text_feature_channels": 12,
    "text_feature_bottleneck": 10,
    "style_channels": 16,
    "style_hidden_channels": 20,
    "style_heads": 4,
    "style_code_channels": 4,
    "style_codes": 8,
    "flow_couplings": 2,
    "flow_layers": 3,
    "posterior_layers": 3,
    "duration_channels": 12,
    "decoder_channels": 32,
    "speakers": 2,
}


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    speakers = (config.Speaker(name="a", id=0), config.Speaker(name="b", id=1))
    settings = config.VoiceConfig(preset="zh-clap", speakers=speakers, model=config.ModelConfig(**SMALLER))
    made = synthesiser.Synthesiser(settings).eval().requires_grad_(False)
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0.0, 0.05)
    return made


@pytest.fixture(scope="module")
def text():
    draw = torch.Generator().manual_seed(1)
    phones = 17
    return encoders.TextBatch(
        phone_ids=torch.randint(112, (1, phones), generator=draw),
        tone_ids=torch.randint(6, (1, phones), generator=draw),
        language_ids=torch.zeros(1, phones, dtype=torch.int64),
        phone_counts=torch.tensor([phones]),
        speaker_ids=torch.tensor([1]),
        text_features=torch.randn(1, 12, phones, generator=draw),
        style=torch.nn.functional.normalize(torch.randn(1, 16, generator=draw)),
    )


def plainly(text):
    return plain.Text(
        text.phone_ids, text.tone_ids, text.language_ids, text.text_features, text.style, text.speaker_ids
    )


@pytest.mark.parametrize("manner", [synthesiser.Manner(), synthesiser.Manner(length=3.0, sdp_ratio=1.0, noise=1.0)])
def test_both_say_the_same_samples(generator, text, manner):
    ours = generator.infer(text, [manner], [synthesiser.SeededNoise(5)]).waveform[0, 0]
    weights = dict(generator.state_dict())
    said = plain.infer(weights, plainly(text), generator.config, manner, synthesiser.SeededNoise(5))
    assert said.std() > 1e-5
    assert torch.allclose(said, ours, atol=1e-5 * float(ours.abs().max()))


def test_the_plain_flow_comes_back(generator, text):
    weights = dict(generator.state_dict())
    speaker = weights["emb_g.weight"][text.speaker_ids].unsqueeze(2)
    latent = torch.randn(1, 16, 30, generator=torch.Generator().manual_seed(2))
    there = plain.flow(weights, latent, speaker, generator.config.model, reverse=False)
    back = plain.flow(weights, there, speaker, generator.config.model, reverse=True)
    assert float((there - latent).abs().max()) > 1e-3
    assert torch.allclose(back, latent, atol=1e-5)


def test_the_plain_likelihood_of_durations_is_ours(generator, text):
    weights = dict(generator.state_dict())
    draw = torch.Generator().manual_seed(3)
    hidden, speaker = torch.randn(1, 24, 17, generator=draw), torch.randn(1, 8, 1, generator=draw)
    frames, noise = 1 + torch.arange(17).float().view(1, 1, 17) % 4, torch.randn(1, 2, 17, generator=draw)
    ours = generator.sdp.negative_log_likelihood(hidden, torch.ones(1, 1, 17), speaker, frames, noise)
    said = plain.duration_likelihood(weights, hidden, speaker, frames, noise, generator.config.model, 0.0)
    assert torch.allclose(said, ours, rtol=1e-4)


def test_a_plain_training_step_learns(generator, text):
    from kelong_trainer.training import discriminators

    torch.manual_seed(4)
    judges = discriminators.Discriminators(discriminators.preset("tiny"))
    settings = dataclasses.replace(
        generator.config, model=dataclasses.replace(generator.config.model, segment_frames=8)
    )
    trainer = plain_training.Trainer(dict(generator.state_dict()), dict(judges.state_dict()), settings)
    clips = plain_training.Clips(plainly(text), 0.1 * torch.randn(1, 1, 60 * 512))
    losses = [trainer.step(clips) for _ in range(6)]
    judging = [each["discriminators"] for each in losses]
    assert judging == sorted(judging, reverse=True)
    assert losses[-1]["divergence"] < 0.8 * losses[0]["divergence"]
