"""Whose voice a stretch of speech is: vectors that are drawn, then the stand-in speaker beside a lower voice."""

import numpy as np
import pytest
import soxr
from kelong_contract import corpora, store
from kelong_contract.corpora import Stretch
from kelong_demo import files, speaker
from kelong_speech import audio
from kelong_trainer.corpus.listening import speakers, voices
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest, listen

PREFIX = "recordings/lab/khazix/"


def speech(*spans):
    return tuple(Stretch(start_s=start, end_s=end) for start, end in spans)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def lengths(parts):
    return [round(part.end_s - part.start_s, 3) for part in parts]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 1.6)], [1.6]),
        ([(0, 4.8)], [1.6, 1.6, 1.6]),
        ([(0, 0.9)], [0.9]),
        ([(0, 0.5)], []),
        ([(0, 0.6), (0.8, 1.6)], [1.6]),
        ([(0, 0.6), (1.2, 2.8)], [1.6]),
        ([(0, 1.6), (1.7, 3.3)], [1.6, 1.6]),
        ([(0, 2), (2.1, 2.7), (3.0, 4.6)], [1.35, 1.35, 1.6]),
        ([(0, 1.6), (1.9, 2.5), (2.6, 3.5)], [1.6, 1.6]),
        ([], []),
    ],
)
def test_speech_is_looked_at_in_parts_that_a_voice_can_be_told_by(spans, expected):
    assert lengths(voices.stretches(speech(*spans))) == expected


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.45])
@pytest.mark.parametrize("count", [3, 60, 900])
def test_the_usual_voice_is_that_of_most_stretches_whoever_else_speaks(share, count):
    random = np.random.default_rng(count)
    own, other = unit(np.abs(random.standard_normal((2, 64))))
    others = int(share * count)
    mixed = np.concatenate([np.tile(other, (others, 1)), np.tile(own, (count - others, 1))])
    mixed = unit(mixed + 0.05 * random.standard_normal(mixed.shape))
    assert float(voices.usual(mixed) @ own) > 0.95


def test_vectors_are_kept_in_the_store_nearly_as_they_are():
    vectors = unit(np.random.default_rng(1).standard_normal((5, 256)))
    again = voices.unpack(voices.pack(list(vectors)), 5)
    assert np.abs(again - vectors).max() < 1e-3
    assert np.linalg.norm(again, axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_a_stretch_in_which_nobody_is_heard_has_no_voice():
    silent = np.zeros(32000, np.float32)
    assert voices.embed(silent, speech((0, 1.6)), speakers.resemblyzer_embedding()) == ((), [])


def test_the_default_is_bundled_and_none_is_none(tmp_path):
    place = store.FolderStore(tmp_path)
    assert speakers.load("none", "lab", place, tmp_path) is None
    assert speakers.identity(None, "lab", place) == speakers.identity("bundled", "lab", place) != "none"
    embed = speakers.load(None, "lab", place, tmp_path)
    noise = np.random.default_rng(1).standard_normal(32000).astype(np.float32) / 10
    vector = embed(audio.Speech(samples=noise, sample_rate_hz=16000))
    assert vector is None or np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


def test_another_persons_stretches_are_told_from_the_speakers(truth, tmp_path, order_of, trainer):
    folder, told = truth
    place = store.FolderStore(tmp_path / "store")
    first, second = (files.read(path) for path in sorted(folder.iterdir()))
    part = second.samples[: 12 * second.sample_rate_hz]
    lower = soxr.resample(part, second.sample_rate_hz, round(second.sample_rate_hz * 2 ** (4 / 12)))
    mixed = speaker.Sound(samples=np.concatenate([first.samples, lower]), sample_rate_hz=first.sample_rate_hz)
    files.write(tmp_path / "mixed.wav", mixed)
    place.put_file(PREFIX + "mixed.wav", tmp_path / "mixed.wav")
    process = trainer(place, order_of())
    found = ingest.run(process, recordings.Source(process).listing(), {"Khazix": 0})

    [listening] = listen.run(process, found).listenings

    turn_s = len(first.samples) / first.sample_rate_hz
    own = [voice.similarity for voice in listening.voices if voice.end_s <= turn_s]
    other = [voice.similarity for voice in listening.voices if voice.start_s >= turn_s]
    assert len(own) > 8 and len(other) > 4
    assert min(own) > 0.75 > max(other)
    assert isinstance(listening, corpora.Listening) and told.recordings[0].duration_s == pytest.approx(turn_s, abs=0.1)
