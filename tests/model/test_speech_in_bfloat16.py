"""Speech computed in bfloat16 lasts exactly as long as in full precision and is at least 30 dB from it.

Autocast does the same on a CPU that only emulates bfloat16, so this holds the numbers everywhere, and no speed.
"""

import copy

import pytest
import torch
from kelong_speech import config, synthesiser

LEAST_DB = 30
LENGTHS = (2.0, 3.0, 2.5)  # of the three texts: random weights speak hastily


def in_both(generator, text, manners, noises):
    """What a generator says in full precision, and under autocast to bfloat16."""
    exact = generator.infer(text, manners, noises())
    with torch.autocast("cpu", torch.bfloat16):
        return exact, generator.infer(text, manners, noises())


def assert_alike(exact, mixed):
    assert torch.equal(mixed.durations_frames, exact.durations_frames)
    assert mixed.waveform.dtype == torch.float32
    for item, count in enumerate(exact.sample_counts.tolist()):
        wanted, found = exact.waveform[item, 0, :count], mixed.waveform[item, 0, :count]
        assert not torch.equal(found, wanted)
        noise = (found - wanted).square().sum()
        assert 10 * torch.log10(wanted.square().sum() / noise) >= LEAST_DB, item


def seeded():
    return [synthesiser.SeededNoise(seed) for seed in range(3)]


@pytest.fixture(scope="module", params=["tiny", "small"])
def generator(request):
    """With a text encoder and a style, shaken so that no zero-initialised layer hides a fault."""
    torch.manual_seed(1)
    speakers = tuple(config.Speaker(name=name, id=row) for row, name in enumerate("ab"))
    settings = config.preset(request.param, speakers=speakers, text_feature_channels=24, style_channels=16)
    made = synthesiser.Synthesiser(settings).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    return made


def test_a_batch_of_the_lighter_presets(generator, random_text_batch):
    text = random_text_batch([9, 23, 15], text_feature_channels=24, style_channels=16)
    manners = [synthesiser.Manner(length=length, sdp_ratio=0.5) for length in LENGTHS]
    assert_alike(*in_both(generator, text, manners, seeded))


def test_weights_kept_in_bfloat16_say_what_autocast_makes_of_full_ones(generator, random_text_batch):
    text = random_text_batch([9], text_feature_channels=24, style_channels=16)
    settled = copy.deepcopy(generator)
    settled.settle("BF16")
    with torch.autocast("cpu", torch.bfloat16):
        converted, kept = (
            made.infer(text, [synthesiser.Manner()], [synthesiser.SeededNoise(1)]).waveform
            for made in (generator, settled)
        )
    assert torch.equal(kept, converted)
    kinds = {part: {tensor.dtype for tensor in getattr(settled, part).parameters()} for part in ("dec", "flow", "dp")}
    assert torch.bfloat16 in kinds["flow"] and torch.bfloat16 in kinds["dec"]
    assert kinds["dp"] == {torch.float32}


def test_the_original_with_the_recorded_weights(original, inputs, named_noise):
    manner = synthesiser.Manner(noise=0.6, noise_w=0.8, sdp_ratio=0.5)
    assert_alike(*in_both(original, inputs.text, [manner], lambda: [named_noise]))


def test_a_batch_says_each_item_much_as_it_would_alone(generator, random_text_batch, only):
    text = random_text_batch([9, 23, 15], text_feature_channels=24, style_channels=16)
    manners = [synthesiser.Manner(length=length) for length in LENGTHS]
    with torch.autocast("cpu", torch.bfloat16):
        together = generator.infer(text, manners, seeded())
        for item in range(3):
            alone = generator.infer(only(text, item), [manners[item]], [synthesiser.SeededNoise(item)])
            count = int(alone.sample_counts[0])
            assert count == int(together.sample_counts[item])
            wanted, found = alone.waveform[0, 0], together.waveform[item, 0, :count]
            noise = (found - wanted).square().sum().clamp_min(1e-20)
            assert 10 * torch.log10(wanted.square().sum() / noise) >= LEAST_DB
