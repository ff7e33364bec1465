"""Any recording that PyAV can read to one mono FLAC at the training rate, in memory that does not grow with its length.

Called by the ingest stage; the stages after it read the FLAC that it leaves in the work folder.
"""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

log = logging.getLogger(__name__)

VERSION = 1  # raise when the same file would give other samples than before
SAMPLE_RATE_HZ = 44100
# Averaging the channels may lose this much against the loudest of them before we take that one alone: two independent
# channels lose 3 dB, a silent second channel 6 dB, channels out of phase everything.
LEAST_MIX_TO_LOUDEST = 10 ** (-5 / 20)
LEVEL_BLOCK_SAMPLES = SAMPLE_RATE_HZ // 10
# A file with more damaged packets than sound ones is no recording.
MOST_DAMAGED_SHARE = 0.5
# A recording is a file of its own: playlists and the like must not make the decoder open other files or addresses.
CONTAINER_OPTIONS = {"protocol_whitelist": "pipe"}

Samples = npt.NDArray[np.float32]


class Undecodable(Exception):
    """A file that gives no sound; the message says why."""


class _Block(NamedTuple):
    """Decoded sound at the file's own rate; `samples` is [channels, S]."""

    rate_hz: int
    samples: Samples


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a file gave: its length, the level of its loudest tenth of a second, and packets that could not be read."""

    samples: int
    loudest_dbfs: float
    damaged_packets: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.samples / SAMPLE_RATE_HZ


class _Reader:
    """The sound of one file, block by block; counts packets that cannot be decoded."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self.damaged = 0
        self._sound = 0

    def blocks(self) -> Iterator[_Block]:
        """Raises Undecodable where nothing can be read at all."""
        self.damaged = self._sound = 0
        with self._path.open("rb") as file:
            try:
                with av.open(file, options=CONTAINER_OPTIONS) as container:
                    yield from self._decode(container)
            except (av.FFmpegError, ValueError, EOFError) as error:
                if not self._sound:
                    raise Undecodable(_reason(error)) from None
                self.damaged += 1  # broken off in the middle: what came before is used
        if self.damaged > MOST_DAMAGED_SHARE * (self.damaged + self._sound):
            raise Undecodable(f"{self.damaged} of its {self.damaged + self._sound} packets are damaged")

    def _decode(self, container: Any) -> Iterator[_Block]:
        if not container.streams.audio:
            raise Undecodable("it has no sound track")
        for packet in container.demux(container.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                self._sound += 1
                yield _Block(rate_hz=frame.sample_rate, samples=_as_float(frame))


def decode(path: pathlib.Path, target: pathlib.Path) -> Decoded:
    """Write the sound of `path` to `target` as mono 16-bit FLAC at 44.1 kHz; raises Undecodable."""
    reader = _Reader(path)
    channel = _channel(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    level = _Level()
    with soundfile.SoundFile(part, "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16") as file:
        for samples in _at_training_rate(reader.blocks(), channel):
            clipped = np.clip(samples, -1.0, 1.0)
            level.add(clipped)
            file.write(clipped)
        written = file.frames
    if not written:
        part.unlink()
        raise Undecodable("it holds no sound")
    part.replace(target)
    return Decoded(samples=written, loudest_dbfs=level.loudest_dbfs(), damaged_packets=reader.damaged)


def _channel(path: pathlib.Path) -> int | None:
    """The channel to use alone, None for the average of all. Reads a file of several channels once for that."""
    energies = np.zeros(0)
    mixed = 0.0
    for block in _Reader(path).blocks():
        if len(block.samples) == 1 and not energies.size:
            return None
        if energies.size < len(block.samples):
            energies = np.pad(energies, (0, len(block.samples) - energies.size))
        energies[: len(block.samples)] += (block.samples.astype(np.float64) ** 2).sum(axis=1)
        mixed += float((block.samples.mean(axis=0, dtype=np.float64) ** 2).sum())
    if not energies.size or mixed >= LEAST_MIX_TO_LOUDEST**2 * energies.max():
        return None
    return int(energies.argmax())


def _at_training_rate(blocks: Iterator[_Block], channel: int | None) -> Iterator[Samples]:
    """Mono at 44.1 kHz. A file may change its rate or channels on the way (joined streams do)."""
    resampler: soxr.ResampleStream | None = None
    rate_hz = SAMPLE_RATE_HZ
    for block in blocks:
        if block.rate_hz != rate_hz:
            if resampler is not None:
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            rate_hz = block.rate_hz
            resampler = _resampler(rate_hz)
        alone = channel is not None and channel < len(block.samples)
        mono = block.samples[channel] if alone else block.samples.mean(axis=0, dtype=np.float32)
        yield mono if resampler is None else resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _resampler(rate_hz: int) -> soxr.ResampleStream | None:
    if rate_hz == SAMPLE_RATE_HZ:
        return None
    return soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="VHQ")


# The divisor that brings each of FFmpeg's integer formats to ±1.
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}


def _as_float(frame: Any) -> Samples:
    """A decoded frame as [channels, S] in ±1."""
    name = frame.format.name.removesuffix("p")
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if name in _FULL_SCALE:
        values = (values - (128.0 if name == "u8" else 0.0)) / _FULL_SCALE[name]
    samples: Samples = np.nan_to_num(values.astype(np.float32))
    return samples


class _Level:
    """The loudest tenth of a second of what goes by."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._loudest = 0.0

    def add(self, samples: Samples) -> None:
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // LEVEL_BLOCK_SAMPLES * LEVEL_BLOCK_SAMPLES
        if whole:
            powers = (joined[:whole].reshape(-1, LEVEL_BLOCK_SAMPLES).astype(np.float64) ** 2).mean(axis=1)
            self._loudest = max(self._loudest, float(powers.max()))
        self._rest = joined[whole:]

    def loudest_dbfs(self) -> float:
        return float(10 * np.log10(max(self._loudest, 1e-12)))


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return f"it cannot be read as sound ({text or type(error).__name__})"
