"""Music of several kinds, alone and under a voice that glides, against all that is none."""

import numpy as np
import pytest
from kelong_contract.corpora import Stretch
from kelong_trainer.corpus.listening import music

RATE_HZ = 16000
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


def at(samples: np.ndarray, dbfs: float) -> np.ndarray:
    return samples * 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))


def times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def note(hz: float, seconds: float) -> np.ndarray:
    time_s = times(seconds)
    return sum(np.sin(2 * np.pi * hz * n * time_s) / n for n in range(1, 6)) * np.exp(-time_s / seconds)


def played(random: np.random.Generator, seconds: float, at_once: int, note_s: float) -> np.ndarray:
    """So many random notes of a scale at once, one set after the other."""
    sets = [
        sum(note(220 * 2 ** (random.choice(SCALE) / 12), note_s) for _ in range(at_once))
        for _ in range(round(seconds / note_s))
    ]
    return np.concatenate(sets)


def voice(random: np.random.Generator, seconds: float) -> np.ndarray:
    """Syllables of a fifth of a second whose pitch glides, with pauses between."""
    parts = []
    for _ in range(round(seconds / 0.25)):
        time_s = times(0.2)
        phase = 2 * np.pi * np.cumsum(np.linspace(*random.uniform(140, 260, 2), len(time_s))) / RATE_HZ
        parts += [sum(np.sin(n * phase) / n for n in range(1, 20)) * np.hanning(len(time_s)), np.zeros(800)]
    return np.concatenate(parts)


def in_a_room(random: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    return (samples + random.standard_normal(len(samples)) * 10 ** (-60 / 20)).astype(np.float32)


@pytest.mark.parametrize(("at_once", "note_s"), [(3, 2.0), (1, 0.5), (2, 0.4)])
@pytest.mark.parametrize("under_voice_db", [None, -6, -12])
def test_music_is_found_alone_and_under_a_voice(at_once, note_s, under_voice_db):
    random = np.random.default_rng(at_once)
    sound = at(played(random, 20, at_once, note_s), -21 + (under_voice_db or 0))
    if under_voice_db is not None:
        sound = sound + at(voice(random, 20), -21)[: len(sound)]
    assert music.find(in_a_room(random, sound)) == (Stretch(start_s=0.0, end_s=20.0),)


@pytest.mark.parametrize(
    "make",
    [
        voice,
        lambda random, seconds: 10 * random.standard_normal(len(times(seconds))),
        lambda random, seconds: sum(np.sin(2 * np.pi * 50 * n * times(seconds)) / n for n in (1, 2, 3, 5, 7, 9, 11)),
        lambda random, seconds: np.sin(2 * np.pi * 1000 * times(seconds)) * (times(seconds) % 2 < 0.3),
    ],
    ids=["a voice", "noise", "hum", "beeps"],
)
def test_what_is_no_music_is_none(make):
    random = np.random.default_rng(5)
    assert music.find(in_a_room(random, at(make(random, 20), -25))) == ()


def test_music_is_told_to_the_second():
    random = np.random.default_rng(6)
    parts = [at(voice(random, 15), -21), at(played(random, 12, 3, 1.0), -21), at(voice(random, 15), -21)]
    [stretch] = music.find(in_a_room(random, np.concatenate(parts)))
    assert stretch.start_s == pytest.approx(15, abs=2)
    assert stretch.end_s == pytest.approx(27, abs=2)


@pytest.mark.parametrize("count", [0, 100, 3000, 30000])
def test_short_or_silent_sound_is_no_music(count):
    assert music.find(np.zeros(count, np.float32)) == ()


def test_stretches_of_windows_that_follow_one_another_are_one():
    windows = [Stretch(start_s=100, end_s=118.4), Stretch(start_s=119, end_s=130), Stretch(start_s=150, end_s=160)]
    assert music.joined(windows) == (Stretch(start_s=100, end_s=130), windows[2])
