"""Sound survives its formats, and files that hold none are refused with the reason."""

import io

import av
import numpy as np
import pytest
import soundfile
import torch
from kelong_speech import audio
from kelong_speech.config import AudioConfig


def tone(duration_s=0.5, rate_hz=44100, frequency_hz=440.0):
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    samples = (0.5 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)
    return audio.Speech(samples=samples, sample_rate_hz=rate_hz)


def loudest_hz(speech):
    spectrum = np.abs(np.fft.rfft(speech.samples * np.hanning(len(speech.samples))))
    return float(np.argmax(spectrum)) * speech.sample_rate_hz / len(speech.samples)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_lossless_formats_give_back_the_samples(form):
    speech = tone()
    heard = audio.read(io.BytesIO(audio.encode(speech, form)))
    assert heard.sample_rate_hz == 44100
    assert np.array_equal(audio.to_int16(heard.samples), audio.to_int16(speech.samples))


def test_mp3_keeps_the_tone_and_the_length():
    heard = audio.read(io.BytesIO(audio.encode(tone(duration_s=1.0), "mp3")))
    assert heard.sample_rate_hz == 44100
    assert heard.duration_s == pytest.approx(1.0, abs=0.08)
    assert loudest_hz(heard) == pytest.approx(440.0, abs=3.0)


def test_mp3_refuses_a_rate_it_cannot_carry():
    with pytest.raises(ValueError, match="MP3 cannot carry 44000 Hz"):
        audio.encode(tone(rate_hz=44000), "mp3")


def test_pcm_is_bare_little_endian_samples():
    speech = audio.Speech(samples=np.array([0.0, 0.5, -1.0, 2.0], dtype=np.float32), sample_rate_hz=24000)
    assert np.frombuffer(audio.encode(speech, "pcm"), dtype="<i2").tolist() == [0, 16384, -32768, 32767]


def test_channels_are_averaged(tmp_path):
    left = tone().samples
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, np.zeros_like(left)], axis=1), 44100, subtype="FLOAT")
    with audio.open_stream(tmp_path / "stereo.wav") as stream:
        assert stream.channels == 2
        heard = np.concatenate(list(stream.blocks))
    assert np.allclose(heard, left / 2, atol=1e-6)


def test_a_compressed_film_track_is_read(tmp_path):
    path = tmp_path / "track.m4a"
    samples = tone(duration_s=1.0, rate_hz=48000).samples
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = 48000
        for packet in [*track.encode(frame), *track.encode(None)]:
            container.mux(packet)
    heard = audio.read(path, sample_rate_hz=24000)
    assert heard.sample_rate_hz == 24000
    assert heard.duration_s == pytest.approx(1.0, abs=0.08)
    assert loudest_hz(heard) == pytest.approx(440.0, abs=3.0)


def test_a_long_file_comes_in_blocks(tmp_path):
    path = tmp_path / "long.flac"
    path.write_bytes(audio.encode(tone(duration_s=20.0), "flac"))
    with audio.open_stream(path) as stream:
        sizes = [len(block) for block in stream.blocks]
    assert sum(sizes) == 20 * 44100
    assert max(sizes) < 44100


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "cannot be decoded"), (b"no sound in here, only words" * 50, "cannot be decoded")]
)
def test_what_is_no_sound_is_refused_with_the_reason(tmp_path, content, sentence):
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(audio.UnreadableAudio, match=sentence):
        audio.read(path)


def test_a_file_without_samples_is_refused(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0, dtype=np.float32), 44100)
    with pytest.raises(audio.UnreadableAudio):
        audio.read(path)


def test_resampling_keeps_tone_and_length():
    changed = audio.resample(tone(duration_s=1.0), 16000)
    assert len(changed.samples) == 16000
    assert loudest_hz(changed) == pytest.approx(440.0, abs=1.5)


def test_a_spectrogram_has_a_frame_for_every_whole_hop():
    config = AudioConfig()
    for samples in (2048, 5119, 5120, 44100):
        linear = audio.linear_spectrogram(torch.randn(2, samples), config)
        assert linear.shape == (2, 1025, samples // 512)
        assert audio.log_mel(linear, config).shape == (2, 128, samples // 512)


def test_a_tone_lights_the_bin_of_its_frequency():
    linear = audio.linear_spectrogram(torch.from_numpy(tone(frequency_hz=1000.0).samples)[None], AudioConfig())
    assert int(linear[0, :, 20].argmax()) == round(1000.0 / (44100 / 2048))
