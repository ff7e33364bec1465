"""Where to cut a recording into clips: what was heard of it in, spans of samples out; no file, no store.

A recording is a row of units of speech with gaps between. Gaps are what the voice activity detector found; where it
bridged a pause, as in a loud room, the level tells, if the recogniser has two words there; and where somebody speaks
longer than a clip may be, the least sound between two words has to do. Which gaps are cut is chosen for the whole
recording at once by dynamic programming: the sum of what lengths and cuts cost is least. A cut lies at the quietest
place of its gap, but before a breath: an inhale leads the clip that it belongs to. Every sample is in one piece.

Takes time in proportion to the recording's length: each unit is tried with those that a clip could hold before it.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from kelong_contract import corpora, orders

from kelong_trainer.corpus.listening import pauses
from kelong_trainer.corpus.listening.pauses import FRAME_SAMPLES, Levels, Run
from kelong_trainer.corpus.sound import noise
from kelong_trainer.corpus.words import labels

VERSION = 4  # raise when the same recording would be cut otherwise than before
EDGE_S = 0.4  # silence kept at a clip's ends; long silence teaches slurred endings
LONGEST_INNER_PAUSE_S = 3.0
# A breath this long before speech belongs to it; one further away belongs to nothing.
BREATH_LEADS_S = 0.6
LONGEST_BREATH_FRAMES = 150
BREATH_EDGE_FRAMES = 2  # it swells and fades about as far beyond where the detector has it
# A cut keeps away from speech by a quarter of its pause, in these bounds: the detector starts 45 ms late.
LEAST_AWAY_FRAMES, MOST_AWAY_FRAMES = 1, 10
NEAR_QUIET_DB = 1.0
MIDDLE_DB = 0.5  # how much louder than the quietest place the middle of a pause may be and be preferred

# Pauses that the detector bridged: quiet for this long, near a place between two words.
BRIDGED_FRAMES = 8
CLEARLY_BRIDGED_FRAMES = 15
BRIDGED_IN_S = 4.0  # shorter stretches are not searched
NEAR_WORDS_S = 0.2
# The least sound between two words, where nothing better is left: so much less than the voice around, so near to where
# the recogniser has one word end and the next begin.
DIP_DB = 10.0
DIP_NEAR_S = 0.15

# A unit that says nothing known: in music, in another language, or so long without any word.
WORDLESS_S = 1.0
MOSTLY = 0.7
PARTLY = 0.3  # of another language: what is said in it is in no label

# Costs. A clip of the aimed length, cut after sentences in clear pauses, costs nothing; speech left out costs most.
LENGTH_COST = 20.0  # at no length at all, or at the longest
OUTSIDE_COST = 2.0  # of a length outside of what is aimed for, however little
PAUSE_COST = 1.0  # of a cut in a pause of no length; none from COMFORTABLE_PAUSE_S on
COMFORTABLE_PAUSE_S = 0.5
LEVEL_COST = 1.0  # of a cut as loud as LOUD_DB above the recording's quiet
LOUD_DB = 20.0
UNFINISHED_COST = 0.5  # of a cut without a mark before it; half of it after a comma
INSIDE_WORD_COST = 4.0  # of a cut in a short pause where the recogniser has a word that goes on
BRIDGED_COST, HARDLY_BRIDGED_COST, DIP_COST = 1.5, 6.0, 30.0
INNER_PAUSE_COST = 2.0  # each second of a pause inside a clip beyond the first
WORDLESS_COST, WORDLESS_COST_PER_S = 4.0, 4.0  # of wordless sound inside a clip
OTHER_VOICE_COST = 30.0  # of a change of voices inside a clip
SKIP_COST, SKIP_COST_PER_S = 40.0, 10.0

# Voices on both sides of a gap differ if their mean similarity to the speaker does by this much.
OTHER_VOICE = 0.15
VOICES_EACH_SIDE, VOICES_WITHIN_S = 2, 4.0

Left = Literal["TooShort", "TooLong", "Silence", "OtherLanguage", "Music", "NoText"]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What is known of one recording of so many samples; `levels` are those of `noise.levels`."""

    levels: Levels
    samples: int
    listening: corpora.Listening
    words: Sequence[corpora.Word] = ()
    foreign: Sequence[corpora.ForeignStretch] = ()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a recording in samples: a clip of the units `first` to `last`, or what is left out and why."""

    start: int
    end: int
    kind: Literal["clip"] | Left
    first: int = 0
    last: int = -1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recording cut up: `pieces` follow one another from its first sample to its last.

    `units` are stretches of speech that are never cut, in frames, `words` what is said in each.
    """

    units: tuple[Run, ...]
    words: tuple[tuple[corpora.Word, ...], ...]
    pieces: tuple[Piece, ...]


