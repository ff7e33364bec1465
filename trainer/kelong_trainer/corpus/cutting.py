"""Where to cut a recording into clips: stretches of speech and levels in, spans of samples out; no file, no store.

Cuts lie in pauses only, at their quietest place. Which pauses are used is chosen for the whole recording at once by
dynamic programming: the sum of what lengths and cuts cost is least. Every sample is in one piece.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from kelong_contract import corpora, orders

from kelong_trainer.corpus.decoding import SAMPLE_RATE_HZ

VERSION = 1
LEVEL_SAMPLES = SAMPLE_RATE_HZ // 100  # one level every 10 ms
LEAST_PAUSE_S = 0.1
# The VAD ends a stretch about 10 ms late and starts one about 45 ms (at worst 90 ms) late: keep away from both.
AFTER_SPEECH_S = 0.02
BEFORE_SPEECH_S = 0.05
EDGE_S = 0.4  # silence kept at a clip's ends; long silence teaches slurred endings
LONGEST_INNER_PAUSE_S = 3.0

# Costs. A clip of the aimed length, cut in clear pauses, costs nothing; a second of speech left out costs most.
LENGTH_COST = 10.0  # at no length at all, or at the longest
PAUSE_COST = 1.0  # of a cut in a pause of no length; none from COMFORTABLE_PAUSE_S on
COMFORTABLE_PAUSE_S = 0.5
LEVEL_COST = 1.0  # of a cut as loud as LOUD_DB above the recording's quiet
LOUD_DB = 20.0
INNER_PAUSE_COST = 2.0  # each second of a pause inside a clip beyond the first
SKIP_COST = 20.0
SKIP_COST_PER_S = 5.0

# A breath in a pause: louder than the pause's quiet by this, for this long, with quiet on both sides.
BREATH_DB = 10.0
BREATH_LEAST_FRAMES = 8
NEAR_QUIET_DB = 6.0

Levels = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A stretch of speech that is never cut, in samples."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a recording in samples: a clip of the units `first` to `last`, or what is left out and why."""

    start: int
    end: int
    kind: Literal["clip", "TooShort", "TooLong", "Silence"]
    first: int = 0
    last: int = -1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recording cut up: `pieces` follow one another from its first sample to its last."""

    units: tuple[Unit, ...]
    pieces: tuple[Piece, ...]


def level_frames(samples: npt.NDArray[np.float32]) -> Levels:
    """The level of each 10 ms in dBFS; what is left over at the end counts as a frame."""
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % LEVEL_SAMPLES))
    levels: Levels = 10 * np.log10(np.maximum((padded.reshape(-1, LEVEL_SAMPLES) ** 2).mean(axis=1), 1e-12))
    return levels


def plan(speech: Sequence[corpora.Stretch], levels: Levels, samples: int, bounds: orders.Slicing) -> Plan:
    """The best clips of a recording of so many samples."""
    units = _units(speech, samples)
    chosen = _Chooser(units, levels, samples, bounds).choose()
    pieces: list[Piece] = []
    position = 0
    for piece in chosen:
        if piece.start > position:
            pieces.append(Piece(start=position, end=piece.start, kind="Silence"))
        pieces.append(piece)
        position = piece.end
    if position < samples:
        pieces.append(Piece(start=position, end=samples, kind="Silence"))
    return Plan(units=units, pieces=tuple(pieces))


def _units(speech: Sequence[corpora.Stretch], samples: int) -> tuple[Unit, ...]:
    """Stretches in samples; those too near to be cut apart are one."""
    units: list[Unit] = []
    for stretch in sorted(speech, key=lambda item: item.start_s):
        start = min(max(round(stretch.start_s * SAMPLE_RATE_HZ), 0), samples)
        end = min(round(stretch.end_s * SAMPLE_RATE_HZ), samples)
        if end <= start:
            continue
        if units and start - units[-1].end < LEAST_PAUSE_S * SAMPLE_RATE_HZ:
            units[-1] = Unit(start=units[-1].start, end=max(end, units[-1].end))
        else:
            units.append(Unit(start=start, end=end))
    return tuple(units)


class _Chooser:
    """The costs of one recording, and the cheapest way through it."""

    def __init__(self, units: Sequence[Unit], levels: Levels, samples: int, bounds: orders.Slicing) -> None:
        self._units, self._levels, self._bounds = units, levels, bounds
        quiet = float(np.percentile(levels, 10)) if len(levels) else 0.0
        cuts = [_quietest(levels, left.end, right.start) for left, right in itertools.pairwise(units)]
        self._pauses_s = [(right.start - left.end) / SAMPLE_RATE_HZ for left, right in itertools.pairwise(units)]
        self._cut_costs = [
            _cut_cost(pause_s, float(levels[_frame(levels, cut)]) - quiet)
            for pause_s, cut in zip(self._pauses_s, cuts, strict=True)
        ]
        # Unit i, alone or at the edge of a clip, reaches from starts[i] to ends[i].
        self._starts = [
            _edge_before(levels, before, unit.start) for before, unit in zip([0, *cuts], units, strict=False)
        ]
        self._ends = [
            _edge_after(levels, unit.end, after) for unit, after in zip(units, [*cuts, samples], strict=False)
        ]

    def choose(self) -> list[Piece]:
        """The pieces that hold speech, in order."""
        count = len(self._units)
        best = [0.0] + [math.inf] * count  # the least cost of everything before unit i
        before: list[Piece | None] = [None] * (count + 1)
        for last in range(count):
            skipped = self._skipped(last)
            best[last + 1] = best[last] + SKIP_COST + SKIP_COST_PER_S * self._length_s(last, last)
            before[last + 1] = skipped
            inner = 0.0
            for first in range(last, -1, -1):
                if first < last:
                    if self._pauses_s[first] > LONGEST_INNER_PAUSE_S:
                        break
                    inner += INNER_PAUSE_COST * max(0.0, self._pauses_s[first] - 1.0)
                length_s = self._length_s(first, last)
                if length_s > self._bounds.max_s:
                    break
                cost = best[first] + inner + self._clip_cost(first, last, length_s)
                if cost < best[last + 1]:
                    best[last + 1] = cost
                    before[last + 1] = self._piece(first, last, "clip")
        pieces: list[Piece] = []
        index = count
        while index:
            piece = before[index]
            assert piece is not None  # each unit can at least be skipped
            pieces.append(piece)
            index = piece.first
        return pieces[::-1]

    def _skipped(self, index: int) -> Piece:
        return self._piece(index, index, "TooLong" if self._length_s(index, index) > self._bounds.max_s else "TooShort")

    def _piece(self, first: int, last: int, kind: Literal["clip", "TooShort", "TooLong"]) -> Piece:
        return Piece(start=self._starts[first], end=self._ends[last], kind=kind, first=first, last=last)

    def _length_s(self, first: int, last: int) -> float:
        return (self._ends[last] - self._starts[first]) / SAMPLE_RATE_HZ

    def _clip_cost(self, first: int, last: int, length_s: float) -> float:
        bounds = self._bounds
        if length_s < bounds.min_s:
            return math.inf
        short = max(0.0, bounds.aim_min_s - length_s) / bounds.aim_min_s
        room_s = bounds.max_s - bounds.aim_max_s
        long = max(0.0, length_s - bounds.aim_max_s) / room_s if room_s else 0.0
        cut_before = self._cut_costs[first - 1] if first else 0.0
        cut_after = self._cut_costs[last] if last + 1 < len(self._units) else 0.0
        return LENGTH_COST * (short + short**2 + long + long**2) / 2 + (cut_before + cut_after) / 2


def _cut_cost(pause_s: float, above_quiet_db: float) -> float:
    hurried = max(0.0, COMFORTABLE_PAUSE_S - pause_s) / COMFORTABLE_PAUSE_S
    loud = min(max(above_quiet_db / LOUD_DB, 0.0), 1.0)
    return PAUSE_COST * hurried + LEVEL_COST * loud


def _frame(levels: Levels, sample: int) -> int:
    return min(sample // LEVEL_SAMPLES, len(levels) - 1)


def _inside(levels: Levels, start: int, end: int) -> tuple[int, Levels]:
    """The first whole frame at or after `start`, and the levels from there up to `end`, smoothed over 30 ms."""
    first, last = -(-start // LEVEL_SAMPLES), min(end // LEVEL_SAMPLES, len(levels))
    if last <= first:
        return first, np.zeros(0)
    padded = np.pad(levels[first:last], 1, mode="edge")
    smooth: Levels = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return first, smooth


def _quietest(levels: Levels, end: int, start: int) -> int:
    """The sample to cut at in the pause from `end` to `start`: the quietest, but before a breath if the pause has one.

    So an inhale leads the clip that it belongs to.
    """
    first, inside = _inside(
        levels, end + round(AFTER_SPEECH_S * SAMPLE_RATE_HZ), start - round(BEFORE_SPEECH_S * SAMPLE_RATE_HZ)
    )
    if not len(inside):
        return (end + start) // 2
    breath = _breath_start(inside)
    quietest = int(np.argmin(inside[:breath] if breath else inside))
    return (first + quietest) * LEVEL_SAMPLES + LEVEL_SAMPLES // 2


def _breath_start(inside: Levels) -> int | None:
    """The frame where the first breath of a pause starts: a louder stretch with quiet before and after it."""
    loud = inside > inside.min() + BREATH_DB
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=0, append=0))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if start > 0 and end < len(inside) and end - start >= BREATH_LEAST_FRAMES:
            return int(start)
    return None


def _edge_before(levels: Levels, cut: int, start: int) -> int:
    """Where a clip starts whose speech starts at `start`: at the cut if that is near, else at an early quiet place."""
    earliest = start - round(EDGE_S * SAMPLE_RATE_HZ)
    if earliest <= cut:
        return cut
    first, inside = _inside(levels, earliest, start - round(BEFORE_SPEECH_S * SAMPLE_RATE_HZ))
    if not len(inside):
        return earliest
    quiet = np.flatnonzero(inside <= inside.min() + NEAR_QUIET_DB)
    return (first + int(quiet[0])) * LEVEL_SAMPLES


def _edge_after(levels: Levels, end: int, cut: int) -> int:
    """Where a clip ends whose speech ends at `end`: at the cut if that is near, else at a late quiet place."""
    latest = end + round(EDGE_S * SAMPLE_RATE_HZ)
    if latest >= cut:
        return cut
    first, inside = _inside(levels, end + round(AFTER_SPEECH_S * SAMPLE_RATE_HZ), latest)
    if not len(inside):
        return latest
    quiet = np.flatnonzero(inside <= inside.min() + NEAR_QUIET_DB)
    return (first + int(quiet[-1]) + 1) * LEVEL_SAMPLES
