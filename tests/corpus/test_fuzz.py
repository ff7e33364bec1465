"""Files as people upload them by mistake, and as disks and networks leave them: each is named, none stops a run."""

import fractions
import functools
import io
import itertools
import struct

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kelong_contract import accounts, corpora, store
from kelong_trainer.corpus.sound import decoding, media
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest

PREFIX = "recordings/lab/khazix/"
RATE_HZ = 48000
# What PyAV is asked to write: suffix, muxer, codec.
KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "float.wav": ("wav", "pcm_f32le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "opus": ("ogg", "libopus"),
    "mkv": ("matroska", "libopus"),
    "webm": ("webm", "libopus"),
    "mp4": ("mp4", "aac"),
    "alac.m4a": ("ipod", "alac"),
}


def noise(seconds=4.0, rate_hz=RATE_HZ):
    return (0.1 * np.random.default_rng(1).standard_normal(round(seconds * rate_hz))).astype(np.float32)


def encoded(kind, samples=None, rate_hz=RATE_HZ, picture=False):
    """Sound in a container, with a picture track before it if asked."""
    container_format, codec = KINDS[kind]
    samples = noise() if samples is None else samples
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format) as container:
        draw = _drawing(container) if picture else (lambda: None)
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        draw()
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=rate_hz)
        for start in range(0, len(samples), rate_hz):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + rate_hz], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, fractions.Fraction(1, rate_hz)
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _drawing(container):
    """A picture track, to be drawn once all tracks are there."""
    picture = container.add_stream("mpeg4" if container.format.name != "webm" else "libvpx", rate=10)
    picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"

    def draw():
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, fractions.Fraction(1, 10)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))

    return draw


@pytest.fixture(scope="module")
def whole():
    return {kind: encoded(kind) for kind in KINDS}


