"""A voice loads what its manifest describes and says the same for the same seed, whoever asks and when."""

import concurrent.futures
import dataclasses

import numpy as np
import pytest
import torch
from kelong_contract import layout, orders
from kelong_speech import config, features, reading, sources, synthesiser, voice
from kelong_speech.text import frontend, polyphones

STYLE = voice.Style(speaker="小明", seed=11)
HELLO = "你好，世界。"


def test_a_published_step_speaks_like_the_generator_that_was_saved(published, tiny_voice):
    loaded = published.load()
    assert loaded.config == tiny_voice.config
    said, expected = loaded.say_text(HELLO, STYLE), tiny_voice.say_text(HELLO, STYLE)
    assert said.sample_rate_hz == 44100
    assert np.array_equal(said.samples, expected.samples)


def test_speech_is_as_long_as_whole_frames(tiny_voice):
    speech = tiny_voice.say(frontend.analyse(HELLO), STYLE)
    assert len(speech.samples) > 0 and len(speech.samples) % 512 == 0
    assert speech.samples.dtype == np.float32 and np.abs(speech.samples).max() <= 1


def test_a_larger_length_is_slower_and_another_seed_differs(tiny_voice):
    usual = tiny_voice.say_text(HELLO, STYLE)
    slow = tiny_voice.say_text(HELLO, dataclasses.replace(STYLE, length=1.5))
    assert 1.3 * usual.duration_s < slow.duration_s < 1.7 * usual.duration_s
    other = tiny_voice.say_text(HELLO, dataclasses.replace(STYLE, seed=12))
    assert not np.array_equal(other.samples, usual.samples)


def test_speakers_differ(tiny_voice):
    other = tiny_voice.say_text(HELLO, dataclasses.replace(STYLE, speaker="b"))
    assert not np.array_equal(other.samples, tiny_voice.say_text(HELLO, STYLE).samples)
    with pytest.raises(config.ConfigError, match="no speaker is called 'c'; this voice has 小明, b"):
        tiny_voice.say_text(HELLO, dataclasses.replace(STYLE, speaker="c"))


def test_threads_do_not_disturb_each_other(tiny_voice):
    texts = [HELLO, "今天天气真不错。", "我们去公园吧！", "再见。"] * 3
    expected = [tiny_voice.say_text(text, STYLE).samples for text in texts]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = [speech.samples for speech in pool.map(lambda text: tiny_voice.say_text(text, STYLE), texts)]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))


def test_speaking_neither_draws_from_nor_sets_torchs_generator(tiny_voice):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = tiny_voice.say_text(HELLO, STYLE)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert np.array_equal(first.samples, tiny_voice.say_text(HELLO, STYLE).samples)


def test_a_long_text_is_its_pieces_with_pauses_scaled_by_length(tiny_voice):
    style = dataclasses.replace(STYLE, length=2.0)
    text = "今天天气真不错。" * 12
    lines = tiny_voice.read(text)
    assert len(lines.pieces) == 2
    first, second = (
        tiny_voice.say(piece.utterance, dataclasses.replace(style, seed=style.seed + index)).samples
        for index, piece in enumerate(lines.pieces)
    )
    whole = tiny_voice.say_text(text, style).samples
    pause = np.zeros(round(2.0 * 0.2 * 44100), dtype=np.float32)
    assert np.array_equal(whole, np.concatenate([first, pause, second]))


