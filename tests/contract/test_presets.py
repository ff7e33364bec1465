"""What an order leaves to the preset."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies
from kelong_contract import codec, orders, presets

DOCUMENT = {
    "format": 1,
    "voice": {"namespace": "ns", "name": "a", "uid": "u"},
    "speakers": [{"name": "A"}],
    "dataset": {"type": "S3", "prefix": "recordings/ns/a/"},
}
LENGTHS = ("min_s", "aim_min_s", "aim_max_s", "max_s")


def read(**parts: Any) -> orders.TrainingOrder:
    return presets.read_order(json.dumps(DOCUMENT | parts).encode(), "the order")


def test_an_order_of_small_has_what_small_was_measured_with() -> None:
    order = read(model={"preset": "small"})
    assert (order.training.learning_rate, order.training.ema_decay) == (1e-3, 0.999)
    assert order.slicing == orders.Slicing(aim_min_s=4, aim_max_s=8, min_s=2, max_s=15)
    assert presets.settings("small", seed=3) == orders.SynthesisSettings(sdp_ratio=0, noise=0.2, seed=3)


@pytest.mark.parametrize("preset", ["zh-clap", "tiny"])
def test_an_order_of_another_preset_has_the_methods_own(preset: str) -> None:
    order = read(model={"preset": preset})
    assert order.training == orders.Training()
    assert order.slicing == orders.Slicing()
    assert presets.settings(preset) == orders.SynthesisSettings()


def test_what_an_order_says_stays() -> None:
    said = {"learning_rate": 5e-4, "ema_decay": None}
    order = read(model={"preset": "small"}, training=said, slicing={"aim_max_s": 10})
    assert (order.training.learning_rate, order.training.ema_decay) == (5e-4, None)
    assert order.slicing == orders.Slicing(aim_min_s=4, aim_max_s=10, min_s=2, max_s=15)


def test_an_order_that_was_written_whole_is_read_as_it_is() -> None:
    order = read(model={"preset": "small"}, training={"max_steps": 7})
    assert presets.read_order(codec.dumps(order), "the order") == order


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ({"model": {"preset": "huge"}}, "model.preset is 'huge'"),
        ({"model": 3}, "model is 3"),
        ({"training": []}, "training is"),
        ({"slicing": {"aim_s": 3}}, "slicing.aim_s is not a known field"),
        ({"slicing": {"max_s": "5"}}, "slicing.max_s is '5'"),
        ({"slicing": {"max_s": 31}}, "max_s <= 30"),
    ],
)
def test_a_wrong_order_is_refused_as_any_other(parts: dict[str, Any], fault: str) -> None:
    with pytest.raises(codec.Malformed, match=fault):
        read(**parts)
    with pytest.raises(codec.Malformed, match="it is not JSON"):
        presets.read_order(b"{", "the order")
    with pytest.raises(codec.Malformed, match="expected an object"):
        presets.read_order(b"[]", "the order")


@hypothesis.given(
    preset=strategies.sampled_from(list(presets.DEFAULTS)),
    lengths=strategies.lists(strategies.integers(1, 30), min_size=4, max_size=4),
    said=strategies.sets(strategies.sampled_from(LENGTHS)),
)
def test_lengths_that_are_said_in_part_stay_and_the_others_make_way(
    preset: str, lengths: list[int], said: set[str]
) -> None:
    given = {name: float(value) for name, value in zip(LENGTHS, sorted(lengths), strict=True) if name in said}
    cut = presets.slicing(preset, given)
    assert {name: getattr(cut, name) for name in given} == given
    assert 0 < cut.min_s <= cut.aim_min_s <= cut.aim_max_s <= cut.max_s <= 30
    if not given:
        assert cut == presets.DEFAULTS[preset].slicing


def test_every_preset_of_an_order_has_defaults() -> None:
    assert set(presets.DEFAULTS) == {"zh-clap", "small", "tiny"}
