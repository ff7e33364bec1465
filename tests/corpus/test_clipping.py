"""Clipped sound is found in the file as it is, second by second, whatever resampling makes of it afterwards."""

import numpy as np
import pytest
import soundfile
from kelong_contract import corpora, orders, store
from kelong_demo import files
from kelong_speech import audio
from kelong_trainer.corpus.clips import grading
from kelong_trainer.corpus.sound import clipping, decoding, media, quality
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest

RATE_HZ = 44100
DATASET = "recordings/lab/khazix/"


def tone(hz, level, seconds, rate_hz=RATE_HZ):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def measured(*channels, block=977, rate_hz=RATE_HZ):
    meter = clipping.Meter()
    samples = np.stack(channels).astype(np.float32)
    for start in range(0, samples.shape[1], block):
        meter.add(media.Block(rate_hz=rate_hz, samples=samples[:, start : start + block]))
    meter.finish()
    return meter


@pytest.fixture(scope="module")
def voice(truth):
    """Some seconds of speech at 24 kHz, as loud as can be."""
    sound = files.read(sorted(truth[0].iterdir())[0])
    return sound.samples / np.abs(sound.samples).max(), sound.sample_rate_hz


@pytest.mark.parametrize("turned_down", [1.0, 0.25])
@pytest.mark.parametrize("block", [500, 44_100, 100_000])
def test_clipped_samples_are_counted_even_if_turned_down_afterwards(turned_down, block):
    wave = tone(200, 2.0, 2.5)
    clipped = turned_down * np.clip(wave, -1, 1)
    assert measured(clipped, block=block).share == pytest.approx((np.abs(wave) >= 1).mean(), abs=0.02)
    assert measured(0.1 * wave, clipped, block=block).share == pytest.approx((np.abs(wave) >= 1).mean(), abs=0.02)
    assert measured(0.01 * clipped / turned_down, block=block).share == 0.0


@pytest.mark.parametrize(
    "sound",
    [
        tone(100, 0.9, 1),
        0.1 * np.random.default_rng(9).standard_normal(RATE_HZ),
        np.zeros(RATE_HZ),
        np.full(RATE_HZ, 0.5),
    ],
)
def test_sound_that_only_reaches_its_extreme_is_not_clipped(sound):
    assert measured(sound).share < 1e-4


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ULAW"])
@pytest.mark.parametrize("rate_hz", [8000, 24_000, 48_000])
def test_speech_in_coarse_steps_is_not_clipped(tmp_path, voice, subtype, rate_hz):
    samples, own_hz = voice
    loud = 0.95 * audio.resample(audio.Speech(samples=samples, sample_rate_hz=own_hz), rate_hz).samples
    soundfile.write(tmp_path / "a.wav", loud / np.abs(loud).max(), rate_hz, subtype=subtype)
    assert decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac").sound.clipped_share < 1e-4


def test_one_side_may_be_clipped_alone():
    assert measured(np.minimum(tone(200, 1.0, 1), 0.5)).share == pytest.approx(1 / 3, abs=0.02)


def test_the_seconds_that_are_clipped_are_told_whatever_is_louder_elsewhere():
    clean, clipped = tone(200, 0.9, 3), 0.3 * np.clip(tone(200, 4.0, 2), -1, 1)
    found = measured(np.concatenate([clean, clipped, clean[:RATE_HZ]])).stretches
    assert [(stretch.start_s, stretch.end_s) for stretch in found] == [(3.0, 4.0), (4.0, 5.0)]
    assert all(0.8 < stretch.share < 0.9 for stretch in found)


def test_a_file_that_changes_its_rate_keeps_its_times():
    meter = clipping.Meter()
    for rate_hz in (8000, 48_000):
        samples = np.clip(tone(200, 4.0, 1.5, rate_hz), -1, 1).astype(np.float32)
        meter.add(media.Block(rate_hz=rate_hz, samples=samples[np.newaxis]))
    meter.finish()
    ends = [(stretch.start_s, stretch.end_s) for stretch in meter.stretches]
    assert ends == [(0.0, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 3.0)]


@pytest.mark.parametrize(("gain_db", "reason"), [(0, None), (6, None), (12, "Clipped"), (20, "Clipped")])
def test_a_clip_that_was_clipped_before_it_was_resampled_is_called_clipped(tmp_path, voice, gain_db, reason):
    samples, rate_hz = voice
    loud = np.clip(0.999 * 10 ** (gain_db / 20) * samples, -1, 1)
    soundfile.write(tmp_path / "a.wav", loud, rate_hz, subtype="PCM_16")
    decoded = decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac")
    written, out_hz = soundfile.read(tmp_path / "out.flac", dtype="float32")
    speech = audio.Speech(samples=written[3 * out_hz : 9 * out_hz], sample_rate_hz=out_hz)
    whole = (corpora.Stretch(start_s=0, end_s=20),)
    unlike = (corpora.VoiceStretch(start_s=4, end_s=6, similarity=0.5),) if reason else ()
    listening = corpora.Listening(key="a", noise_floor_dbfs=-60.0, speech=whole, voices=unlike)
    found = quality.measure(speech, 3.0, listening, None, decoded.clipped)
    truly = float((np.abs(loud[3 * rate_hz : 9 * rate_hz]) >= 0.9999).mean())
    assert found.clipped_share == pytest.approx(truly, rel=0.3, abs=1e-4)
    verdict = grading.verdict(found, orders.Judging(), duration_s=6.0, lengths=orders.Slicing(aim_min_s=5))
    assert verdict.reason == reason
    assert any(finding.reason == "Clipped" for finding in verdict.findings) == (gain_db > 0)


def test_a_stretch_of_a_file_has_its_own_clipped_seconds(tmp_path, order_of, trainer, voice):
    samples, rate_hz = voice
    sound = np.resize(samples, 20 * rate_hz)
    sound[8 * rate_hz :] = np.clip(10 * sound[8 * rate_hz :], -1, 1)
    place = store.FolderStore(tmp_path / "store")
    soundfile.write(tmp_path / "a.wav", sound, rate_hz, subtype="PCM_16")
    place.put_file(DATASET + "a.wav", tmp_path / "a.wav")
    lines = '{"audio": "a.wav", "start_s": 1, "end_s": 7}\n{"audio": "a.wav", "start_s": 7.25, "end_s": 12.5}\n'
    place.put(DATASET + "list.jsonl", lines.encode())
    dataset = orders.Dataset(type="S3", prefix=DATASET, format="ManifestJSONL", manifest="list.jsonl")
    context = trainer(place, order_of(dataset=dataset))
    corpus = ingest.run(context, recordings.Source(context).listing(), {"Khazix": 0})
    clean, clipped, rest = corpus.recordings
    assert (clean.clipped, rest.clipped) == ((), ())
    assert [(stretch.start_s, stretch.end_s) for stretch in clipped.clipped] == [
        (0.75, 1.75),
        (1.75, 2.75),
        (2.75, 3.75),
        (3.75, 4.75),
        (4.75, 5.25),
    ]
