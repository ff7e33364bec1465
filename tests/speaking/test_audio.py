"""Sound survives its formats, its resampling and its way to a spectrogram."""

import io

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


def read(data):
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    return audio.Speech(samples=samples, sample_rate_hz=rate_hz)


def loudest_hz(speech):
    spectrum = np.abs(np.fft.rfft(speech.samples * np.hanning(len(speech.samples))))
    return float(np.argmax(spectrum)) * speech.sample_rate_hz / len(speech.samples)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_lossless_formats_give_back_the_samples(form):
    speech = tone()
    heard = read(audio.encode(speech, form))
    assert heard.sample_rate_hz == 44100
    assert np.array_equal(audio.to_int16(heard.samples), audio.to_int16(speech.samples))


def test_mp3_keeps_the_tone_and_the_length():
    heard = read(audio.encode(tone(duration_s=1.0), "mp3"))
    assert heard.sample_rate_hz == 44100
    assert heard.duration_s == pytest.approx(1.0, abs=0.08)
    assert loudest_hz(heard) == pytest.approx(440.0, abs=3.0)


def test_mp3_refuses_a_rate_it_cannot_carry():
    with pytest.raises(ValueError, match="MP3 cannot carry 44000 Hz"):
        audio.encode(tone(rate_hz=44000), "mp3")


def test_pcm_is_bare_little_endian_samples():
    speech = audio.Speech(samples=np.array([0.0, 0.5, -1.0, 2.0], dtype=np.float32), sample_rate_hz=24000)
    assert np.frombuffer(audio.encode(speech, "pcm"), dtype="<i2").tolist() == [0, 16384, -32768, 32767]


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
