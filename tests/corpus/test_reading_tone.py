"""Cues of reading aloud, on sounds whose pitch is known."""

import numpy as np
import pytest
from kelong_contract.corpora import Stretch, Word
from kelong_trainer.corpus.clips import reading_tone

RATE_HZ = 44100


def voice(*semitones, length_s=2.0):
    """A buzz whose pitch moves evenly through semitones over 150 Hz, with a little noise."""
    times = np.linspace(0, len(semitones) - 1, round(length_s * RATE_HZ))
    pitch_hz = 150 * 2 ** (np.interp(times, np.arange(len(semitones)), semitones) / 12)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    buzz = sum(np.sin(number * phase) / number for number in range(1, 12))
    noise = np.random.default_rng(1).standard_normal(len(buzz))
    return (0.1 * buzz + 1e-3 * noise).astype(np.float32)


def said(text, start_s, s_each=0.25):
    return [
        Word(text=char, start_s=start_s + i * s_each, end_s=start_s + (i + 1) * s_each, probability=0.9)
        for i, char in enumerate(text)
    ]


def cues(samples=None, speech=(), words=()):
    given = np.zeros(RATE_HZ, np.float32) if samples is None else samples
    return reading_tone.cues(given, RATE_HZ, [Stretch(start_s=a, end_s=b) for a, b in speech], words)


@pytest.mark.parametrize("semitones", [-12, 0, 7, 14])
def test_the_pitch_of_a_voice_is_found(semitones):
    found = reading_tone.pitches(voice(semitones, semitones), RATE_HZ)
    voiced = found[~np.isnan(found)]
    assert len(voiced) > 0.95 * len(found)
    assert np.median(voiced) == pytest.approx(150 * 2 ** (semitones / 12), rel=0.01)


def test_noise_and_silence_have_no_pitch():
    noise = (0.1 * np.random.default_rng(2).standard_normal(RATE_HZ)).astype(np.float32)
    assert np.isnan(reading_tone.pitches(noise, RATE_HZ)).mean() > 0.9
    assert np.isnan(reading_tone.pitches(np.zeros(RATE_HZ, np.float32), RATE_HZ)).all()
    assert len(reading_tone.pitches(np.zeros(100, np.float32), RATE_HZ)) == 0


def test_a_wider_pitch_speaks_for_reading():
    narrow, wide = (cues(voice(0, spread, 0, length_s=4.0)).pitch_range for spread in (5, 18))
    assert narrow == 0 and wide == 1


def test_a_pitch_that_falls_through_a_phrase_speaks_for_reading():
    falling, level = (cues(voice(*pitch), speech=[(0, 2)]).declination for pitch in ((6, -2), (0, 0)))
    assert falling == pytest.approx(1, abs=0.05) and level == pytest.approx(0, abs=0.05)


def test_pauses_at_marks_speak_for_reading():
    speech, words = [(0, 1), (1.5, 2.5)], [*said("今天早上", 0.0), *said("我在家里", 1.5)]
    assert cues(speech=speech, words=words).pauses_at_marks == 0
    marked = [*said("今天早", 0.0), Word(text="上，", start_s=0.75, end_s=1.0, probability=0.9), *said("我在家里", 1.5)]
    assert cues(speech=speech, words=marked).pauses_at_marks == 1


def test_hesitating_speaks_against_reading():
    assert cues(words=said("今天早上我起得很晚", 0)).fluency == 1
    assert cues(words=said("嗯今天那个早上我呃起得很晚", 0)).fluency == 0


def test_a_steady_pace_speaks_for_reading():
    steady = [*said("今天早上", 0.0), *said("我在家里", 2.0)]
    uneven = [*said("今天早上", 0.0), *said("我在家里看书写字", 2.0, 0.125)]
    speech = [(0, 1), (2, 3)]
    assert cues(speech=speech, words=steady).steadiness == 1
    assert cues(speech=speech, words=uneven).steadiness < 0.1


def test_the_tone_is_the_mean_of_the_cues_that_there_are():
    assert reading_tone.tone(reading_tone.Cues(pitch_range=1.0, fluency=0.5)) == 0.75
    assert reading_tone.tone(reading_tone.Cues(fluency=1.0)) is None
