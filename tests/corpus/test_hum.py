"""The mains' hum under a voice is told from music and from noise, and a clip that hums too loudly says so."""

import numpy as np
import pytest
from kelong_contract import corpora, orders
from kelong_demo import files
from kelong_speech import audio
from kelong_trainer.corpus.clips import grading
from kelong_trainer.corpus.listening import hum, music
from kelong_trainer.corpus.sound import quality

RATE_HZ = 16_000
# How strong each multiple of the mains' frequency is: a cable, a rectifier, a dimmer.
KINDS = {
    "cable": {1: 1.0, 2: 0.3, 3: 0.4, 5: 0.2, 7: 0.1, 9: 0.08},
    "rectifier": {number: 2 / number for number in range(2, 30, 2)},
    "dimmer": {number: number**-0.5 for number in range(1, 60)},
}


def times(seconds):
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def at(samples, dbfs):
    return samples * 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))


def humming(kind, hz, seconds):
    return sum(size * np.sin(2 * np.pi * number * hz * times(seconds) + number) for number, size in KINDS[kind].items())


def held(root_hz, seconds):
    """A chord that is held without any change."""
    notes = [root_hz * 2 ** (semitones / 12) for semitones in (0, 4, 7, 12)]
    return sum(np.sin(2 * np.pi * hz * number * times(seconds)) / number for hz in notes for number in range(1, 9))


@pytest.fixture(scope="module")
def talk(truth):
    """Half a minute of speech in a quiet room."""
    sound = files.read(sorted(truth[0].iterdir())[0])
    samples = audio.resample(audio.Speech(samples=sound.samples, sample_rate_hz=sound.sample_rate_hz), RATE_HZ).samples
    samples = np.resize(at(samples, -21), 30 * RATE_HZ)
    return samples + np.random.default_rng(1).standard_normal(len(samples)) * 10 ** (-62 / 20)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("hz", "dbfs"), [(50.06, -26), (59.96, -36), (49.95, -46), (50.0, -54)])
def test_hum_that_begins_under_a_voice_is_found_and_is_no_music(talk, kind, hz, dbfs):
    sound = talk.copy()
    sound[10 * RATE_HZ :] += at(humming(kind, hz, 20), dbfs)
    found = hum.find(sound.astype(np.float32))
    [stretch] = [item.stretch for item in found]
    assert stretch.start_s == pytest.approx(10, abs=6) and stretch.end_s == pytest.approx(30, abs=1.5)
    assert stretch.hz == round(hz, -1)
    assert stretch.level_dbfs == pytest.approx(dbfs, abs=3)
    assert music.find(sound.astype(np.float32), found) == ()


def test_a_voice_alone_noise_and_silence_do_not_hum(talk):
    assert hum.find(talk.astype(np.float32)) == ()
    assert hum.find(np.random.default_rng(2).standard_normal(20 * RATE_HZ).astype(np.float32) / 10) == ()
    for count in (0, 100, 4096, 60_000, 20 * RATE_HZ):
        assert hum.find(np.zeros(count, np.float32)) == ()


@pytest.mark.parametrize("root_hz", 49.0 * 2 ** (np.arange(12) / 12))
def test_chords_that_are_held_for_eight_seconds_do_not_hum_and_stay_music(root_hz):
    chords = np.concatenate([held(root_hz * 2 ** (step / 12), 8) for step in (0, 5, 7)])
    sound = (at(chords, -25) + np.random.default_rng(3).standard_normal(len(chords)) * 1e-3).astype(np.float32)
    found = hum.find(sound)
    assert found == ()
    [stretch] = music.find(sound, found)
    assert (stretch.start_s, stretch.end_s) == (0.0, 24.0)


def test_music_is_heard_through_a_hum():
    random = np.random.default_rng(4)
    chords = np.concatenate([held(110 * 2 ** (random.integers(12) / 12), 1.5) for _ in range(20)])
    sound = at(chords, -30) + at(humming("cable", 50.02, 30), -40) + random.standard_normal(len(chords)) * 1e-3
    found = hum.find(sound.astype(np.float32))
    assert found
    [stretch] = music.find(sound.astype(np.float32), found)
    assert stretch.end_s - stretch.start_s > 27


def test_hum_of_windows_that_follow_one_another_is_one():
    first = corpora.Hum(start_s=90.0, end_s=118.5, hz=50.0, level_dbfs=-41.0)
    second = corpora.Hum(start_s=120.0, end_s=200.0, hz=50.0, level_dbfs=-40.0)
    american = corpora.Hum(start_s=201.0, end_s=220.0, hz=60.0, level_dbfs=-40.0)
    assert hum.joined([first, second, american]) == (
        corpora.Hum(start_s=90.0, end_s=200.0, hz=50.0, level_dbfs=-40.0),
        american,
    )


@pytest.mark.parametrize(
    ("hum_dbfs", "noise_dbfs", "grade", "reason"),
    [(-50, -70, "A", None), (-38, -60, "B", "Hum"), (-25, -60, None, "Hum"), (-40, -28, None, "Noisy")],
)
def test_a_clip_that_hums_is_graded_by_how_loudly_and_says_so(hum_dbfs, noise_dbfs, grade, reason):
    random = np.random.default_rng(5)
    samples = at(humming("cable", 50.0, 12), hum_dbfs) + random.standard_normal(12 * RATE_HZ) * 10 ** (noise_dbfs / 20)
    samples[2 * RATE_HZ : 10 * RATE_HZ] += random.standard_normal(8 * RATE_HZ) * 10 ** (-20 / 20)
    listening = corpora.Listening(
        key="a",
        noise_floor_dbfs=hum_dbfs,
        speech=(corpora.Stretch(start_s=102, end_s=110),),
        hum=(corpora.Hum(start_s=50.0, end_s=200.0, hz=50.0, level_dbfs=hum_dbfs),),
    )
    speech = audio.Speech(samples=samples.astype(np.float32), sample_rate_hz=RATE_HZ)
    measures = quality.measure(speech, 100.0, listening, None)
    verdict = grading.verdict(measures, orders.Judging(), duration_s=12.0, lengths=orders.Slicing())
    assert verdict.grade == grade
    assert [finding.reason for finding in verdict.findings] == ([reason] if reason else [])
