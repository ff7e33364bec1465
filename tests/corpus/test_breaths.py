"""Breaths against sounds that are none, each made anew, in a pause of something that a VAD takes for speech."""

import numpy as np
import pytest
from kelong_contract.corpora import Stretch
from kelong_trainer.corpus.listening import breaths

RATE_HZ = 16000


def band(random: np.random.Generator, seconds: float, low_hz: float, high_hz: float) -> np.ndarray:
    count = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(random.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    return np.fft.irfft(spectrum, count)


def at(samples: np.ndarray, dbfs: float) -> np.ndarray:
    return samples * 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))


def inhale(random, seconds=0.3, low_hz=500, high_hz=4500):
    return band(random, seconds, low_hz, high_hz) * np.hanning(round(seconds * RATE_HZ))


def tone(seconds, *hz):
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return sum(np.sin(2 * np.pi * each * time_s) for each in hz) * np.hanning(len(time_s))


def rustle(random):
    crackle = np.interp(np.arange(8000), np.arange(0, 8000, 320), random.exponential(1, 25))
    return band(random, 0.5, 200, 7800) * crackle


def smack(random):
    one = np.sin(np.arange(320) * 0.9) * np.exp(-np.arange(320) / 60)
    return np.concatenate([one, np.zeros(600), one])


def knock(random):
    time_s = np.arange(2400) / RATE_HZ
    return (np.sin(2 * np.pi * 120 * time_s) + 0.5 * random.standard_normal(2400)) * np.exp(-time_s / 0.04)


def session(random, sound, dbfs, *, room_dbfs=-60.0, before_s=0.3, after_s=0.1):
    """Two words with the sound between them: the samples, the speech, and where the sound is."""
    word = at(np.clip(tone(1.2, 150, 300, 450, 600, 900, 1800), -0.3, 0.3), -21)  # ends at once
    parts = [np.zeros(8000), word, np.zeros(round(before_s * RATE_HZ)), at(sound, dbfs)]
    start_s = sum(map(len, parts[:3])) / RATE_HZ
    end_s = start_s + len(sound) / RATE_HZ
    samples = np.concatenate([*parts, np.zeros(round(after_s * RATE_HZ)), word, np.zeros(16000)])
    samples = samples + random.standard_normal(len(samples)) * 10 ** (room_dbfs / 20)
    word_s = len(word) / RATE_HZ
    speech = (
        Stretch(start_s=0.55, end_s=0.5 + word_s),
        Stretch(start_s=end_s + after_s + 0.05, end_s=len(samples) / RATE_HZ - 1),
    )
    return samples.astype(np.float32), speech, (start_s, end_s)


@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("dbfs", [-48, -40, -33])
@pytest.mark.parametrize("after_s", [0.025, 0.1, 0.4])
def test_an_inhale_before_a_word_is_found_where_it_is(seconds, dbfs, after_s):
    random = np.random.default_rng(1)
    samples, speech, (start_s, end_s) = session(random, inhale(random, seconds), dbfs, after_s=after_s)
    [breath] = breaths.find(samples, speech)
    # It swells and fades: its outermost part lies below the room's noise.
    assert start_s - 0.02 <= breath.start_s <= start_s + seconds / 4
    assert end_s - seconds / 4 <= breath.end_s <= end_s + 0.02
    assert 0.5 <= breath.confidence <= 1 and breath.level_db > 5


def test_a_weaker_breath_is_believed_less():
    random = np.random.default_rng(1)
    sounds = [session(random, inhale(random), -38, room_dbfs=room_dbfs) for room_dbfs in (-60, -36)]
    loud, weak = (breaths.find(samples, speech)[0] for samples, speech, _ in sounds)
    assert loud.level_db > weak.level_db + 15
    assert loud.confidence >= weak.confidence >= 0.5


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a voiced hum", lambda random: tone(0.3, 140, 280, 420, 560, 700)),
        ("a beep", lambda random: tone(0.25, 1500)),
        ("a click", lambda random: random.standard_normal(80) * np.linspace(1, 0, 80)),
        ("parting lips", smack),
        ("rustling", rustle),
        ("a knock", knock),
        ("a low rumble", lambda random: band(random, 0.3, 100, 600) * np.hanning(4800)),
        ("a hiss", lambda random: band(random, 0.3, 6500, 8000) * np.hanning(4800)),
        ("something long", lambda random: band(random, 1.5, 500, 4500) * np.hanning(24000)),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_no_inhale_is_none(name, make, seed):
    random = np.random.default_rng(seed)
    samples, speech, _ = session(random, make(random), -38)
    assert breaths.find(samples, speech) == (), name


def test_the_tail_of_a_word_is_part_of_the_word():
    random = np.random.default_rng(2)
    tail = band(random, 0.15, 2500, 7500) * np.linspace(1, 0, 2400)
    samples, speech, _ = session(random, tail, -35, before_s=0.0, after_s=0.4)
    assert breaths.find(samples, speech) == ()


def test_a_breath_that_no_word_follows_is_none():
    random = np.random.default_rng(2)
    samples, speech, _ = session(random, inhale(random), -38)
    assert breaths.find(samples, speech[:1]) == ()


def test_hum_of_the_mains_neither_hides_a_breath_nor_makes_one():
    random = np.random.default_rng(4)
    samples, speech, (start_s, _) = session(random, inhale(random), -40)
    time_s = np.arange(len(samples)) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * 50 * n * time_s) / n for n in (1, 2, 3, 5, 7)) * 10 ** (-42 / 20)
    [breath] = breaths.find((samples + hum).astype(np.float32), speech)
    assert breath.start_s == pytest.approx(start_s, abs=0.1)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), np.zeros(32000), np.ones(32000)])
def test_sound_of_any_kind_is_looked_at_without_harm(samples):
    length_s = len(samples) / RATE_HZ
    for speech in ((), (Stretch(start_s=0.0, end_s=length_s),), (Stretch(start_s=length_s / 2, end_s=length_s),)):
        assert breaths.find(samples.astype(np.float32), speech) == ()
