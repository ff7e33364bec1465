"""A voice speaks in the precision it is given; one rule says which that is where bfloat16 is slow."""

import concurrent.futures

import numpy as np
import pytest
import torch
from kelong_speech import device, voice

STYLE = voice.Style(speaker="小明", seed=11)
HELLO = "你好，世界。"


@pytest.mark.parametrize(
    ("wished", "fast", "used"),
    [("FP32", True, "FP32"), ("FP32", False, "FP32"), ("BF16", True, "BF16"), ("BF16", False, "FP32")],
)
@pytest.mark.parametrize(("kind", "name"), [("cpu", "CPU"), ("cuda", "GPU")])
def test_bfloat16_is_used_where_it_is_fast_and_a_log_line_says_where_not(
    monkeypatch, caplog, wished, fast, used, kind, name
):
    monkeypatch.setattr(device, "fast_bfloat16", lambda _: fast)
    assert device.precision(wished, torch.device(kind), "the voice speaks") == used
    told = [f"this {name} has no fast bfloat16: the voice speaks in FP32, which is faster here"]
    assert caplog.messages == (told if wished != used else [])


@pytest.fixture
def mixed_voice(small_generator):
    return voice.Voice.from_parts(small_generator, precision="BF16")


def test_a_voice_in_bfloat16_speaks_as_long_and_at_least_30_db_from_full_precision(tiny_voice, mixed_voice):
    assert (tiny_voice.precision, mixed_voice.precision) == ("FP32", "BF16")
    exact, mixed = tiny_voice.say_text(HELLO, STYLE).samples, mixed_voice.say_text(HELLO, STYLE).samples
    assert mixed.dtype == np.float32 and mixed.shape == exact.shape
    noise = np.sum((mixed - exact) ** 2)
    assert noise > 0 and 10 * np.log10(np.sum(exact**2) / noise) >= 30


def test_a_published_step_speaks_in_bfloat16_too(published, mixed_voice):
    loaded = voice.Voice.load(published.store, published.manifest, published.cache, precision="BF16")
    assert loaded.precision == "BF16"
    assert np.array_equal(loaded.say_text(HELLO, STYLE).samples, mixed_voice.say_text(HELLO, STYLE).samples)


def test_full_precision_stays_full_within_anothers_autocast_and_so_does_bfloat16(tiny_voice, mixed_voice):
    exact, mixed = (made.say_text(HELLO, STYLE).samples for made in (tiny_voice, mixed_voice))
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(tiny_voice.say_text(HELLO, STYLE).samples, exact)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert np.array_equal(pool.submit(mixed_voice.say_text, HELLO, STYLE).result().samples, mixed)
