"""The voice of the benchmark's recordings: its characters are where it says they are, and it says the same again."""

import itertools
import pathlib

import numpy as np
import pytest
from corpus import sessions, voices

TEXT = "周末如果不下雨，我们去花园儿爬山怎么样？"


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> voices.Voice:
    return voices.Voice.load(tmp_path_factory.mktemp("voice"))


def level_dbfs(samples: voices.Samples, start_s: float, end_s: float) -> float:
    part = samples[round(start_s * voices.RATE_HZ) : round(end_s * voices.RATE_HZ)].astype(np.float64)
    return float(10 * np.log10(max((part**2).mean(), 1e-12)))


def test_every_character_can_be_heard_where_it_is_said_to_be_and_commas_cannot(voice: voices.Voice) -> None:
    said = voice.say(TEXT)
    assert "".join(one.text for one in said.characters) == TEXT.replace("，", "").replace("？", "")
    assert said.characters[0].start_s == 0.0
    assert said.characters[-1].end_s == pytest.approx(said.duration_s, abs=0.001)
    whole = level_dbfs(said.samples, 0.0, said.duration_s)
    for one in said.characters:
        assert level_dbfs(said.samples, one.start_s, one.end_s) > whole - 25.0
    (pause,) = [pair for pair in itertools.pairwise(said.characters) if pair[1].start_s - pair[0].end_s > 0.05]
    assert pause[0].text == "雨"
    assert level_dbfs(said.samples, pause[0].end_s, pause[1].start_s) < whole - 40.0


def test_the_other_voice_is_lower_and_says_the_same_characters_in_about_the_same_time(voice: voices.Voice) -> None:
    own, other = voice.say(TEXT), voice.say(TEXT, voices.OTHER_MANNER)
    assert [one.text for one in own.characters] == [one.text for one in other.characters]
    assert other.duration_s == pytest.approx(own.duration_s, rel=0.15)


def test_what_was_said_before_is_said_again_from_the_cache(voice: voices.Voice, tmp_path: pathlib.Path) -> None:
    kept, fresh = voice.say(TEXT), voices.Voice.load(tmp_path).say(TEXT)
    assert np.array_equal(kept.samples, fresh.samples)
    assert kept.characters == fresh.characters


def test_a_session_is_the_same_each_time(voice: voices.Voice) -> None:
    first, again = (next(sessions.bursts(voice)) for _ in range(2))
    assert first.take == again.take
    assert np.array_equal(first.samples, again.samples)
