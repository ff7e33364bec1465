"""Which words a clip holds, and its text: words are handed to stretches of speech, and joined.

Called by the slice stage; pure. Every word belongs to exactly one stretch, hence to one clip or to none.
Units are stretches of speech in frames of 10 ms.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kelong_contract import corpora

from kelong_trainer.corpus.listening.pauses import Run
from kelong_trainer.corpus.sound import noise

VERSION = 2  # raise when the same words would give other texts than before
ENDINGS = "。？！…?!"
MARKS = ENDINGS + "，、；：—,.;:"
TIMES_OFF_S = 0.12  # of the recogniser's words
UNMARKED_COST = 0.6  # of a pause that no mark comes before, in halves of squared deviations of times
_LOOSE_SPACE = re.compile(r"(?<![A-Za-z0-9.])\s+|\s+(?![A-Za-z0-9])")


@dataclass(frozen=True, kw_only=True)
class Label:
    """The text of a clip and how sure the recogniser is of it: the mean of its words, weighed by length."""

    text: str
    confidence: float


def assign(words: Sequence[corpora.Word], units: Sequence[Run]) -> list[list[corpora.Word]]:
    """The words of each unit: each goes where its middle lies, or else to the nearest. Without units they are lost.

    Times are off by a tenth of a second: words that lie so near to a pause go where the mark before it has them go.
    """
    if not units:
        return []
    found: list[list[corpora.Word]] = [[] for _ in units]
    index = 0
    for word in words:
        middle = _middle(word)
        while index + 1 < len(units) and _distance(units[index + 1], middle) <= _distance(units[index], middle):
            index += 1
        while index and _distance(units[index - 1], middle) < _distance(units[index], middle):
            index -= 1
        found[index].append(word)
    for left, right in itertools.pairwise(range(len(units))):
        together = found[left] + found[right]
        count = _parting(together, len(found[left]), units[left].end, units[right].first)
        found[left], found[right] = together[:count], together[count:]
    return found


def _parting(words: Sequence[corpora.Word], count: int, end: int, start: int) -> int:
    """How many of the words come before a pause from `end` to `start`, if by their times so many do."""

    def cost(wanted: int) -> float:
        marked = wanted > 0 and words[wanted - 1].text.rstrip().endswith(tuple(MARKS))
        moved = words[wanted:count] if wanted < count else words[count:wanted]
        edge = end if wanted < count else start
        off_s = (abs(_middle(word) - edge) * noise.FRAME_S for word in moved)
        return UNMARKED_COST * (not marked) + sum(0.5 * (off / TIMES_OFF_S) ** 2 for off in off_s)

    return min(
        range(max(count - 2, 0), min(count + 2, len(words)) + 1), key=lambda wanted: (cost(wanted), abs(wanted - count))
    )


def label(words: Iterable[corpora.Word]) -> Label | None:
    """The text of a clip that holds these words; None if none of them is anything but punctuation."""
    spoken = list(words)
    text = _LOOSE_SPACE.sub("", "".join(word.text for word in spoken).strip()).lstrip(MARKS)
    if not any(char.isalnum() for char in text):
        return None
    total = sum(len(word.text) for word in spoken)
    confidence = sum(word.probability * len(word.text) for word in spoken) / total
    return Label(text=text, confidence=round(confidence, 4))


def _middle(word: corpora.Word) -> float:
    """In frames."""
    return (word.start_s + word.end_s) / 2 / noise.FRAME_S


def _distance(unit: Run, frame: float) -> float:
    return max(unit.first - frame, frame - unit.end, 0.0)