def test_speech_without_end_is_refused(tiny_voice):
    with pytest.raises(synthesiser.SpeechTooLong, match="lower `length`"):
        tiny_voice.say_text(HELLO, dataclasses.replace(STYLE, length=1000.0))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"length": 0.0}, "length must be greater than 0, not 0.0"),
        ({"sdp_ratio": 1.5}, "sdp_ratio must be from 0 to 1, not 1.5"),
        ({"noise": -1.0}, "noise must be 0 or greater, not -1.0"),
        ({"noise_w": float("nan")}, "noise_w must be 0 or greater, not nan"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_settings_without_sense_are_refused(setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        voice.Style(speaker="小明", **setting)


def test_a_changed_object_is_not_served(published):
    stored = published.manifest.file(layout.GENERATOR_FILE)
    damaged = bytearray(published.store.get(stored.key))
    damaged[-1] ^= 1
    published.store.put(stored.key, bytes(damaged))
    with pytest.raises(voice.DigestMismatch, match="its manifest says"):
        published.load()
    assert not [path for path in published.cache.iterdir() if path.suffix == ".safetensors"]


def test_a_damaged_cache_is_fetched_anew(published):
    published.load()
    (cached,) = [path for path in published.cache.iterdir() if path.suffix == ".safetensors"]
    cached.write_bytes(b"damaged")
    published.load()


def test_a_cached_file_needs_no_store(published):
    first = published.load().say_text(HELLO, STYLE)
    for stored in published.manifest.files:
        published.store.delete(stored.key)
    assert np.array_equal(published.load().say_text(HELLO, STYLE).samples, first.samples)


def test_a_voice_with_a_text_encoder_asks_for_one_of_its_width(make_generator, text_encoder_folder):
    encoder = features.TextEncoder.load(text_encoder_folder)
    generator = make_generator(text_feature_channels=24)
    assert voice.Voice.from_parts(generator, text_encoder=encoder).say_text(HELLO, STYLE).duration_s > 0
    with pytest.raises(sources.ModelSourceUnavailable, match="features of 24 values, the encoder given has none"):
        voice.Voice.from_parts(make_generator(text_feature_channels=24))
    with pytest.raises(sources.ModelSourceUnavailable, match="features of 32 values, the encoder given has 24"):
        voice.Voice.from_parts(make_generator(text_feature_channels=32), text_encoder=encoder)


def test_a_voice_with_styles_uses_the_speakers_or_the_one_given(make_generator):
    generator = make_generator(style_channels=4)
    speaker = config.Speaker(name="小明", id=0, style=(0.5, 0.5, 0.5, 0.5))
    generator.config = dataclasses.replace(generator.config, speakers=(speaker, generator.config.speakers[1]))
    styled = voice.Voice.from_parts(generator)
    usual = styled.say_text(HELLO, STYLE)
    given = styled.say_text(HELLO, dataclasses.replace(STYLE, vector=(0.5, 0.5, 0.5, 0.5)))
    assert np.array_equal(usual.samples, given.samples)
    with pytest.raises(ValueError, match="needs a style vector of 4 values for b, there is none"):
        styled.say_text(HELLO, dataclasses.replace(STYLE, speaker="b"))


def test_a_voice_is_spoken_to_by_the_polyphone_model_that_read_its_texts(make_generator):
    generator = make_generator()
    bundled = polyphones.open_model("bundled")
    front_end = dataclasses.replace(generator.config.front_end, polyphone=bundled.identity)
    generator.config = dataclasses.replace(generator.config, front_end=front_end)
    assert (
        voice.Voice.from_parts(generator, front_end=frontend.FrontEnd(polyphones=bundled))
        .say_text(HELLO, STYLE)
        .duration_s
        > 0
    )
    assert voice.Voice.from_parts(generator).say_text(HELLO, STYLE).duration_s > 0
    with pytest.raises(sources.ModelSourceUnavailable, match=r"polyphone.*taught .* 'g2pM:\w+' read.*gives 'none'"):
        voice.Voice.from_parts(generator, front_end=frontend.FrontEnd(polyphones=polyphones.open_model("none")))


def test_a_voice_is_read_to_by_its_own_profile(make_generator):
    original = frontend.FrontEnd(frontend.Profile.AS_ORIGINAL)
    with pytest.raises(ValueError, match="read by the profile 'fixed', not 'as-original'"):
        voice.Voice.from_parts(make_generator(), front_end=original)


def test_the_originals_profile_fetches_no_polyphone_model(published, tmp_path):
    missing = orders.Sources(polyphone=f"path:{tmp_path}/nowhere")
    made = reading.front_end("as-original", orders.Text(), missing, "team", published.store, tmp_path)
    assert made.polyphone_identity == "none"
    with pytest.raises(sources.ModelSourceUnavailable, match="there is no folder"):
        reading.front_end("fixed", orders.Text(), missing, "team", published.store, tmp_path)


@pytest.mark.parametrize(("address", "begins"), [(None, "g2pM:"), ("bundled", "g2pM:"), ("none", "none")])
def test_an_order_names_the_polyphone_model(published, tmp_path, address, begins):
    wanted = orders.Sources(polyphone=address)
    model = reading.polyphone_model(wanted, "team", published.store, tmp_path)
    assert model.identity.startswith(begins)
    assert reading.polyphone_identity(wanted, "team", published.store) == model.identity


def test_a_polyphone_source_without_a_model_is_refused(published, tmp_path):
    wanted = orders.Sources(polyphone=f"path:{tmp_path}")
    with pytest.raises(sources.ModelSourceUnavailable, match=r"has no g2pw\.onnx; expected g2pW's"):
        reading.polyphone_model(wanted, "team", published.store, tmp_path)
