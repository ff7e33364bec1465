"""Where somebody speaks: Silero's voice activity detector (bundled with faster-whisper) over windows of a recording.

Called by the stages that hear recordings. A window ends inside a pause, so that nothing that is said lies in two;
memory does not grow with the length of a recording.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from faster_whisper import vad
from kelong_contract.corpora import Stretch

from kelong_trainer.corpus.sound import decoding, noise

VERSION = 1  # raise when the same sound would give other stretches or windows than before
SAMPLE_RATE_HZ = 16000
WINDOW_S = 120.0
LEAST_PAUSE_S = 0.3
BLOCK_S = 10
# Measured on speech with known times: starts come 45 ms late (p90 92), ends 9 ms; no breath is taken for speech.
# No padding here: who cuts knows better how much of a pause to keep.
VAD = vad.VadOptions(min_silence_duration_ms=100, min_speech_duration_ms=100, speech_pad_ms=0)
# A window ends in the first so long a part of its pause that is about as quiet as any: before a breath, not inside.
_ENDING_FRAMES = 10
_ABOUT_DB = 2.0
_FRAME = round(noise.FRAME_S * SAMPLE_RATE_HZ)

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A part of a recording at 16 kHz [S], whole frames but for the last, and the level of each 10 ms [F].

    `start_s` is in the recording; `speech` and `levels` count from there. Levels are of the whole band.
    """

    start_s: float
    samples: Samples
    levels: noise.Levels
    speech: tuple[Stretch, ...]

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE_HZ


def find_speech(samples: Samples) -> tuple[Stretch, ...]:
    """The stretches where somebody speaks, of samples at 16 kHz."""
    found = vad.get_speech_timestamps(samples, VAD, SAMPLE_RATE_HZ)
    return tuple(Stretch(start_s=item["start"] / SAMPLE_RATE_HZ, end_s=item["end"] / SAMPLE_RATE_HZ) for item in found)


def windows(path: pathlib.Path) -> Iterator[Window]:
    """A decoded recording in parts of about WINDOW_S that end in the last longer pause of each, if it has one."""
    samples, levels, start = np.zeros(0, np.float32), np.zeros(0, np.float32), 0  # start counts frames
    blocks = _blocks(path)
    ended = False
    while not ended:
        parts, level_parts = [samples], [levels]
        while sum(map(len, level_parts)) * noise.FRAME_S < WINDOW_S and not ended:
            block = next(blocks, None)
            ended = block is None
            if block is not None:
                parts.append(block[0])
                level_parts.append(block[1])
        samples, levels = np.concatenate(parts), np.concatenate(level_parts)
        if not len(samples):
            return
        # The resampler is a little behind the levels until its end: only what both have is looked at.
        frames = len(levels) if ended else min(len(samples) // _FRAME, len(levels))
        speech = find_speech(samples if ended else samples[: frames * _FRAME])
        end = frames if ended else _end(levels[:frames], speech)
        if not ended:
            speech = tuple(stretch for stretch in speech if stretch.end_s <= end * noise.FRAME_S)
        cut = len(samples) if ended else end * _FRAME
        yield Window(start_s=start * noise.FRAME_S, samples=samples[:cut], levels=levels[:end], speech=speech)
        samples, levels, start = samples[cut:], levels[end:], start + end


def read(path: pathlib.Path, stretch: Stretch) -> Samples:
    """A stretch of a decoded recording at 16 kHz [S]."""
    rate_hz = decoding.SAMPLE_RATE_HZ
    first, last = round(stretch.start_s * rate_hz), round(stretch.end_s * rate_hz)
    samples, _ = soundfile.read(path, start=first, stop=last, dtype="float32")
    resampled: Samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return resampled


def _end(levels: noise.Levels, speech: tuple[Stretch, ...]) -> int:
    """The frame where a window that is not the last ends: in its last longer pause, else in any, else at its end."""
    ends = [stretch.end_s for stretch in speech]
    starts = [*(stretch.start_s for stretch in speech[1:]), len(levels) * noise.FRAME_S]
    pauses = [(end_s, start_s) for end_s, start_s in zip(ends, starts, strict=True) if end_s < start_s]
    longer = [(end_s, start_s) for end_s, start_s in pauses if start_s - end_s >= LEAST_PAUSE_S]
    if not pauses:
        return len(levels)
    end_s, start_s = (longer or pauses)[-1]
    first, last = -int(-end_s // noise.FRAME_S), int(start_s / noise.FRAME_S)
    inside = levels[first:last]
    if len(inside) < _ENDING_FRAMES:
        return (first + last) // 2
    means = np.convolve(inside.astype(np.float64), np.ones(_ENDING_FRAMES) / _ENDING_FRAMES, mode="valid")
    return first + int(np.flatnonzero(means <= means.min() + _ABOUT_DB)[0]) + _ENDING_FRAMES // 2


def _blocks(path: pathlib.Path) -> Iterator[tuple[Samples, noise.Levels]]:
    """A file of the work folder, ten seconds at a time: samples at 16 kHz, and the levels of the file's own."""
    rate_hz = decoding.SAMPLE_RATE_HZ
    resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    for block in soundfile.blocks(path, blocksize=BLOCK_S * rate_hz, dtype="float32"):
        yield resampler.resample_chunk(block), noise.levels(block, rate_hz)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True), np.zeros(0, np.float32)
