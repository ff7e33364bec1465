"""The variant Extra-Fix: the same tensors as ZH-Clap, another style path and finer mel bands in the loss."""

import dataclasses

import pytest
import torch
from kelong_speech import config, draws, style, synthesiser


@pytest.fixture
def tiny():
    speakers = (config.Speaker(name="a", id=0),)
    return config.preset("tiny", speakers=speakers, text_feature_channels=24, style_channels=16)


def quantiser():
    torch.manual_seed(0)
    return style.VectorQuantiser(channels=16, heads=4, code_channels=8, codes=6, variant="extra-fix")


def test_the_variant_has_the_same_tensors_and_160_mel_bands(tiny):
    fixed = config.as_variant(tiny, "extra-fix")
    mine, theirs = (synthesiser.Synthesiser(one).state_dict() for one in (fixed, tiny))
    assert {name: value.shape for name, value in mine.items()} == {name: value.shape for name, value in theirs.items()}
    assert fixed.audio.mel_bands == 160
    assert config.from_json(fixed.to_json()) == fixed
    assert config.as_variant(fixed, "zh-clap") == tiny


def test_an_unknown_variant_is_refused(tiny):
    document = tiny.to_json().replace(b'"variant": "zh-clap"', b'"variant": "extra"')
    with pytest.raises(config.ConfigError, match="variant is 'extra', expected one of zh-clap, extra-fix"):
        config.from_json(document)


def test_equal_weights_give_another_style(tiny):
    generators = [synthesiser.Synthesiser(one) for one in (tiny, config.as_variant(tiny, "extra-fix"))]
    generators[1].load_state_dict(generators[0].state_dict())
    vector = torch.nn.functional.normalize(torch.randn(1, 16), dim=1)
    first, second = (generator.enc_p.in_feature_net(vector) for generator in generators)
    assert not torch.allclose(first, second)


def test_each_part_becomes_the_code_of_the_smallest_angle_whatever_its_length():
    vq = quantiser().eval()
    torch.nn.init.zeros_(vq.project_in.bias)
    x = torch.randn(3, 1, 16)
    found = vq(x)
    parts = vq.project_in(x).view(3, 4, 8)
    for item in range(3):
        for head in range(4):
            angles = torch.nn.functional.cosine_similarity(vq._codebook.embed[head], parts[item, head][None], dim=1)
            assert found.indices[item, 0, head] == angles.argmax()
    assert torch.equal(vq(5 * x).indices, found.indices)


def test_codes_keep_unit_length_while_they_follow_the_batch():
    vq = quantiser().train()
    before = vq._codebook.embed.clone()
    for step in range(5):
        vq(3 * torch.randn(64, 1, 16), draws.Draws(0, step, [f"clip {item}" for item in range(64)]))
    lengths = vq._codebook.embed.norm(dim=-1)
    assert not torch.equal(before, vq._codebook.embed)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


def test_commitment_is_between_vectors_of_unit_length():
    vq = quantiser().train()
    far = vq(1000 * torch.randn(8, 1, 16), draws.Draws(0, 1, [f"clip {item}" for item in range(8)])).commitment
    assert float(far.detach().min()) > 0 and float(far.detach().max()) <= style.COMMITMENT_WEIGHT * 4 / 8


def test_a_configuration_says_which_of_its_fields_changed(tiny):
    fixed = config.as_variant(tiny, "extra-fix")
    changed = [f.name for f in dataclasses.fields(tiny) if getattr(tiny, f.name) != getattr(fixed, f.name)]
    assert changed == ["variant", "audio"]
