"""What the recogniser hears at once: speech from pause to pause, as much as its window of half a minute holds.

Called by the transcribe stage; pure. Each call of the recogniser costs a whole window, however little speech is in it:
so a window is filled, and of a long pause only a second is kept. Pauses that are kept are heard, for punctuation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from kelong_contract.corpora import Stretch, Word

VERSION = 1  # raise when the same speech would be heard in other passages than before
LONGEST_S = 28.0
# A passage that cannot hold the next stretch ends in its longest pause after this share of it.
LEAST_SHARE = 0.6
PADDING_S = 0.5
# What becomes of a long pause: the padding of both sides.
LONGEST_PAUSE_S = 2 * PADDING_S

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Parts of a recording that are heard one behind the other, in seconds of the recording."""

    parts: tuple[Stretch, ...]

    @property
    def start_s(self) -> float:
        """Where its first part starts."""
        return self.parts[0].start_s

    @property
    def end_s(self) -> float:
        """Where its last part ends."""
        return self.parts[-1].end_s

    @property
    def heard_s(self) -> float:
        """How long it lasts for who hears it."""
        return sum(part.end_s - part.start_s for part in self.parts)

    def time_s(self, heard_s: float) -> float:
        """The recording's time at a time that counts from the first sample that is heard."""
        for part in self.parts:
            length_s = part.end_s - part.start_s
            if heard_s < length_s or part is self.parts[-1]:
                return part.start_s + min(max(heard_s, 0.0), length_s)
            heard_s -= length_s
        raise AssertionError("a passage has a part")

    def place(self, word: Word) -> Word:
        """A word whose times count from the first sample, with the recording's times."""
        start_s = self.time_s(word.start_s)
        end_s = max(self.time_s(word.end_s), start_s)
        part_end_s = next(part.end_s for part in self.parts if start_s <= part.end_s)
        return Word(
            text=word.text, start_s=start_s, end_s=min(end_s, max(part_end_s, start_s)), probability=word.probability
        )


def of(
    speech: Sequence[Stretch],
    duration_s: float,
    quietest: Callable[[float, float], float],
    *,
    longest_s: float | None = None,
) -> tuple[Passage, ...]:
    """The passages of a recording, in their order; each stretch of speech is in one.

    `quietest(start_s, end_s)` tells the quietest moment between two: a stretch without a pause that is longer than
    `longest_s` (a window, if not given) is parted there.
    """
    longest_s = longest_s or LONGEST_S
    stretches = [part for stretch in speech for part in _parted(stretch, quietest, longest_s)]
    passages: list[Passage] = []
    while stretches:
        count = _count(stretches, longest_s)
        passages.append(_passage(stretches, count, duration_s, passages[-1].end_s if passages else 0.0))
        stretches = stretches[count:]
    return tuple(passages)


def _parted(stretch: Stretch, quietest: Callable[[float, float], float], longest_s: float) -> list[Stretch]:
    parts, start_s = [], stretch.start_s
    while stretch.end_s - start_s > longest_s - 2 * PADDING_S:
        cut_s = quietest(start_s + LEAST_SHARE * longest_s, start_s + longest_s - 2 * PADDING_S)
        parts.append(Stretch(start_s=start_s, end_s=cut_s))
        start_s = cut_s
    return [*parts, Stretch(start_s=start_s, end_s=stretch.end_s)]


def _count(stretches: Sequence[Stretch], longest_s: float) -> int:
    """How many of the stretches the next passage holds: all that are left, or those before the longest late pause."""
    lengths = _lengths(stretches, longest_s)
    fitting = sum(1 for length_s in lengths if length_s <= longest_s)
    if fitting == len(stretches):
        return fitting
    ends = [count for count in range(1, fitting + 1) if lengths[count - 1] >= LEAST_SHARE * longest_s] or [fitting]
    return max(ends, key=lambda count: (stretches[count].start_s - stretches[count - 1].end_s, count))


def _lengths(stretches: Sequence[Stretch], longest_s: float) -> list[float]:
    """How long the first one, two, three … are heard; those beyond a window are not counted to their end."""
    lengths, length_s = [], 2 * PADDING_S
    for index, stretch in enumerate(stretches):
        if index:
            length_s += min(stretch.start_s - stretches[index - 1].end_s, LONGEST_PAUSE_S)
        length_s += stretch.end_s - stretch.start_s
        lengths.append(length_s)
        if length_s > longest_s:
            break
    return lengths


def _passage(stretches: Sequence[Stretch], count: int, duration_s: float, before_s: float) -> Passage:
    """The first stretches as one, with the padding that the pauses around them allow."""
    chosen = stretches[:count]
    after_s = stretches[count].start_s if count < len(stretches) else duration_s
    start_s = max(chosen[0].start_s - PADDING_S, before_s)
    parts = []
    for left, right in itertools.pairwise(chosen):
        if right.start_s - left.end_s > LONGEST_PAUSE_S:
            parts.append(Stretch(start_s=start_s, end_s=left.end_s + PADDING_S))
            start_s = right.start_s - PADDING_S
    end_s = min(chosen[-1].end_s + PADDING_S, max((chosen[-1].end_s + after_s) / 2, chosen[-1].end_s), duration_s)
    return Passage(parts=(*parts, Stretch(start_s=start_s, end_s=max(end_s, chosen[-1].end_s))))