def plan(heard: Heard, bounds: orders.Slicing) -> Plan:
    """The best clips of a recording."""
    recording = _Recording(heard, bounds.max_s)
    chosen = _Chooser(recording, bounds).choose()
    return Plan(
        units=tuple(recording.units),
        words=tuple(tuple(words) for words in recording.words),
        pieces=tuple(_told_apart(_complete(chosen, heard.samples), heard)),
    )


def whole(heard: Heard, bounds: orders.Slicing) -> Plan:
    """A recording that is one clip as it came, without the silence at its ends that is too long."""
    recording = _Recording(heard, math.inf)
    start, end, last = 0, heard.samples, len(recording.units) - 1
    if recording.units:
        first, after = recording.start_of(0, 0), recording.end_of(last, len(heard.levels))
        if (after - first) * noise.FRAME_S >= bounds.min_s:
            start, end = first * FRAME_SAMPLES, min(after * FRAME_SAMPLES, heard.samples)
    kinds = set(recording.kinds)
    clip = Piece(start=start, end=end, kind=kinds.pop() if len(kinds) == 1 else "clip", first=0, last=last)
    return Plan(
        units=tuple(recording.units),
        words=tuple(tuple(words) for words in recording.words),
        pieces=tuple(_complete([clip], heard.samples)),
    )


def other_voices(units: Sequence[Run], voices: Sequence[corpora.VoiceStretch]) -> tuple[bool, ...]:
    """For each gap between two units whether somebody else goes on after it: all that a plan takes from `voices`.

    `units` do not depend on them.
    """
    middles = [(voice.start_s + voice.end_s) / 2 for voice in voices]

    def similarities(start_s: float, end_s: float) -> list[float]:
        first, end = (bisect.bisect_left(middles, time_s) for time_s in (start_s, end_s))
        return [voice.similarity for voice in voices[first:end]]

    found = []
    for left, right in itertools.pairwise(units):
        end_s, start_s = left.end * noise.FRAME_S, right.first * noise.FRAME_S
        before = similarities(end_s - VOICES_WITHIN_S, end_s)[-VOICES_EACH_SIDE:]
        after = similarities(start_s, start_s + VOICES_WITHIN_S)[:VOICES_EACH_SIDE]
        is_known = bool(before and after)
        found.append(is_known and abs(sum(before) / len(before) - sum(after) / len(after)) >= OTHER_VOICE)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """Between two units: where it would be cut, what that costs, and how long nobody speaks."""

    cut: int
    cost: float
    pause_s: float
    other_voice: bool


