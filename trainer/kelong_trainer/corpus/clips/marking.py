"""Pauses and breaths between the characters of a clip: sounds and word times in, marks out; no file, no store.

Where nobody speaks is told by level, by the voice activity detector and by the breath detector; between which
characters that is, by the recogniser's times, which are off by a tenth of a second and more. So all gaps of a clip are
given to boundaries between characters at once: near to their times, in order, with about as much speech between two
gaps as there are syllables (a shortest path, as in aligning by dynamic programming: Sakoe and Chiba 1978). A gap that
fits nowhere is left out. What sounds like neither silence nor a breath marks nothing, and nothing beside it is marked:
a silence that breathes would be learnt as one.

A mark of punctuation is no pause: a gap with one and without silence gets no mark, and a pause without one does.
"""

from __future__ import annotations

import bisect
import difflib
import functools
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from kelong_contract import corpora
from kelong_speech.text import symbols

from kelong_trainer.corpus.listening import pauses
from kelong_trainer.corpus.listening.pauses import Levels, Run
from kelong_trainer.corpus.sound import noise
from kelong_trainer.corpus.words import labels

VERSION = 2  # raise when the same clip would get other marks than before
SMOOTHED_FRAMES = 3
LEAST_FRAMES = 6
# Where each kind of pause begins.
PAUSES_S: tuple[tuple[corpora.MarkKind, float], ...] = (("sp4", 0.9), ("sp3", 0.4), ("sp2", 0.18), ("sp1", 0.06))
# A deep breath is long, loud or both: how loud it is against the voice, and 6 dB more for twice the length.
DEEP_DB, USUAL_BREATH_S = -20.0, 0.25
LEAST_BREATH_CONFIDENCE = 0.5
LEAST_CONFIDENCE = 0.55  # a mark that is less sure stays with the clip and out of its phones
# Neither silence nor breath for this long: a cough, a chair, a breath that the detector is not sure of.
UNSURE_FRAMES = 8
# The detector hears speech this late at most: what sounds just before it is its beginning.
LATE_FRAMES = 10

# The mouth closes before these: as long as that takes is no pause.
STOPS = frozenset(["b", "p", "d", "t", "g", "k", "j", "q", "zh", "ch", "z", "c"])
CLOSURE_S = 0.12

# Costs of giving a gap to a boundary, in halves of squared deviations.
TIMES_OFF_S = 0.12
REACH_S = 0.6  # no boundary further away is looked at
SYLLABLE_DEVIATION = 0.35  # of a syllable's length, as a share of its mean
INSIDE_WORD_COST = 1.5
UNMARKED_COST, UNMARKED_FROM_S = 1.0, 0.25  # a pause of this length without punctuation, and
UNMARKED_COST_PER_S, LONGEST_UNMARKED_S = 6.0, 0.75  # each second more, up to here
STOP_COST = 2.0  # a gap no longer than a closure before a stop
LEFT_OUT_COST, LEFT_OUT_COST_PER_S, BREATH_LEFT_OUT_COST = 0.5, 20.0, 3.0
GAPS_BACK = 5  # so many gaps before one may be left out on end

LATIN_SYLLABLES = 0.4  # of a letter in a Latin word

T = TypeVar("T", corpora.Breath, corpora.Stretch)
# What belongs to the character before it: readings in brackets, punctuation, closing quotes.
_BRACKETS = r"\[[^\[\]]*\]"
_CLOSING = re.compile(rf"(?:{_BRACKETS}|[{re.escape(labels.MARKS)}”’」』）》】)])*")
_WRITTEN_MARK = re.compile(rf"\[(?:{'|'.join(symbols.INLINE_MARKS)})\]")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One clip: its text, its words with times in the recording, its levels [F] and what was heard around it."""

    text: str
    start_s: float
    words: Sequence[corpora.Word]
    levels: Levels
    listening: corpora.Listening


def sure(marks: Iterable[corpora.Mark]) -> list[corpora.Mark]:
    """Those of a clip's marks that become phones."""
    return [mark for mark in marks if mark.confidence >= LEAST_CONFIDENCE]


