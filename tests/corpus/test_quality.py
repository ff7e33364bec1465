"""The measures of a clip's sound, on sounds of which they are known."""

import numpy as np
import pytest
import soxr
from kelong_contract import corpora
from kelong_demo import files
from kelong_speech import audio
from kelong_trainer.corpus.sound import quality

RATE_HZ = 44100


def noise_at(dbfs: float, seconds: float, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(round(seconds * RATE_HZ)) * 10 ** (dbfs / 20)).astype(np.float32)


def listening(**changes: object) -> corpora.Listening:
    fields = {"key": "a", "noise_floor_dbfs": -50.0, "speech": (corpora.Stretch(start_s=101, end_s=103),)}
    return corpora.Listening(**{**fields, **changes})


def clip(speech_dbfs: float, room_dbfs: float) -> audio.Speech:
    """Four seconds of which the middle two are loud; it starts at 100 s of its recording."""
    samples = noise_at(room_dbfs, 4)
    samples[RATE_HZ : 3 * RATE_HZ] += noise_at(speech_dbfs, 2, seed=2)
    return audio.Speech(samples=samples, sample_rate_hz=RATE_HZ)


@pytest.mark.parametrize(("speech_dbfs", "room_dbfs"), [(-20, -60), (-20, -40), (-26, -36), (-30, -32)])
def test_the_ratio_is_that_of_the_speech_to_the_room_around_it(speech_dbfs, room_dbfs):
    measured = quality.measure(clip(speech_dbfs, room_dbfs), 100.0, listening(), None)
    assert measured.snr_db == pytest.approx(speech_dbfs - room_dbfs, abs=0.7)


def test_a_clip_without_pauses_has_the_room_of_its_recording():
    samples = noise_at(-20, 4)
    everywhere = (corpora.Stretch(start_s=90, end_s=110),)
    measured = quality.measure(
        audio.Speech(samples=samples, sample_rate_hz=RATE_HZ), 100.0, listening(speech=everywhere), None
    )
    assert measured.snr_db == pytest.approx(30, abs=0.3)


def test_where_nobody_speaks_there_is_no_ratio_and_where_nothing_measures_nothing_is_told():
    measured = quality.measure(clip(-20, -60), 100.0, listening(speech=()), None)
    assert measured == corpora.Measures(clipped_share=0.0, music_share=0.0, hum_share=0.0)


def test_digital_silence_is_no_division_by_nothing():
    silent = audio.Speech(samples=np.zeros(RATE_HZ, np.float32), sample_rate_hz=RATE_HZ)
    everywhere = (corpora.Stretch(start_s=0, end_s=1),)
    measured = quality.measure(silent, 0.0, listening(speech=everywhere, noise_floor_dbfs=-120.0), None)
    assert measured.snr_db is not None and measured.clipped_share == 0


def test_the_least_similar_stretch_and_the_share_of_music_are_those_of_the_clip():
    voices = tuple(
        corpora.VoiceStretch(start_s=start, end_s=end, similarity=similarity)
        for start, end, similarity in [(98.0, 100.5, 0.1), (100.5, 102.0, 0.9), (102.0, 103.6, 0.8), (104, 105, 0.2)]
    )
    music = (corpora.Stretch(start_s=90, end_s=101), corpora.Stretch(start_s=103, end_s=103.5))
    measured = quality.measure(clip(-20, -60), 100.0, listening(voices=voices, music=music), None)
    assert measured.similarity == 0.85
    assert measured.music_share == pytest.approx(1.5 / 4)


@pytest.mark.parametrize(
    ("similarities", "measured"),
    [
        ((0.9,), 0.9),  # of one stretch
        ((0.92, 0.9, 0.74, 0.92), 0.79),  # one is off, by chance
        ((0.92, 0.9, 0.6, 0.92), 0.65),  # one is somebody else's
        ((0.92, 0.7, 0.72, 0.92), 0.71),  # so are two in a row
    ],
)
def test_a_voice_is_another_where_two_stretches_say_so_or_one_says_it_loudly(similarities, measured):
    voices = tuple(
        corpora.VoiceStretch(start_s=100 + index, end_s=101 + index, similarity=similarity)
        for index, similarity in enumerate(similarities)
    )
    found = quality.measure(clip(-20, -60), 100.0, listening(voices=voices), None)
    assert found.similarity == pytest.approx(measured)


@pytest.mark.parametrize(("room_dbfs", "given_back"), [(-60, 0.0), (-36, 0.007 * 14), (-30, 0.007 * 20)])
def test_a_voice_in_noise_is_given_back_what_noise_takes(room_dbfs, given_back):
    voices = (corpora.VoiceStretch(start_s=101.0, end_s=103.0, similarity=0.7),)
    heard = quality.measure(clip(-20, room_dbfs), 100.0, listening(voices=voices), None)
    assert heard.similarity == pytest.approx(0.7 + given_back, abs=0.01)


@pytest.mark.parametrize(("gain", "turned_down"), [(4.0, 1.0), (4.0, 0.3), (10.0, 1.0)])
def test_flat_tops_are_found_also_when_turned_down_or_resampled(truth, gain, turned_down):
    sound = files.read(sorted(truth[0].iterdir())[0])
    clean = sound.samples / np.abs(sound.samples).max()
    clipped = np.clip(gain * clean, -1, 1) * turned_down

    clean_share, clipped_share, resampled_share = (
        quality.clipped_share(samples.astype(np.float32))
        for samples in (
            soxr.resample(clean, sound.sample_rate_hz, RATE_HZ),
            clipped,
            np.clip(soxr.resample(clipped, sound.sample_rate_hz, RATE_HZ), -1, 1),
        )
    )
    truly = float(np.mean(np.abs(clipped) >= 0.9999 * turned_down))
    assert clean_share < 0.0005
    assert clipped_share == pytest.approx(truly, rel=0.3)
    assert turned_down < 1 or resampled_share > truly / 2  # ringing hides tops that are below full scale


def test_dnsmos_of_a_clip_is_told_where_it_is_to_be_had():
    measured = quality.measure(clip(-20, -60), 100.0, listening(), lambda speech: 2.71828)
    assert measured.dnsmos == 2.718


@pytest.mark.parametrize("seconds", [3, 9.5, 14, 24])
def test_dnsmos_of_a_few_windows_is_nearly_that_of_all(truth, seconds):
    sound = files.read(sorted(truth[0].iterdir())[0])
    samples = np.resize(sound.samples, round(seconds * sound.sample_rate_hz))
    speech = audio.Speech(samples=samples, sample_rate_hz=sound.sample_rate_hz)
    model = quality.Dnsmos()
    assert model.briefly(speech) == pytest.approx(model.overall(speech), abs=0.15)


def test_dnsmos_of_nothing_is_none():
    nothing = audio.Speech(samples=np.zeros(0, np.float32), sample_rate_hz=RATE_HZ)
    model = quality.Dnsmos()
    assert model.briefly(nothing) is None and model.overall(nothing) is None
