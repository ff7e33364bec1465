"""Where nobody speaks, to about a hundredth of a second: the detector's stretches of speech, told apart by level.

The voice activity detector starts late, ends late and bridges short pauses; the recogniser's times are worse. Where a
stretch really begins and ends, and where a pause was bridged, is told by the level of each 10 ms over the room's noise.
Called by who cuts clips and by who marks pauses. Values in, values out.

F frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from kelong_contract import corpora

from kelong_trainer.corpus.sound import decoding, flagged, noise

VERSION = 1  # raise when the same levels would give other pauses than before
FRAME_SAMPLES = round(noise.FRAME_S * decoding.SAMPLE_RATE_HZ)
# How far over the noise floor a frame may be and count as quiet: a quarter of the way to speech, in these bounds. In a
# loud room only the bottom of it is certain to hold no consonant.
QUIET_SHARE, LEAST_QUIET_DB, MOST_QUIET_DB = 0.25, 2.5, 10.0
SPEECH_PERCENTILE = 75.0
SMOOTHED_FRAMES = 5  # single frames of noise differ by a dB, means of five by less than a third of that
MOST_MOVED_FRAMES = 15  # as far as the detector is ever off

Levels = npt.NDArray[np.float32]  # [F] dBFS
Flags = npt.NDArray[np.bool_]  # [F]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Frames from `first` up to `end`."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def middle(self) -> float:
        """In frames."""
        return (self.first + self.end) / 2


def smoothed(levels: Levels, frames: int = SMOOTHED_FRAMES) -> Levels:
    """The level of so many frames around each [F]: the mean of their powers, in dBFS."""
    if not len(levels):
        return levels
    powers = np.pad(10 ** (levels.astype(np.float64) / 10), frames // 2, mode="edge")
    sums = np.convolve(powers, np.full(frames, 1 / frames), mode="valid")
    found: Levels = (10 * np.log10(np.maximum(sums, 10 ** (noise.SILENT_DBFS / 10)))).astype(np.float32)
    return found


def quiet_below_dbfs(levels: Levels, speech: Sequence[Run], floor_dbfs: float) -> float:
    """The level up to which a frame counts as quiet; `speech` says where the loudness of the voice is looked for."""
    spoken = [levels[run.first : run.end] for run in speech]
    loud = np.concatenate(spoken) if spoken else levels
    voice_dbfs = float(np.percentile(loud, SPEECH_PERCENTILE)) if len(loud) else floor_dbfs
    return floor_dbfs + float(np.clip(QUIET_SHARE * (voice_dbfs - floor_dbfs), LEAST_QUIET_DB, MOST_QUIET_DB))


def runs(flags: Flags, least_frames: int = 1) -> list[Run]:
    """Where flags are set for at least so many frames on end."""
    starts, ends = flagged.runs(flags)
    found = (Run(first=first, end=end) for first, end in zip(starts.tolist(), ends.tolist(), strict=True))
    return [run for run in found if len(run) >= least_frames]


def quiet_runs(levels: Levels, quiet_dbfs: float, least_frames: int, frames: int = SMOOTHED_FRAMES) -> list[Run]:
    """Where nothing louder is heard for at least so many frames, judged by the levels of so many together."""
    taken = frames // 2  # what is loud beside a pause takes this much of it on each side
    found = runs(smoothed(levels, frames) <= quiet_dbfs, max(least_frames - 2 * taken, 1))
    return [Run(first=max(run.first - taken, 0), end=min(run.end + taken, len(levels))) for run in found]


def frames_of(stretch: corpora.Stretch | corpora.Breath, offset_s: float, frames: int) -> Run:
    """A stretch in frames counted from `offset_s`, kept within so many frames."""
    first, end = (round((time_s - offset_s) / noise.FRAME_S) for time_s in (stretch.start_s, stretch.end_s))
    return Run(first=min(max(first, 0), frames), end=min(max(end, 0), frames))


def sharpened(speech: Sequence[Run], levels: Levels, quiet_dbfs: float, breaths: Sequence[Run]) -> list[Run]:
    """Stretches of speech with their edges where sound rises from the quiet and falls back to it; none is lost.

    An edge moves by `MOST_MOVED_FRAMES` at most, never into a neighbour nor a breath.
    """
    loud = levels > quiet_dbfs
    for breath in breaths:
        loud[breath.first : breath.end] = False
    found: list[Run] = []
    for index, run in enumerate(speech):
        before = found[-1].end if found else 0
        after = speech[index + 1].first if index + 1 < len(speech) else len(levels)
        middle = round(run.middle)
        first = _first(loud, run.first, max(before, run.first - MOST_MOVED_FRAMES), middle)
        end = _end(loud, run.end, max(middle, first + 1), min(after, run.end + MOST_MOVED_FRAMES))
        found.append(Run(first=first, end=end))
    return found


def _first(loud: Flags, edge: int, least: int, most: int) -> int:
    """The edge moved back over sound, or else forward over quiet; where all is quiet it stays."""
    if edge > least and loud[edge - 1]:
        while edge > least and loud[edge - 1]:
            edge -= 1
        return edge
    heard = np.flatnonzero(loud[edge : min(most, edge + MOST_MOVED_FRAMES)])
    return edge + int(heard[0]) if len(heard) else edge


def _end(loud: Flags, edge: int, least: int, most: int) -> int:
    """The edge moved on over sound, or else back over quiet; where all is quiet it stays."""
    if edge < most and loud[edge]:
        while edge < most and loud[edge]:
            edge += 1
        return edge
    start = max(least, edge - MOST_MOVED_FRAMES)
    heard = np.flatnonzero(loud[start:edge])
    return start + int(heard[-1]) + 1 if len(heard) else edge
