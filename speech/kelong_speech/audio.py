"""Sound going out, and sound as the model sees it: encode what the server sends, resample, make spectrograms.

Everything is mono float32 in -1..1. MP3 goes through PyAV, WAV and FLAC through soundfile.

B batch, S samples, F frames, N spectrogram bins, M mel bands.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Literal

import av
import numpy as np
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from kelong_speech.config import AudioConfig

Samples = NDArray[np.float32]
Format = Literal["wav", "flac", "mp3", "pcm"]
MP3_BITS_PER_S = 128_000
# What one MP3 stream can carry.
MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Samples and how fast they are to be played."""

    samples: Samples  # [S]
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return len(self.samples) / self.sample_rate_hz


def resample(speech: Speech, sample_rate_hz: int) -> Speech:
    """The same sound at another rate (windowed sinc)."""
    if speech.sample_rate_hz == sample_rate_hz:
        return speech
    changed = torchaudio.functional.resample(torch.from_numpy(speech.samples), speech.sample_rate_hz, sample_rate_hz)
    return Speech(samples=changed.numpy(), sample_rate_hz=sample_rate_hz)


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Rounded 16-bit samples; what lies outside -1..1 is clipped."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def encode(speech: Speech, form: Format) -> bytes:
    """The bytes of a file at the speech's own rate: 16-bit WAV or FLAC, MP3, or bare little-endian int16 (`pcm`)."""
    if form == "pcm":
        return to_int16(speech.samples).astype("<i2").tobytes()
    if form == "mp3":
        return _encode_mp3(speech)
    target = io.BytesIO()
    soundfile.write(target, to_int16(speech.samples), speech.sample_rate_hz, format=form.upper(), subtype="PCM_16")
    return target.getvalue()


def linear_spectrogram(waveform: Tensor, config: AudioConfig) -> Tensor:
    """Magnitudes [B, N, F] of samples [B, S], F = S // hop; zero-free, so that a logarithm has a gradient."""
    padding = (config.n_fft - config.hop_samples) // 2
    padded = functional.pad(waveform.unsqueeze(1), (padding, padding), mode="reflect").squeeze(1)
    spectrum = torch.stft(
        padded,
        config.n_fft,
        hop_length=config.hop_samples,
        win_length=config.win_samples,
        window=_window(config.win_samples, waveform.device),
        center=False,
        return_complex=True,
    )
    return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-6)


def log_mel(linear: Tensor, config: AudioConfig) -> Tensor:
    """Logarithmic mel spectrogram [B, M, F] (Slaney's scale and norm) of a linear one [B, N, F]."""
    return torch.log((_mel_filters(config, linear.device) @ linear).clamp_min(1e-5))


@functools.cache
def _window(length: int, device: torch.device) -> Tensor:
    return torch.hann_window(length, device=device)


@functools.cache
def _mel_filters(config: AudioConfig, device: torch.device) -> Tensor:
    filters = torchaudio.functional.melscale_fbanks(
        n_freqs=config.spectrogram_bins,
        f_min=config.mel_min_hz,
        f_max=config.mel_max_hz or config.sample_rate_hz / 2,
        n_mels=config.mel_bands,
        sample_rate=config.sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.as_tensor(filters.T.contiguous().to(device))  # [M, N]


def _encode_mp3(speech: Speech) -> bytes:
    if speech.sample_rate_hz not in MP3_RATES_HZ:
        raise ValueError(f"MP3 cannot carry {speech.sample_rate_hz} Hz; resample to one of {MP3_RATES_HZ}")
    target = io.BytesIO()
    with av.open(target, mode="w", format="mp3") as container:
        track = container.add_stream("libmp3lame", rate=speech.sample_rate_hz, layout="mono")
        track.bit_rate = MP3_BITS_PER_S
        frame = av.AudioFrame.from_ndarray(to_int16(speech.samples)[np.newaxis], format="s16p", layout="mono")
        frame.sample_rate = speech.sample_rate_hz
        for packet in [*track.encode(frame), *track.encode(None)]:
            container.mux(packet)
    return target.getvalue()
