"""Every kind of file that people bring, at every rate and layout, written here by PyAV and taken in by the stage."""

import fractions
import io
import os
import pathlib
import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile
from kelong_contract import names, orders, store
from kelong_trainer import context
from kelong_trainer.corpus.sound import decoding
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest

PREFIX = "recordings/lab/khazix/"
SECONDS = 3.0


def tone(rate_hz, hz=440.0, level=0.3, seconds=SECONDS):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write(path, codec, rate_hz, layout, sounds, container_format=None):
    """`sounds` is one [S] for each channel, in FFmpeg's order."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=rate_hz)
        samples = np.stack(sounds)
        for start in range(0, samples.shape[1], rate_hz):
            part = np.ascontiguousarray(samples[:, start : start + rate_hz])
            frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, fractions.Fraction(1, rate_hz)
            for made in resampler.resample(frame):
                container.mux(stream.encode(made))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.wav", "pcm_s16le", 8000),
        ("a.wav", "pcm_s24le", 96000),
        ("a.wav", "pcm_f32le", 192_000),
        ("a.flac", "flac", 44100),
        ("a.flac", "flac", 192_000),
        ("a.mp3", "libmp3lame", 8000),
        ("a.mp3", "libmp3lame", 48000),
        ("a.m4a", "aac", 16000),
        ("a.m4a", "aac", 96000),
        ("a.m4a", "alac", 44100),
        ("a.ogg", "flac", 32000),
        ("a.opus", "libopus", 48000),
        ("a.mp4", "aac", 44100),
        ("a.mkv", "ac3", 48000),
        ("a.mkv", "wavpack", 22050),
        ("a.webm", "libopus", 24000),
        ("a.mov", "pcm_s16be", 48000),
        ("a.aiff", "pcm_s16be", 11025),
    ],
)
def test_every_kind_of_file_gives_its_sound(tmp_path, name, codec, rate_hz, layout):
    channels = av.AudioLayout(layout).nb_channels
    if channels > 2 and codec == "libmp3lame":
        channels, layout = 2, "stereo"  # which has no more
    write(tmp_path / name, codec, rate_hz, layout, [tone(rate_hz)] * channels)
    decoded = decoding.decode(tmp_path / name, tmp_path / "out.flac")
    samples, out_hz = soundfile.read(tmp_path / "out.flac", always_2d=True)
    assert (out_hz, samples.shape[1]) == (44100, 1)
    assert decoded.duration_s == pytest.approx(SECONDS, abs=0.2)  # lossy coders add a frame or two
    middle = samples[44100 : 2 * 44100, 0]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=1)
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.06)
    assert (decoded.sound.channels, decoded.sound.rate_hz) == (channels, 48000 if codec == "libopus" else rate_hz)
    assert decoded.sound.damaged_packets == 0


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame"), ("a.opus", "libopus")])
def test_stereo_out_of_phase_keeps_its_level_in_every_kind(tmp_path, name, codec):
    rng = np.random.default_rng(1)
    left = (0.1 * rng.standard_normal(round(SECONDS * 48000))).astype(np.float32)
    write(tmp_path / name, codec, 48000, "stereo", [left, -left])
    decoded = decoding.decode(tmp_path / name, tmp_path / "out.flac")
    assert decoded.sound.channel in ("0", "1")
    assert decoded.loudest_dbfs == pytest.approx(-20, abs=2)


def test_the_sound_track_that_a_film_plays_is_used(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("libopus", rate=48000, layout=layout) for layout in ("mono", "stereo")]
        for track, hz, channels in zip(tracks, (300, 700), (1, 2), strict=True):
            frame = av.AudioFrame.from_ndarray(np.stack([tone(48000, hz)] * channels), "fltp", track.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, fractions.Fraction(1, 48000)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    decoding.decode(path, tmp_path / "out.flac")
    samples, _ = soundfile.read(tmp_path / "out.flac")
    assert np.abs(np.fft.rfft(samples[44100:88200])).argmax() in (300, 700)


def test_resampling_keeps_the_band_and_adds_no_alias(tmp_path):
    rate_hz = 96000
    inside, outside = tone(rate_hz, 18_000, 0.3), tone(rate_hz, 30_000, 0.3)
    soundfile.write(tmp_path / "a.wav", inside + outside, rate_hz, subtype="FLOAT")
    decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac")
    samples, _ = soundfile.read(tmp_path / "out.flac")
    spectrum = np.abs(np.fft.rfft(samples[44100:88200] * np.hanning(44100))) / 11025
    assert spectrum[18_000] == pytest.approx(0.3, rel=0.01)
    spectrum[17_990:18_010] = 0
    assert spectrum.max() < 1e-4  # -80 dBFS: 16 bits and no image of what was above


@pytest.fixture
def volume(tmp_path, monkeypatch):
    folder = tmp_path / "volume"
    folder.mkdir()
    monkeypatch.setattr(names, "DATASET_MOUNT", str(folder))
    return folder


def taken_in(started):
    return ingest.run(started, recordings.Source(started).listing(), {"Khazix": 0})


def test_a_link_that_leads_out_of_a_volume_is_not_followed(tmp_path, volume, trainer, order_of):
    soundfile.write(tmp_path / "outside.wav", tone(16000), 16000)
    soundfile.write(volume / "inside.wav", tone(16000), 16000)
    (volume / "again.wav").symlink_to("inside.wav")
    (volume / "a.wav").symlink_to(tmp_path / "outside.wav")
    order = order_of(dataset=orders.Dataset(type="PersistentVolumeClaim"))
    corpus = taken_in(trainer(store.FolderStore(tmp_path / "store"), order))
    assert {item.recording: item.message for item in corpus.rejections} == {
        "a.wav": "a.wav is a link to a place outside the volume: put the file itself there",
        "inside.wav": "inside.wav is byte for byte the same as again.wav: only that is used, remove one of them",
    }
    (volume / "inside.txt").symlink_to("/proc/self/environ")
    corpus = taken_in(trainer(store.FolderStore(tmp_path / "store"), order))
    assert corpus.notes == (
        "inside.txt is a link to a place outside the volume: put the file itself there: inside.wav goes without its "
        "text",
    )
    assert not any(recording.text for recording in corpus.recordings)


def test_a_long_silence_is_silent(tmp_path, trainer, order_of):
    place, buffer = store.FolderStore(tmp_path / "store"), io.BytesIO()
    soundfile.write(buffer, np.zeros(8000 * 300), 8000, format="FLAC")
    place.put(PREFIX + "silence.flac", buffer.getvalue())
    [rejection] = taken_in(trainer(place, order_of())).rejections
    assert (rejection.reason, rejection.end_s) == ("Silent", 300.0)


PEAK = """
import pathlib, resource, sys
from kelong_trainer.corpus.sound import decoding
decoding.decode(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_memory_of_the_process_does_not_grow_with_length(tmp_path):
    peaks_kib = []
    for minutes in (1, 6):
        block = np.random.default_rng(1).standard_normal((8000 * 60, 2)) * 0.05
        with soundfile.SoundFile(tmp_path / "a.flac", "w", 8000, 2, format="FLAC") as file:
            for _ in range(minutes):
                file.write(block)
        command = [sys.executable, "-c", PEAK, str(tmp_path / "a.flac"), str(tmp_path / "out.flac")]
        done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        peaks_kib.append(int(done.stdout))
    assert peaks_kib[1] < peaks_kib[0] + 8 * 1024, peaks_kib


def test_nothing_of_a_decoding_that_was_left_off_stays_behind(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000, seconds=60), 16000)

    def stop():
        raise context.Stopped("asked to stop")

    with pytest.raises(context.Stopped):
        decoding.decode(tmp_path / "a.wav", tmp_path / "out" / "a.flac", stop)
    assert not [path for path in pathlib.Path(tmp_path / "out").iterdir()]