class _Recording:
    """The units and gaps of one recording, in frames."""

    def __init__(self, heard: Heard, longest_s: float) -> None:
        self.samples, self.frames = heard.samples, len(heard.levels)
        self._heard, self._levels, self._smooth = heard, heard.levels, pauses.smoothed(heard.levels)
        frames = self.frames
        breaths = (pauses.frames_of(breath, 0.0, frames) for breath in heard.listening.breaths)
        self._breaths = sorted((run for run in breaths if len(run)), key=lambda run: run.first)
        self._breath_starts = [run.first for run in self._breaths]
        self._unbreathed = heard.levels.copy()
        for run in self._breaths:
            self._unbreathed[max(run.first - BREATH_EDGE_FRAMES, 0) : run.end + BREATH_EDGE_FRAMES] = noise.SILENT_DBFS
        self._word_starts = [word.start_s for word in heard.words]
        spoken = [run for stretch in heard.listening.speech if len(run := pauses.frames_of(stretch, 0.0, frames))]
        self._floor = heard.listening.noise_floor_dbfs
        self._quiet = pauses.quiet_below_dbfs(heard.levels, spoken, self._floor)
        self._between = _between(heard.words)
        sharp = pauses.sharpened(sorted(spoken, key=lambda run: run.first), heard.levels, self._quiet, self._breaths)
        self.units: list[Run] = []
        penalties: list[float] = []  # of the gap after each unit
        for unit in _joined(sharp):
            for part, penalty in self._parts(unit, longest_s):
                self.units.append(part)
                penalties.append(penalty)
        self.words = labels.assign(heard.words, self.units)
        self.kinds = [self._kind(unit, words) for unit, words in zip(self.units, self.words, strict=True)]
        changes = other_voices(self.units, heard.listening.voices)
        self.gaps = [
            self._gap(index, penalty, other_voice=changes[index])
            for index, penalty in enumerate(penalties[: len(changes)])
        ]

    def _parts(self, unit: Run, longest_s: float) -> list[tuple[Run, float]]:
        """A stretch of speech where it can be cut, each part with what it costs more than in a pause to cut after."""
        places: list[tuple[Run, float]] = []
        if len(unit) * noise.FRAME_S > BRIDGED_IN_S:
            inside = self._unbreathed[unit.first : unit.end]
            for run in pauses.quiet_runs(inside, self._quiet, BRIDGED_FRAMES):
                place = Run(first=unit.first + run.first, end=unit.first + run.end)
                if place.first > unit.first and place.end < unit.end and self._is_between_words(place):
                    clear = len(place) >= CLEARLY_BRIDGED_FRAMES
                    places.append((place, BRIDGED_COST if clear else HARDLY_BRIDGED_COST))
        parts = _split(unit, places)
        if all(len(part) * noise.FRAME_S <= longest_s for part, _ in parts):
            return parts
        longer: list[tuple[Run, float]] = []
        for part, penalty in parts:
            dips = self._dips(part) if len(part) * noise.FRAME_S > longest_s else []
            pieces = _split(part, dips)
            longer += [*pieces[:-1], (pieces[-1][0], penalty)]
        return longer

    def _is_between_words(self, place: Run) -> bool:
        near = NEAR_WORDS_S
        start_s, end_s = place.first * noise.FRAME_S - near, place.end * noise.FRAME_S + near
        index = bisect.bisect_left(self._between, start_s)
        return index < len(self._between) and self._between[index] <= end_s

    def _dips(self, part: Run) -> list[tuple[Run, float]]:
        """The least sound near each place between two words, of at least three frames."""
        voice = float(np.median(self._levels[part.first : part.end]))
        reach = round(DIP_NEAR_S / noise.FRAME_S)
        found: list[tuple[Run, float]] = []
        for time_s in self._between:
            middle = round(time_s / noise.FRAME_S)
            first, end = max(part.first + 10, middle - reach), min(part.end - 10, middle + reach)
            if first >= end:
                continue
            dip = self._levels[first:end]
            lowest = float(dip.min())
            low = max(pauses.runs(dip <= lowest + 3.0), key=len)
            if lowest <= voice - DIP_DB and len(low) >= 3 and (not found or first + low.first > found[-1][0].end):
                place = Run(first=first + low.first, end=first + low.end)
                found.append((place, DIP_COST - len(low) * noise.FRAME_S))
        return found

    def _kind(self, unit: Run, words: Sequence[corpora.Word]) -> Literal["clip", "OtherLanguage", "Music", "NoText"]:
        if _covered(unit, self._heard.foreign) >= PARTLY:
            return "OtherLanguage"
        if words:
            return "clip"
        if _covered(unit, self._heard.listening.music) >= MOSTLY:
            return "Music"
        return "NoText" if len(unit) * noise.FRAME_S > WORDLESS_S else "clip"

    def _gap(self, index: int, penalty: float, *, other_voice: bool) -> _Gap:
        left, right = self.units[index], self.units[index + 1]
        pause_s = (right.first - left.end) * noise.FRAME_S
        cut = self._cut(left.end, right.first)
        hurried = max(0.0, COMFORTABLE_PAUSE_S - pause_s) / COMFORTABLE_PAUSE_S
        loud = min(max((float(self._smooth[cut]) - self._floor) / LOUD_DB, 0.0), 1.0)
        said = "".join(word.text for word in self.words[index]).rstrip()
        unfinished = 0.0 if not said or said[-1] in labels.ENDINGS else 0.5 if said[-1] in labels.MARKS else 1.0
        cost = penalty + PAUSE_COST * hurried + LEVEL_COST * loud + UNFINISHED_COST * unfinished
        if pause_s < COMFORTABLE_PAUSE_S and self._is_inside_word(left.end, right.first):
            cost += INSIDE_WORD_COST
        return _Gap(cut=cut, cost=cost, pause_s=pause_s, other_voice=other_voice)

    def _is_inside_word(self, end: int, start: int) -> bool:
        """Whether a word begins well before the gap and ends well after it."""
        before_s, after_s = end * noise.FRAME_S - NEAR_WORDS_S, start * noise.FRAME_S + NEAR_WORDS_S
        index = bisect.bisect_left(self._word_starts, before_s)
        return any(after_s < word.end_s for word in self._heard.words[max(index - 2, 0) : index])

    def _breaths_in(self, first: int, end: int) -> list[Run]:
        """The breaths that start there."""
        low, high = (bisect.bisect_left(self._breath_starts, frame) for frame in (first, end))
        return self._breaths[low:high]

    def _cut(self, end: int, start: int) -> int:
        """The frame to cut in, of a gap from `end` to `start`."""
        breaths = [run for run in self._breaths_in(end - LONGEST_BREATH_FRAMES, start) if run.end > end]
        limit = min(max(breaths[0].first, end + 1), start) if breaths else start
        away = min(max((limit - end) // 4, LEAST_AWAY_FRAMES), MOST_AWAY_FRAMES)
        first, last = end + away, limit - away
        if last <= first:
            return min((end + limit) // 2, self.frames - 1)
        inside = self._smooth[first:last]
        off = np.abs(np.arange(len(inside)) - (len(inside) - 1) / 2) / len(inside)
        return first + int(np.argmin(inside + 2 * MIDDLE_DB * off))

    def start_of(self, index: int, cut: int) -> int:
        """The frame where a clip starts whose first unit this is: at the cut before it if that is near."""
        lead = self.units[index].first
        for run in reversed(self._breaths_in(max(cut, lead - LONGEST_BREATH_FRAMES), lead)):
            if (lead - run.end) * noise.FRAME_S <= BREATH_LEADS_S:
                lead = run.first
        earliest = lead - round(EDGE_S / noise.FRAME_S)
        if earliest <= cut:
            return cut
        ended = max((run.end for run in self._breaths_in(earliest - LONGEST_BREATH_FRAMES, lead)), default=0)
        quiet = self._near_quiet(max(earliest, ended), lead - LEAST_AWAY_FRAMES)
        return quiet[0] if quiet else max(earliest, min(ended, lead))

    def end_of(self, index: int, cut: int) -> int:
        """The frame that a clip ends before whose last unit this is: at the cut after it if that is near."""
        end = self.units[index].end
        latest = end + round(EDGE_S / noise.FRAME_S)
        breaths = [run for run in self._breaths_in(end - LONGEST_BREATH_FRAMES, latest) if run.end > end]
        latest = max(breaths[0].first, end) if breaths else latest
        if latest >= cut:
            return cut
        quiet = self._near_quiet(end + LEAST_AWAY_FRAMES, latest)
        return quiet[-1] + 1 if quiet else latest

    def _near_quiet(self, first: int, end: int) -> list[int]:
        inside = self._smooth[first:end]
        return (first + np.flatnonzero(inside <= inside.min() + NEAR_QUIET_DB)).tolist() if len(inside) else []


class _Chooser:
    """The cheapest way through a recording."""

    def __init__(self, recording: _Recording, bounds: orders.Slicing) -> None:
        self._recording, self._bounds = recording, bounds
        units, gaps, kinds = recording.units, recording.gaps, recording.kinds
        # Unit i, alone or at the edge of a clip, reaches from starts[i] to ends[i].
        cuts = [gap.cut for gap in gaps]
        self._starts = [recording.start_of(index, cut) for index, cut in enumerate([0, *cuts][: len(units)])]
        self._ends = [recording.end_of(index, cut) for index, cut in enumerate([*cuts, recording.frames][: len(units)])]
        self._barred = [kind in ("OtherLanguage", "Music") for kind in kinds]
        self._wordless = [
            WORDLESS_COST + WORDLESS_COST_PER_S * len(unit) * noise.FRAME_S if kind == "NoText" else 0.0
            for unit, kind in zip(units, kinds, strict=True)
        ]
        self._inner = [
            INNER_PAUSE_COST * max(0.0, gap.pause_s - 1.0) + OTHER_VOICE_COST * gap.other_voice for gap in gaps
        ]

    def choose(self) -> list[Piece]:
        """The pieces that hold speech, in order; neighbours that are left out for the same reason are one."""
        count = len(self._recording.units)
        best = [0.0] + [math.inf] * count  # the least cost of everything before unit i
        begin = [-1] * (count + 1)  # the unit that the last clip before unit i begins with; -1: unit i - 1 is left out
        for last in range(count):
            best[last + 1] = best[last] + self._skip_cost(last)
            inner = 0.0
            for first in range(last, -1, -1):
                if self._barred[first]:
                    break
                if first < last:
                    if self._recording.gaps[first].pause_s > LONGEST_INNER_PAUSE_S:
                        break
                    inner += self._inner[first]
                inner += self._wordless[first]
                length_s = self._length_s(first, last)
                if length_s > self._bounds.max_s:
                    break
                cost = best[first] + inner + self._clip_cost(first, last, length_s)
                if cost < best[last + 1]:
                    best[last + 1], begin[last + 1] = cost, first
        pieces: list[Piece] = []
        index = count
        while index:
            first = begin[index]
            kind: Literal["clip"] | Left = "clip"
            if first < 0:
                first = index - 1
                kind = self._skipped(first)
            pieces.append(self._piece(first, index - 1, kind))
            index = first
        return _merged(pieces[::-1])

    def _skip_cost(self, index: int) -> float:
        if self._barred[index]:
            return 0.0
        if self._wordless[index]:
            return 1.0
        return SKIP_COST + SKIP_COST_PER_S * len(self._recording.units[index]) * noise.FRAME_S

    def _skipped(self, index: int) -> Left:
        kind = self._recording.kinds[index]
        if kind != "clip":
            return kind
        return "TooLong" if self._length_s(index, index) > self._bounds.max_s else "TooShort"

    def _piece(self, first: int, last: int, kind: Literal["clip"] | Left) -> Piece:
        end = min(self._ends[last] * FRAME_SAMPLES, self._recording.samples)
        return Piece(start=self._starts[first] * FRAME_SAMPLES, end=end, kind=kind, first=first, last=last)

    def _length_s(self, first: int, last: int) -> float:
        return round((self._ends[last] - self._starts[first]) * noise.FRAME_S, 2)

    def _clip_cost(self, first: int, last: int, length_s: float) -> float:
        bounds, gaps = self._bounds, self._recording.gaps
        if length_s < bounds.min_s:
            return math.inf
        short = max(0.0, bounds.aim_min_s - length_s) / bounds.aim_min_s
        room_s = bounds.max_s - bounds.aim_max_s
        long = max(0.0, length_s - bounds.aim_max_s) / room_s if room_s else 0.0
        cut_before = gaps[first - 1].cost if first else 0.0
        cut_after = gaps[last].cost if last < len(gaps) else 0.0
        length = LENGTH_COST * (short + short**2 + long + long**2) / 2 + OUTSIDE_COST * (short + long > 0)
        return length + (cut_before + cut_after) / 2


def _between(words: Sequence[corpora.Word]) -> list[float]:
    """The moments between two words."""
    return sorted((left.end_s + right.start_s) / 2 for left, right in itertools.pairwise(words))


def _joined(runs: Sequence[Run]) -> list[Run]:
    """Runs too near to be cut apart are one."""
    found: list[Run] = []
    for run in runs:
        if found and run.first - found[-1].end < BRIDGED_FRAMES:
            found[-1] = Run(first=found[-1].first, end=max(run.end, found[-1].end))
        else:
            found.append(run)
    return found


def _split(unit: Run, places: Sequence[tuple[Run, float]]) -> list[tuple[Run, float]]:
    """The parts of a unit between places, each with the cost of the place after it; the last one's is 0."""
    parts: list[tuple[Run, float]] = []
    first = unit.first
    for place, cost in places:
        parts.append((Run(first=first, end=place.first), cost))
        first = place.end
    return [*parts, (Run(first=first, end=unit.end), 0.0)]


def _covered(unit: Run, stretches: Sequence[corpora.Stretch] | Sequence[corpora.ForeignStretch]) -> float:
    """The share of a unit that lies in stretches."""
    start_s, end_s = unit.first * noise.FRAME_S, unit.end * noise.FRAME_S
    inside = sum(max(0.0, min(item.end_s, end_s) - max(item.start_s, start_s)) for item in stretches)
    return inside / (end_s - start_s)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours that touch and are left out for one reason as one piece."""
    found: list[Piece] = []
    for piece in pieces:
        before = found[-1] if found else None
        if before is not None and before.kind == piece.kind != "clip" and before.end == piece.start:
            found[-1] = Piece(start=before.start, end=piece.end, kind=piece.kind, first=before.first, last=piece.last)
        else:
            found.append(piece)
    return found


def _complete(chosen: Sequence[Piece], samples: int) -> list[Piece]:
    """The pieces with the silence between them."""
    pieces: list[Piece] = []
    position = 0
    for piece in chosen:
        if piece.start > position:
            pieces.append(Piece(start=position, end=piece.start, kind="Silence"))
        pieces.append(piece)
        position = piece.end
    if position < samples:
        pieces.append(Piece(start=position, end=samples, kind="Silence"))
    return pieces


def _told_apart(pieces: Sequence[Piece], heard: Heard) -> list[Piece]:
    """The pieces with what is music in silence told apart from it."""
    edges = sorted(
        min(round(time_s / noise.FRAME_S) * FRAME_SAMPLES, heard.samples)
        for stretch in heard.listening.music
        for time_s in (stretch.start_s, stretch.end_s)
    )
    found: list[Piece] = []
    for piece in pieces:
        if piece.kind != "Silence":
            found.append(piece)
            continue
        inner = edges[bisect.bisect_right(edges, piece.start) : bisect.bisect_left(edges, piece.end)]
        for start, end in itertools.pairwise([piece.start, *dict.fromkeys(inner), piece.end]):
            middle_s = (start + end) / 2 / FRAME_SAMPLES * noise.FRAME_S
            music = any(item.start_s <= middle_s < item.end_s for item in heard.listening.music)
            found.append(Piece(start=start, end=end, kind="Music" if music else "Silence"))
    return found