def marks(heard: Heard) -> tuple[corpora.Mark, ...]:
    """The marks of a clip, in order. None for a text that is not spoken, or in which somebody put marks already."""
    if _WRITTEN_MARK.search(heard.text):
        return ()
    boundaries = _boundaries(heard)
    if len(boundaries) < 2:
        return ()
    sound = _Sound(heard)
    found: list[corpora.Mark] = []
    for gap, boundary, sureness in _placed(sound, boundaries):
        if not gap.is_unsure:
            found += _marks(gap, boundary, sureness, heard.start_s, sound.voice_dbfs, sound.floor_dbfs)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Boundary:
    """A place between two spoken characters: after so many of the text, between `start` and `end` in frames.

    `syllables` are those before it.
    """

    after: int
    start: float
    end: float
    syllables: float
    inside_word: bool
    punctuated: bool
    before_stop: bool


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A silence in a gap, or a breath."""

    run: Run
    breath: corpora.Breath | None


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """Where nobody speaks."""

    run: Run
    parts: tuple[_Part, ...]
    is_unsure: bool

    @property
    def length_s(self) -> float:
        return len(self.run) * noise.FRAME_S

    @property
    def breathes(self) -> bool:
        return any(part.breath is not None for part in self.parts)


class _Sound:
    """The gaps of a clip, in frames from its start, and how much is spoken before each."""

    def __init__(self, heard: Heard) -> None:
        frames, listening = len(heard.levels), heard.listening
        end_s = heard.start_s + frames * noise.FRAME_S
        self.floor_dbfs = listening.noise_floor_dbfs
        self._breaths = [
            (run, breath)
            for breath in _near(listening.breaths, heard.start_s, end_s)
            if len(run := pauses.frames_of(breath, heard.start_s, frames))
        ]
        speech = [
            run
            for stretch in _near(listening.speech, heard.start_s, end_s)
            if len(run := pauses.frames_of(stretch, heard.start_s, frames))
        ]
        quiet_dbfs = pauses.quiet_below_dbfs(heard.levels, speech, self.floor_dbfs)
        spoken = [heard.levels[run.first : run.end] for run in speech] or [heard.levels]
        self.voice_dbfs = float(np.percentile(np.concatenate(spoken), pauses.SPEECH_PERCENTILE))
        self._quiet = np.zeros(frames, bool)
        for run in pauses.quiet_runs(heard.levels, quiet_dbfs, 2, SMOOTHED_FRAMES):
            self._quiet[run.first : run.end] = True
        self._silent = np.ones(frames, bool)  # to the detector
        for run in speech:
            self._silent[max(run.first - LATE_FRAMES, 0) : run.end] = False
        breathing = np.zeros(frames, bool)
        for run, _ in self._breaths:
            breathing[run.first : run.end] = True
        self.frames = frames
        self._breathing = breathing
        self.gaps = [gap for run in pauses.runs(self._quiet | breathing | self._silent) if (gap := self._gap(run))]
        pausing = np.zeros(frames, bool)
        for gap in self.gaps:
            pausing[gap.run.first : gap.run.end] = True
        self._spoken = np.concatenate([[0], np.cumsum(~pausing)])

    def spoken_before(self, frame: int) -> float:
        """Frames in which somebody speaks, before this one."""
        return float(self._spoken[frame])

    def _gap(self, run: Run) -> _Gap | None:
        """The gap in a run that sounds quiet, breathed or at least not spoken; None for none worth a mark."""
        sure = np.flatnonzero((self._quiet | self._breathing)[run.first : run.end])
        if not len(sure):
            return None
        # What sounds at either end of it is the speech beside it.
        run = Run(first=run.first + int(sure[0]), end=run.first + int(sure[-1]) + 1)
        breaths = [(place, breath) for place, breath in self._breaths if run.first <= place.first < run.end]
        if len(run) < LEAST_FRAMES and not breaths:
            return None
        other = ~(self._quiet | self._breathing)[run.first : run.end]
        is_unsure = bool(pauses.runs(other, UNSURE_FRAMES)) or any(
            breath.confidence < LEAST_BREATH_CONFIDENCE for _, breath in breaths
        )
        parts: list[_Part] = []
        position = run.first
        for place, breath in breaths:
            if place.first - position >= LEAST_FRAMES:
                parts.append(_Part(run=Run(first=position, end=place.first), breath=None))
            parts.append(_Part(run=place, breath=breath))
            position = max(position, place.end)
        if run.end - position >= LEAST_FRAMES:
            parts.append(_Part(run=Run(first=position, end=run.end), breath=None))
        return _Gap(run=run, parts=tuple(parts), is_unsure=is_unsure)


def _near(items: Sequence[T], start_s: float, end_s: float) -> Sequence[T]:
    """Those of a recording's stretches that reach into a clip."""
    first = bisect.bisect_right(items, start_s, key=lambda item: item.end_s)
    return items[first : bisect.bisect_left(items, end_s, key=lambda item: item.start_s)]


