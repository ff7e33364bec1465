"""Checkpoints are interchangeable with the original's: the same names, shapes, types and order of tensors."""

import pytest
from kelong_speech import config, synthesiser


def described(generator):
    state = generator.state_dict()
    return [[key, list(value.shape), str(value.dtype).removeprefix("torch.")] for key, value in state.items()]


@pytest.fixture(scope="module")
def generator(zh_clap_config):
    return synthesiser.Synthesiser(zh_clap_config(speakers=512))


def test_zh_clap_has_the_tensors_of_the_original_in_their_order(layout, generator):
    assert described(generator) == layout["G"]


def test_zh_clap_has_the_parameters_in_the_order_of_the_originals_optimiser(layout, generator):
    assert [name for name, _ in generator.named_parameters()] == layout["_meta"]["summary"]["G"]["param_order"]


def test_our_own_symbols_only_lengthen_the_symbol_table(layout, zh_clap_config):
    ours = described(synthesiser.Synthesiser(zh_clap_config(speakers=512, symbols=config.SYMBOLS)))
    different = [(mine, theirs) for mine, theirs in zip(ours, layout["G"], strict=True) if mine != theirs]
    assert different == [
        (["enc_p.emb.weight", [118, 192], "float32"], ["enc_p.emb.weight", [112, 192], "float32"]),
    ]


def test_the_preset_is_that_configuration(zh_clap_config):
    preset = config.preset(
        "zh-clap",
        speakers=(config.Speaker(name="someone", id=0),),
        text_feature_channels=2048,
        style_channels=512,
    )
    assert preset == zh_clap_config(speakers=512, symbols=config.SYMBOLS)
