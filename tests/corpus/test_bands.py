"""A voice on the telephone, or under a hum, is still its speaker's, and somebody else's is not."""

import numpy as np
import pytest
import soundfile
import soxr
from kelong_contract import corpora, store
from kelong_demo import files
from kelong_trainer.corpus.listening import bands
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest, listen

PREFIX = "recordings/lab/khazix/"
RATE_HZ = 24_000
SEMITONES_LOWER = 4


def telephone(samples):
    """300 to 3400 Hz."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def narrow(samples):
    """At 8 kHz."""
    return soxr.resample(samples, RATE_HZ, 8000)


@pytest.fixture(scope="module")
def talks(truth):
    """Two talks of the speaker, and a part of one of them in a lower voice."""
    first, second = (files.read(path) for path in sorted(truth[0].iterdir()))
    assert first.sample_rate_hz == RATE_HZ
    lower = soxr.resample(second.samples, RATE_HZ, round(RATE_HZ * 2 ** (SEMITONES_LOWER / 12)))
    return first.samples, second.samples, lower[: 10 * RATE_HZ]


def heard(tmp_path, process, sounds):
    """What was heard in recordings of these names, each with its rate."""
    for name, (samples, rate_hz) in sounds.items():
        soundfile.write(tmp_path / name, samples, rate_hz, subtype="PCM_16")
        process.store.put_file(PREFIX + name, tmp_path / name)
    corpus = listen.run(process, ingest.run(process, recordings.Source(process).listing(), {"Khazix": 0}))
    return {item.key.removeprefix(PREFIX): item for item in corpus.listenings}


def similarities(listening: corpora.Listening):
    found = [voice.similarity for voice in listening.voices]
    assert len(found) >= 4
    return found


@pytest.mark.parametrize(
    ("filtered", "expected"),
    [
        (lambda samples: samples, bands.Band()),
        (lambda samples: soxr.resample(narrow(samples), 8000, RATE_HZ), bands.Band(high_hz=4000.0)),
        (telephone, bands.Band(low_hz=300.0, high_hz=3400.0)),
        (lambda samples: 0 * samples, bands.Band()),
    ],
)
def test_a_band_is_what_was_cut_away(talks, filtered, expected):
    samples = soxr.resample(filtered(talks[0]), RATE_HZ, 16_000).astype(np.float32)
    spectrum = bands.Spectrum()
    spectrum.add(samples, [corpora.Stretch(start_s=0.3, end_s=20.0)])
    found = spectrum.band()
    assert found.low_hz == pytest.approx(expected.low_hz, abs=50)
    assert found.high_hz == pytest.approx(expected.high_hz, abs=200)
    assert found.is_narrow == expected.is_narrow


def test_an_own_telephone_call_is_the_speakers_and_somebody_elses_is_not(tmp_path, talks, order_of, trainer):
    first, second, lower = talks
    place = store.FolderStore(tmp_path / "store")
    process = trainer(place, order_of())
    found = heard(
        tmp_path,
        process,
        {
            "room.flac": (np.concatenate([first, second]), RATE_HZ),
            "own-8k.flac": (narrow(second[: 10 * RATE_HZ]), 8000),
            "own-telephone.flac": (telephone(second[: 10 * RATE_HZ]), RATE_HZ),
            "other-8k.flac": (narrow(lower), 8000),
        },
    )
    assert min(similarities(found["room.flac"])) > 0.75
    assert np.mean(np.array(similarities(found["own-8k.flac"])) > 0.75) > 0.9
    assert np.mean(np.array(similarities(found["own-telephone.flac"])) > 0.75) > 0.9
    assert np.mean(np.array(similarities(found["other-8k.flac"])) < 0.75) > 0.9
    kept = tuple(place.list("voices/lab/khazix/1/corpus/limited/"))
    assert 2 <= len(kept) <= 3  # one for each band, heard once
    assert heard(tmp_path, process, {}) == found
    assert tuple(place.list("voices/lab/khazix/1/corpus/limited/")) == kept


def test_where_all_is_narrow_it_is_compared_with_itself(tmp_path, talks, order_of, trainer):
    first, second, lower = talks
    process = trainer(store.FolderStore(tmp_path / "store"), order_of())
    found = heard(
        tmp_path,
        process,
        {
            "calls.flac": (narrow(np.concatenate([first, second])), 8000),
            "other-8k.flac": (narrow(lower), 8000),
        },
    )
    assert min(similarities(found["calls.flac"])) > 0.75
    assert np.mean(np.array(similarities(found["other-8k.flac"])) < 0.75) > 0.9


@pytest.mark.parametrize("dbfs", [-52, -45, -35])
def test_a_voice_under_a_hum_is_the_speakers_and_somebody_elses_is_not(tmp_path, talks, order_of, trainer, dbfs):
    first, second, lower = talks
    random = np.random.default_rng(1)

    def hummed(samples):
        times = np.arange(len(samples)) / RATE_HZ
        wave = sum(np.sin(2 * np.pi * 50.03 * number * times) / number for number in (1, 2, 3, 5, 7, 9))
        room = random.standard_normal(len(samples)) * 1e-3
        return samples + room + wave * 10 ** (dbfs / 20) / np.sqrt(np.mean(wave**2))

    process = trainer(store.FolderStore(tmp_path / "store"), order_of())
    found = heard(
        tmp_path,
        process,
        {
            "clean.flac": (np.concatenate([first, second]), RATE_HZ),
            "hum.flac": (hummed(second), RATE_HZ),
            "other.flac": (hummed(lower), RATE_HZ),
        },
    )
    assert found["hum.flac"].hum and found["hum.flac"].music == ()
    assert np.mean(np.array(similarities(found["hum.flac"])) > 0.75) > 0.9
    assert np.mean(np.array(similarities(found["other.flac"])) < 0.75) >= 0.8