def _boundaries(heard: Heard) -> list[_Boundary]:
    """The places between spoken characters where a mark may stand, with both ends of the text."""
    text, frames = heard.text, len(heard.levels)
    in_brackets = {index for match in re.finditer(_BRACKETS, text) for index in range(*match.span())}
    spoken = [index for index, char in enumerate(text) if char.isalnum() and index not in in_brackets]
    if not spoken:
        return []
    times = [
        (min(max((start_s - heard.start_s) / noise.FRAME_S, 0), frames), (end_s - heard.start_s) / noise.FRAME_S, word)
        for start_s, end_s, word in _times("".join(text[index] for index in spoken), heard)
    ]
    found: list[_Boundary] = []
    syllables = 0.0
    for place in range(len(spoken) + 1):
        left, right = spoken[place - 1] if place else -1, spoken[place] if place < len(spoken) else len(text)
        if place:
            syllables += LATIN_SYLLABLES if text[left].isascii() and text[left].isalpha() else 1.0
        if 0 < place < len(spoken) and right == left + 1 and text[left].isascii() and text[right].isascii():
            continue  # inside of a Latin word or a number
        before = times[place - 1][1] if place else 0.0
        after = times[place][0] if place < len(spoken) else float(frames)
        between = text[left + 1 : right]
        closing = match.end() if (match := _CLOSING.match(between)) else 0
        found.append(
            _Boundary(
                after=left + 1 + closing if place else 0,
                start=min(before, after),
                end=max(before, after),
                syllables=syllables,
                inside_word=0 < place < len(spoken) and times[place - 1][2] == times[place][2],
                punctuated=any(char in labels.MARKS for char in between),
                before_stop=place < len(spoken) and _is_stop(text[right]),
            )
        )
    return found


def _times(letters: str, heard: Heard) -> list[tuple[float, float, int]]:
    """Start, end and word of each spoken character; what no word tells lies between its neighbours, in no word."""
    end_s = heard.start_s + len(heard.levels) * noise.FRAME_S
    told = [
        (letter, start_s, letter_end_s, number)
        for number, word in enumerate(heard.words)
        for letter, start_s, letter_end_s in _characters(word)
    ]
    match = difflib.SequenceMatcher(None, letters, "".join(letter for letter, *_ in told), autojunk=False)
    found: list[tuple[float, float, int] | None] = [None] * len(letters)
    for block in match.get_matching_blocks():
        for offset in range(block.size):
            found[block.a + offset] = told[block.b + offset][1:]
    known = [-1, *(index for index, item in enumerate(found) if item is not None), len(letters)]
    whole: list[tuple[float, float, int]] = []
    for left, right in itertools.pairwise(known):
        before, after = found[left] if left >= 0 else None, found[right] if right < len(letters) else None
        if before is not None:
            whole.append(before)
        first_s, last_s = before[1] if before else heard.start_s, after[0] if after else end_s
        each_s = max(last_s - first_s, 0.0) / max(right - left - 1, 1)
        whole += [
            (first_s + place * each_s, first_s + (place + 1) * each_s, -2 - left - place)
            for place in range(right - left - 1)
        ]
    return whole


