"""A configuration is checked when it is made and survives its file."""

import dataclasses
import json
import typing

import pytest
from kelong_contract import orders
from kelong_speech import config

SPEAKERS = (config.Speaker(name="卡兹克", id=0), config.Speaker(name="b", id=3, style=(0.1, 0.25)))


def tiny():
    return config.preset("tiny", speakers=SPEAKERS, style_channels=2)


def test_it_survives_its_file():
    assert config.from_json(tiny().to_json()) == tiny()


def test_it_knows_its_speakers():
    assert tiny().speaker_ids == {"卡兹克": 0, "b": 3}
    assert tiny().model.speakers == 4
    with pytest.raises(config.ConfigError, match="no speaker is called 'x'; this voice has 卡兹克, b"):
        tiny().speaker("x")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "format is 2"),
        ({"colour": "red"}, "colour is not a known field"),
        ({"preset": 5}, "preset is 5, expected a string"),
        ({"audio": {"hop_samples": 256}}, "8 x 8 x 8 = 512 samples a frame, but the hop is 256"),
        ({"speakers": []}, "at least one speaker"),
        ({"front_end": {"version": 9}}, "front end version 9"),
        ({"front_end": {"profile": "loose"}}, "front_end.profile is 'loose'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_a_sentence(change, sentence):
    document = json.loads(tiny().to_json()) | change
    with pytest.raises(config.ConfigError, match=sentence):
        config.from_json(json.dumps(document).encode())


def test_upsampling_must_make_the_hop():
    model = dataclasses.replace(tiny().model, upsample_rates=(8, 8, 4), upsample_kernels=(16, 16, 8))
    with pytest.raises(config.ConfigError, match="8 x 8 x 4 = 256 samples a frame, but the hop is 512 samples"):
        dataclasses.replace(tiny(), model=model)


def test_an_unknown_preset_is_refused():
    with pytest.raises(config.ConfigError, match="there is no preset 'big'; choose one of zh-clap, tiny"):
        config.preset("big", speakers=SPEAKERS)


def test_zh_clap_asks_for_the_encoders_it_is_made_for():
    with pytest.raises(config.ConfigError, match=r"the sources give 768 and none: .*choose the preset small or tiny$"):
        config.preset("zh-clap", speakers=SPEAKERS, text_feature_channels=768)


def test_an_order_may_ask_for_every_preset():
    asked = typing.get_type_hints(orders.Model)["preset"]
    assert set(typing.get_args(asked)) == set(config.PRESETS)


@pytest.mark.parametrize("name", config.PRESETS)
def test_every_preset_is_consistent(name):
    made = config.preset(
        name, speakers=(config.Speaker(name="a", id=0),), text_feature_channels=2048, style_channels=512
    )
    assert made.preset == name
