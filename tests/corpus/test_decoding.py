"""Any recording becomes mono at 44.1 kHz, or is refused with a reason."""

import tracemalloc

import av
import numpy as np
import pytest
import soundfile
from kelong_demo import files, speaker
from kelong_trainer.corpus.sound import decoding, media


def tone(seconds=2.0, rate_hz=48000, hz=440.0, level=0.3):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_matroska(path, samples, rate_hz):
    """A film: a sound track after a picture track."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("libopus", rate=48000, layout="mono")
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def write(path, samples, rate_hz, subtype=None):
    if path.suffix in (".m4a", ".mp3"):
        files.write(path, speaker.Sound(samples=samples, sample_rate_hz=rate_hz))
    elif path.suffix == ".mkv":
        write_matroska(path, samples, rate_hz)
    else:
        soundfile.write(path, samples, rate_hz, subtype=subtype)


@pytest.mark.parametrize(
    ("name", "rate_hz", "subtype"),
    [
        ("a.wav", 8000, "PCM_U8"),
        ("a.wav", 16000, "PCM_16"),
        ("a.wav", 44100, "DOUBLE"),
        ("a.wav", 48000, "FLOAT"),
        ("a.wav", 96000, "PCM_32"),
        ("a.flac", 192000, "PCM_24"),
        ("a.ogg", 22050, "VORBIS"),
        ("a.opus", 48000, None),
        ("a.aiff", 32000, "PCM_16"),
        ("a.m4a", 24000, None),
        ("a.mp3", 24000, None),
        ("a.mkv", 48000, None),
    ],
)
def test_every_format_gives_the_same_sound(tmp_path, name, rate_hz, subtype):
    path = tmp_path / name
    if path.suffix == ".opus":
        soundfile.write(path, tone(rate_hz=rate_hz), rate_hz, format="OGG", subtype="OPUS")
    else:
        write(path, tone(rate_hz=rate_hz), rate_hz, subtype)
    decoded = decoding.decode(path, tmp_path / "out.flac")
    samples, out_hz = soundfile.read(tmp_path / "out.flac", always_2d=True)
    assert (out_hz, samples.shape) == (44100, (decoded.samples, 1))
    assert decoded.duration_s == pytest.approx(2.0, abs=0.12)  # lossy coders add a frame or two
    middle = samples[22050:66150, 0]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=2)
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    assert decoded.loudest_dbfs == pytest.approx(-13.5, abs=0.6)


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [(1, 1, 0.3), (1, -1, 0.3), (1, 0, 0.3), (0, 1, 0.3), (0.5, 1, 0.225), (1, -0.8, 0.3)],
)
def test_channels_are_averaged_unless_that_would_cancel_them(tmp_path, left, right, level):
    soundfile.write(tmp_path / "a.wav", np.stack([left * tone(), right * tone()], axis=1), 48000)
    decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac")
    samples, _ = soundfile.read(tmp_path / "out.flac")
    assert np.abs(samples).max() == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("suffix", ["mp3", "wav", "m4a", "ogg", "flac", "xyz"])
def test_bytes_that_are_no_sound_are_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(np.random.default_rng(1).bytes(100_000))
    with pytest.raises(media.Undecodable):
        decoding.decode(path, tmp_path / "out.flac")
    assert not (tmp_path / "out.flac").exists()


def test_an_empty_file_and_a_file_without_samples_are_refused(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 44100)
    for name in ("empty.wav", "none.wav"):
        with pytest.raises(media.Undecodable):
            decoding.decode(tmp_path / name, tmp_path / "out.flac")


def test_what_a_broken_off_upload_still_holds_is_used(tmp_path):
    soundfile.write(tmp_path / "a.ogg", tone(seconds=10), 48000)
    data = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "half.ogg").write_bytes(data[: len(data) // 2])
    assert 2 < decoding.decode(tmp_path / "half.ogg", tmp_path / "out.flac").duration_s < 8


@pytest.mark.parametrize("form", ["m3u8", "ffconcat"])
def test_a_playlist_cannot_make_us_open_other_files(tmp_path, form):
    soundfile.write(tmp_path / "secret.wav", tone(), 48000)
    secret = tmp_path / "secret.wav"
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile {secret}\n",
    }
    (tmp_path / f"list.{form}").write_text(lists[form])
    with pytest.raises(media.Undecodable):
        decoding.decode(tmp_path / f"list.{form}", tmp_path / "out.flac")


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for seconds in (10, 100):
        soundfile.write(tmp_path / "a.flac", tone(seconds=seconds, rate_hz=16000), 16000)
        tracemalloc.start()
        decoding.decode(tmp_path / "a.flac", tmp_path / "out.flac")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 1_000_000, peaks