def _characters(word: corpora.Word) -> list[tuple[str, float, float]]:
    """The characters of a word, its time shared out evenly among those that are spoken."""
    letters = [character for character in word.text if character.isalnum()]
    each_s = (word.end_s - word.start_s) / max(len(letters), 1)
    return [
        (letter, word.start_s + index * each_s, word.start_s + (index + 1) * each_s)
        for index, letter in enumerate(letters)
    ]


def _is_stop(char: str) -> bool:
    """Whether a character begins with the mouth closed."""
    if char.isascii():
        return char.lower() in STOPS
    return _initial(char) in STOPS


@functools.cache
def _initial(char: str) -> str:
    import pypinyin  # here, because it reads its dictionaries when it is imported

    return "".join(pypinyin.lazy_pinyin(char, style=pypinyin.Style.INITIALS, errors="ignore"))


def _placed(sound: _Sound, boundaries: Sequence[_Boundary]) -> list[tuple[_Gap, _Boundary, float]]:
    """The gaps that belong somewhere, each with its boundary and how sure that is (0 to 1), in order."""
    leading = [gap for gap in sound.gaps if gap.run.first == 0]
    inner = [gap for gap in sound.gaps if gap.run.first > 0 and gap.run.end < sound.frames]
    found = [(gap, boundaries[0], 1.0) for gap in leading if gap.run.end < sound.frames]
    spoken = sound.spoken_before(sound.frames)
    if not inner or not spoken:
        return found
    path = _Path(sound, boundaries, inner, spoken / boundaries[-1].syllables)
    return found + path.best()


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The best way to a gap at a boundary, and the step before it."""

    cost: float
    gap: int
    boundary: _Boundary
    own: float
    before: _Step | None


class _Path:
    """The cheapest way to give gaps to boundaries in order."""

    def __init__(
        self, sound: _Sound, boundaries: Sequence[_Boundary], gaps: Sequence[_Gap], syllable_frames: float
    ) -> None:
        self._sound, self._gaps, self._syllable_frames = sound, gaps, syllable_frames
        self._start, self._end = boundaries[0], boundaries[-1]
        self._inner = [item for item in boundaries if self._start.syllables < item.syllables < self._end.syllables]
        self._left_out = [0.0, *itertools.accumulate(_left_out_cost(gap) for gap in gaps)]

    def best(self) -> list[tuple[_Gap, _Boundary, float]]:
        """Gap, boundary and sureness of each that is given to one."""
        steps: list[list[_Step]] = []
        for index, gap in enumerate(self._gaps):
            found = []
            for boundary in self._inner:
                own = _own_cost(gap, boundary)
                if own is not None:
                    found.append(self._step(index, boundary, own, steps[max(index - GAPS_BACK, 0) :]))
            steps.append(found)
        last: _Step | None = None
        least = self._left_out[-1] + self._rate_cost(None, self._end, self._sound.frames)
        for step in itertools.chain.from_iterable(steps):
            rest = self._left_out[-1] - self._left_out[step.gap + 1]
            cost = step.cost + rest + self._rate_cost(step, self._end, self._sound.frames)
            if cost < least:
                least, last = cost, step
        placed = []
        while last is not None:
            placed.append((self._gaps[last.gap], last.boundary, math.exp(-max(last.own, 0.0) / 4)))
            last = last.before
        return placed[::-1]

    def _step(self, index: int, boundary: _Boundary, own: float, reachable: Sequence[Sequence[_Step]]) -> _Step:
        frame = self._gaps[index].run.first
        before: _Step | None = None
        least = self._left_out[index] + self._rate_cost(None, boundary, frame)
        for step in itertools.chain.from_iterable(reachable):
            if step.boundary.syllables >= boundary.syllables:
                continue
            skipped = self._left_out[index] - self._left_out[step.gap + 1]
            cost = step.cost + skipped + self._rate_cost(step, boundary, frame)
            if cost < least:
                least, before = cost, step
        return _Step(cost=least + own, gap=index, boundary=boundary, own=own, before=before)

    def _rate_cost(self, before: _Step | None, boundary: _Boundary, frame: int) -> float:
        """What is odd about so many syllables in the speech since the step before."""
        since = self._gaps[before.gap].run.end if before is not None else 0
        spoken = self._sound.spoken_before(frame) - self._sound.spoken_before(since)
        count = boundary.syllables - (before.boundary.syllables if before is not None else self._start.syllables)
        expected = count * self._syllable_frames
        deviation = SYLLABLE_DEVIATION * self._syllable_frames * math.sqrt(max(count, 1.0))
        return 0.5 * ((spoken - expected) / deviation) ** 2


def _left_out_cost(gap: _Gap) -> float:
    longer_s = max(gap.length_s - LEAST_FRAMES * noise.FRAME_S, 0.0)
    return LEFT_OUT_COST + LEFT_OUT_COST_PER_S * longer_s + BREATH_LEFT_OUT_COST * gap.breathes


def _own_cost(gap: _Gap, boundary: _Boundary) -> float | None:
    """What speaks against a gap at a boundary, whatever the others are; None where it is too far away."""
    off_s = max(boundary.start - gap.run.end, gap.run.first - boundary.end, 0.0) * noise.FRAME_S
    if off_s > REACH_S:
        return None
    cost = 0.5 * (off_s / TIMES_OFF_S) ** 2
    if not boundary.punctuated:
        cost += INSIDE_WORD_COST * boundary.inside_word
        if gap.length_s >= UNMARKED_FROM_S:
            longer_s = min(gap.length_s, LONGEST_UNMARKED_S) - UNMARKED_FROM_S
            cost += UNMARKED_COST + UNMARKED_COST_PER_S * longer_s
        cost += STOP_COST * (boundary.before_stop and gap.length_s <= CLOSURE_S)
    return cost


def _marks(
    gap: _Gap, boundary: _Boundary, sureness: float, start_s: float, voice_dbfs: float, floor_dbfs: float
) -> list[corpora.Mark]:
    """The marks of a gap; a clip may begin with a breath, but the silence before that is no pause."""
    parts = list(gap.parts)
    if boundary.after == 0:
        parts = list(itertools.dropwhile(lambda part: part.breath is None, parts))
    found = []
    for part in parts:
        length_s = len(part.run) * noise.FRAME_S
        if part.breath is None:
            kind = next(kind for kind, least_s in PAUSES_S if length_s >= least_s - noise.FRAME_S / 2)
            confidence = sureness * min(1.0, 0.5 + (length_s - 0.06) / 0.24)
            if boundary.before_stop and not boundary.punctuated and length_s < CLOSURE_S + 0.06:
                confidence /= 2
        else:
            loud_db = floor_dbfs + part.breath.level_db - voice_dbfs + 20 * math.log10(length_s / USUAL_BREATH_S)
            kind = "br2" if loud_db >= DEEP_DB else "br1"
            confidence = sureness * part.breath.confidence
        found.append(
            corpora.Mark(
                kind=kind,
                after=boundary.after,
                start_s=round(start_s + part.run.first * noise.FRAME_S, 4),
                end_s=round(start_s + part.run.end * noise.FRAME_S, 4),
                confidence=round(confidence, 4),
            )
        )
    return found
