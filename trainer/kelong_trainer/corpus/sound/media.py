"""The sound of one file as PyAV decodes it, block by block, whatever the file is and however broken.

Shapes: C channels, S samples.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, Protocol

import av
import numpy as np
import numpy.typing as npt

# A file with more damaged packets than sound ones is no recording.
MOST_DAMAGED_SHARE = 0.5
# A recording is a file of its own: playlists and the like must not make the decoder open other files or addresses.
CONTAINER_OPTIONS = {"protocol_whitelist": "pipe"}
# Codecs give 20 to 30 ms at a time: what is done with a block is done less often for longer ones.
BLOCK_SAMPLES = 1 << 15
# 120 dB over full scale: float files hold such values only where they are damaged.
MOST_AMPLITUDE = 1e6
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4000, 1_536_000
LONGEST_S = 100 * 3600.0

Samples = npt.NDArray[np.float32]


class Undecodable(Exception):
    """A file that gives no sound; the message says why."""


class Block(NamedTuple):
    """Decoded sound at the file's own rate; `samples` is [C, S], full scale ±1 (float files may exceed it)."""

    rate_hz: int
    samples: Samples


class Readable(Protocol):
    """The sound of one file, whoever decodes it: see Reader."""

    damaged: int
    codec: str
    places: tuple[str, ...]

    def blocks(self) -> Iterator[Block]:
        """From the beginning, again for each call. Raises Undecodable where nothing can be read at all."""
        ...


class Reader:
    """The sound of one file. `check` is called between blocks and may raise to leave off.

    After `blocks` has ended, `damaged` counts the packets that gave nothing usable; `codec` and `places` (the names of
    the channels, such as FL or LFE) are those of the sound track, known from the first block on.
    """

    def __init__(self, path: pathlib.Path, check: Callable[[], None] = lambda: None) -> None:
        self._path, self._check = path, check
        self.damaged = 0
        self._sound = 0
        self.codec = ""
        self.places: tuple[str, ...] = ()

    def blocks(self) -> Iterator[Block]:
        """From the beginning, again for each call. Raises Undecodable where nothing can be read at all."""
        self.damaged = self._sound = 0
        with self._path.open("rb") as opened:
            file = _Seekable(opened)
            try:
                # Tags in whatever encoding are no reason to refuse the sound.
                with av.open(file, options=CONTAINER_OPTIONS, metadata_errors="replace") as container:
                    yield from self._blocks(container)
            except (av.FFmpegError, ValueError, EOFError) as error:
                if not self._sound:
                    raise Undecodable(_reason(error)) from None
                self.damaged += 1  # broken off in the middle: what came before is used
        if self.damaged > MOST_DAMAGED_SHARE * (self.damaged + self._sound):
            raise Undecodable(f"{self.damaged} of its {self.damaged + self._sound} packets are damaged")

    def _blocks(self, container: Any) -> Iterator[Block]:
        """Frames joined to blocks; what is there when the file breaks off is still given."""
        waiting: list[_Frame] = []
        heard_s, waiting_samples = 0.0, 0
        try:
            for frame in self._frames(container):
                if waiting and (frame.kind != waiting[0].kind or waiting_samples >= BLOCK_SAMPLES):
                    yield self._joined(waiting)
                    self._check()
                    waiting, waiting_samples = [], 0
                waiting.append(frame)
                waiting_samples += frame.samples
                heard_s += frame.samples / frame.kind.rate_hz
                if heard_s > LONGEST_S:
                    raise Undecodable(f"it is longer than {LONGEST_S / 3600:.0f} hours; cut it into several files")
        except (av.FFmpegError, ValueError, EOFError):
            if waiting:
                yield self._joined(waiting)
            raise
        if waiting:
            yield self._joined(waiting)

    def _frames(self, container: Any) -> Iterator[_Frame]:
        stream = container.streams.best("audio")
        if stream is None:
            raise Undecodable("it has no sound track")
        if stream.codec_context is None:
            raise Undecodable("nothing here can decode its sound track")
        self.codec = stream.codec_context.name
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if not frame.samples:
                    continue
                if not LOWEST_RATE_HZ <= frame.sample_rate <= HIGHEST_RATE_HZ:
                    raise Undecodable(
                        f"it has {frame.sample_rate} samples a second, expected {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}"
                    )
                self._sound += 1
                self.places = self.places or tuple(channel.name for channel in frame.layout.channels)
                planar, channels = frame.format.is_planar, frame.layout.nb_channels
                kind = _Kind(frame.sample_rate, frame.format.name.removesuffix("p"), planar, channels)
                yield _Frame(kind, frame.samples, frame.to_ndarray())

    def _joined(self, frames: list[_Frame]) -> Block:
        kind = frames[0].kind
        values = np.concatenate([frame.values for frame in frames], axis=1)
        samples = _as_float(values if kind.planar else values.reshape(-1, kind.channels).T, kind.format)
        if kind.format not in _FULL_SCALE:
            usable = np.abs(samples) <= MOST_AMPLITUDE
            if not usable.all():
                self._sound -= len(frames)
                self.damaged += len(frames)
                samples = np.where(usable, samples, np.float32(0))
        return Block(rate_hz=kind.rate_hz, samples=samples)


class _Seekable:
    """A file for the decoder, whose wish to go before the beginning of a damaged file is declined, not an error."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.tell, self._seek = file.read, file.tell, file.seek
        self.name = ""  # messages name the recording, not where it lies on this machine

    def seek(self, offset: int, whence: int = 0) -> int:
        """The new place, -1 where there is none."""
        base = {0: 0, 1: self.tell()}.get(whence)
        if base is not None and base + offset < 0:
            return -1
        return self._seek(offset, whence)


class _Kind(NamedTuple):
    """What frames must share to be joined."""

    rate_hz: int
    format: str
    planar: bool
    channels: int


class _Frame(NamedTuple):
    """One frame as the codec gave it: [C, S] if planar, else [1, S·C]."""

    kind: _Kind
    samples: int
    values: npt.NDArray[Any]


# The divisor that brings each of FFmpeg's integer formats to ±1.
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}


def _as_float(values: npt.NDArray[Any], format_: str) -> Samples:
    with np.errstate(over="ignore", invalid="ignore"):  # doubles beyond float's range become infinite, and are zeroed
        samples: Samples = np.ascontiguousarray(values, np.float32)
    if format_ == "u8":
        samples -= 128.0
    if format_ in _FULL_SCALE:
        samples /= np.float32(_FULL_SCALE[format_])
    return samples


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return f"it cannot be read as sound ({text or type(error).__name__})"