def tried(data, tmp_path, suffix="mp3"):
    """How long the sound is, None if there is none; anything but a reason in a sentence is a failure."""
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    try:
        decoded = decoding.decode(path, tmp_path / "out.flac")
    except media.Undecodable as error:
        assert str(error) and "\n" not in str(error) and str(tmp_path) not in str(error)
        assert not list(tmp_path.glob("out*"))
        return None
    (tmp_path / "out.flac").unlink()
    assert np.isfinite(decoded.sound.true_peak_dbfs) and 0 <= decoded.sound.clipped_share <= 1
    return decoded.duration_s


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_truncated_anywhere_gives_what_it_still_holds_or_a_reason(tmp_path, whole, kind):
    data = whole[kind]
    lengths = [tried(data[: len(data) * part // 16], tmp_path, kind) for part in range(17)]
    assert lengths[0] is None and lengths[-1] == pytest.approx(4.0, abs=0.1)
    held = [length for length in lengths if length is not None]
    # FFmpeg gives back a little more or less of the last packet; what matters is that more bytes hold more sound.
    assert all(later > earlier - 0.1 for earlier, later in itertools.pairwise(held))
    if kind not in ("m4a", "mp4", "alac.m4a"):  # whose table of contents is at the end
        assert len(held) >= (12 if kind == "opus" else 15)  # its pages are a second long


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("claimed", ["wav", "mp3", "flac"])
def test_a_wrong_suffix_is_no_matter(tmp_path, whole, kind, claimed):
    assert tried(whole[kind], tmp_path, claimed) == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_of_another_kind_gives_sound_or_a_reason(tmp_path, whole, kind):
    for other in KINDS:
        tried(whole[other][:64] + whole[kind][64:], tmp_path, kind)
        tried(bytes(64) + whole[kind][64:], tmp_path, kind)


def pages():
    html = b"<!DOCTYPE html><html><body>" + b"<p>404 Not Found</p>" * 2000 + b"</body></html>"
    return {
        "a web page": html,
        "nothing": b"",
        "one byte": b"\0",
        "a text": "今天天气很好。".encode() * 1000,
        "json": b'{"error": "not found"}' * 100,
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(5000),
        "a PDF": b"%PDF-1.7\n" + b"stream " * 1000,
        "a program": b"\x7fELF" + bytes(5000),
        "a zip": b"PK\3\4" + bytes(5000),
        "random": np.random.default_rng(2).bytes(200_000),
        "an AAC playlist": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "a DASH playlist": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "an SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "a cue sheet": b'FILE "a.wav" WAVE\n  TRACK 01 AUDIO\n',
        "an MP4 without contents": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(100),
    }


@pytest.mark.parametrize("what", pages())
@pytest.mark.parametrize("suffix", ["mp3", "wav", "m4a", "ogg"])
def test_what_is_no_sound_is_refused_whatever_it_is_called(tmp_path, what, suffix):
    assert tried(pages()[what], tmp_path, suffix) is None


def test_random_bytes_are_refused_whatever_they_are(tmp_path):
    lengths = [tried(np.random.default_rng(seed).bytes(30_000), tmp_path) for seed in range(50)]
    assert lengths == [None] * 50


def test_a_film_without_sound_is_named(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        _drawing(container)()
    with pytest.raises(media.Undecodable, match="it has no sound track"):
        decoding.decode(tmp_path / "a.mp4", tmp_path / "out.flac")


@pytest.mark.parametrize("kind", ["mkv", "mp4", "webm"])
def test_a_film_gives_its_sound(tmp_path, kind):
    assert tried(encoded(kind, picture=True), tmp_path, kind) == pytest.approx(4.0, abs=0.1)


def test_a_codec_that_nobody_knows_is_named(tmp_path, whole):
    data = whole["mkv"].replace(b"A_OPUS", b"A_NONE")
    assert data != whole["mkv"]
    (tmp_path / "a.mkv").write_bytes(data)
    with pytest.raises(media.Undecodable, match="nothing here can decode its sound track"):
        decoding.decode(tmp_path / "a.mkv", tmp_path / "out.flac")


def test_an_encrypted_film_is_refused(tmp_path):
    with av.open(
        str(tmp_path / "a.mp4"),
        "w",
        options={
            "encryption_scheme": "cenc-aes-ctr",
            "encryption_key": "00112233445566778899aabbccddeeff",
            "encryption_kid": "ffeeddccbbaa99887766554433221100",
        },
    ) as container:
        stream = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise()[np.newaxis], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, fractions.Fraction(1, RATE_HZ)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(media.Undecodable):
        decoding.decode(tmp_path / "a.mp4", tmp_path / "out.flac")


@pytest.mark.parametrize("samples", [1, 2, 100, 2000])
@pytest.mark.parametrize("kind", ["wav", "flac"])
@pytest.mark.parametrize("rate_hz", [8000, 44100])
def test_a_handful_of_samples_is_a_short_recording(tmp_path, samples, kind, rate_hz):
    soundfile.write(tmp_path / f"a.{kind}", noise()[:samples], rate_hz)
    decoded = decoding.decode(tmp_path / f"a.{kind}", tmp_path / "out.flac")
    assert decoded.samples == pytest.approx(samples * 44100 / rate_hz, abs=2)


@pytest.mark.parametrize("rate_hz", [4000, 384_000, 768_000])
def test_unusual_rates_are_brought_to_ours(tmp_path, rate_hz):
    soundfile.write(tmp_path / "a.wav", noise(1.0, rate_hz), rate_hz)
    decoded = decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac")
    assert decoded.sound.rate_hz == rate_hz
    assert decoded.duration_s == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("rate_hz", [0, 1, 0xFFFFFFFF])
def test_a_rate_that_is_none_is_refused_or_heard(tmp_path, whole, rate_hz):
    tried(whole["wav"][:24] + struct.pack("<I", rate_hz) + whole["wav"][28:4000], tmp_path, "wav")


def test_a_wav_that_says_it_is_longer_or_shorter_than_it_is_is_read(tmp_path, whole):
    data = whole["wav"]
    at = data.index(b"data") + 4
    for size in (0, 1000, 0xFFFFFFFF):
        length = tried(data[:at] + struct.pack("<I", size) + data[at + 4 :], tmp_path, "wav")
        assert length is None or length > 0


@functools.cache
def short(kind):
    return encoded(kind, noise(0.4))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(KINDS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=20),
    start=st.floats(0, 0.05),
    end=st.floats(0.05, 1),
)
def test_any_damage_gives_sound_or_a_reason(tmp_path, kind, changes, start, end):
    data = bytearray(short(kind))
    for at, put in changes:
        place = int(at * len(data))
        data[place : place + len(put)] = put
    tried(bytes(data[int(start * len(data)) : int(end * len(data))]), tmp_path, kind)


def test_a_folder_of_everything_is_taken_in_with_each_second_named(tmp_path, trainer, order_of, whole):
    place = store.FolderStore(tmp_path / "store")
    for kind, data in whole.items():
        place.put(f"{PREFIX}good/a.{kind}", data)
        place.put(f"{PREFIX}half/a.{kind}", data[: len(data) // 2])
        place.put(f"{PREFIX}stub/a.{kind}", data[:100])
    for number, data in enumerate(pages().values()):
        place.put(f"{PREFIX}junk/{number}.mp3", data)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(RATE_HZ * 30), RATE_HZ, format="FLAC")
    place.put(f"{PREFIX}silent.flac", buffer.getvalue())
    started = trainer(place, order_of())
    listing = recordings.Source(started).listing()
    corpus = ingest.run(started, listing, {"Khazix": 0})
    refused = {item.recording: item for item in corpus.rejections}
    assert len(corpus.recordings) == 3 * len(KINDS) + len(pages()) + 1
    for recording in corpus.recordings:
        name = recording.key.removeprefix(PREFIX)
        if name.startswith("good/"):
            assert recording.key not in refused and recording.sound is not None
        elif name.startswith("junk/"):
            assert refused[recording.key].reason == "Undecodable" and name in refused[recording.key].message
    assert refused[f"{PREFIX}silent.flac"].reason == "Silent"
    kept = [item for item in corpus.recordings if item.key not in refused]
    rest = corpora.Corpus(
        stage="ingest",
        speakers=corpus.speakers,
        recordings=tuple(item for item in corpus.recordings if item.key in refused),
        rejections=corpus.rejections,
    )
    assert kept and accounts.balance(rest)


def test_ten_hours_of_silence_are_named(tmp_path, trainer, order_of):
    minute = np.zeros(8000 * 60, np.int16)
    with soundfile.SoundFile(tmp_path / "silence.flac", "w", 8000, 1, subtype="PCM_16") as file:
        for _ in range(600):
            file.write(minute)
    place = store.FolderStore(tmp_path / "store")
    place.put_file(f"{PREFIX}silence.flac", tmp_path / "silence.flac")
    started = trainer(place, order_of())
    corpus = ingest.run(started, recordings.Source(started).listing(), {"Khazix": 0})
    assert [(item.reason, item.duration_s) for item in corpus.rejections] == [("Silent", 36_000.0)]
    assert accounts.balance(corpus)
