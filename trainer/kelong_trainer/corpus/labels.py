"""Which words a clip holds, and its text: words are handed to stretches of speech, pauses become punctuation.

Called by the slice stage; pure. Every word belongs to exactly one stretch, hence to one clip or to none.
Units are stretches of speech in frames of 10 ms.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kelong_contract import corpora

from kelong_trainer.corpus import noise
from kelong_trainer.corpus.pauses import Run

VERSION = 2
# Whisper punctuates Mandarin sparsely. A pause it heard no mark in gets one, so that marks and pauses go together.
MARKED_PAUSE_S = 0.25
FULL_STOP_PAUSE_S = 0.6
# Syllables in a second of speech: fewer is laughter or music, more is a loop of the recogniser.
LEAST_SYLLABLES_PER_S = 0.8
MOST_SYLLABLES_PER_S = 12.0

ENDINGS = "。？！…?!"
MARKS = ENDINGS + "，、；：—,.;:"
_SYLLABLE = re.compile(r"[㐀-鿿\U00020000-\U0003ffff]|\d|[A-Za-z']{1,3}")
_LOOSE_SPACE = re.compile(r"(?<![A-Za-z0-9.])\s+|\s+(?![A-Za-z0-9])")


@dataclass(frozen=True, kw_only=True)
class Label:
    """The text of a clip and how sure the recogniser is of it: the mean of its words, weighed by length."""

    text: str
    confidence: float
    syllables: int


def assign(words: Sequence[corpora.Word], units: Sequence[Run]) -> list[list[corpora.Word]]:
    """The words of each unit: each goes where its middle lies, or else to the nearest. Without units they are lost."""
    if not units:
        return []
    found: list[list[corpora.Word]] = [[] for _ in units]
    index = 0
    for word in words:
        middle = (word.start_s + word.end_s) / 2 / noise.FRAME_S
        while index + 1 < len(units) and _distance(units[index + 1], middle) <= _distance(units[index], middle):
            index += 1
        while index and _distance(units[index - 1], middle) < _distance(units[index], middle):
            index -= 1
        found[index].append(word)
    return found


def label(words: Sequence[Sequence[corpora.Word]], units: Sequence[Run], pause_after_s: float) -> Label:
    """The text of a clip from its units and their words; `pause_after_s` is how long nobody speaks after it."""
    text = ""
    pauses_s = [(right.first - left.end) * noise.FRAME_S for left, right in itertools.pairwise(units)]
    for spoken, pause_s in zip(words, [*pauses_s, pause_after_s], strict=True):
        text = _marked(text + "".join(word.text for word in spoken), pause_s)
    text = _LOOSE_SPACE.sub("", text.strip()).lstrip(MARKS)
    weights = [(word.probability, len(word.text)) for spoken in words for word in spoken]
    total = sum(weight for _, weight in weights)
    confidence = sum(probability * weight for probability, weight in weights) / total if total else 0.0
    return Label(text=text, confidence=round(confidence, 4), syllables=len(_SYLLABLE.findall(text)))


def is_plausible(syllables: int, speech_s: float) -> bool:
    """Whether so many syllables can be spoken in that time."""
    return LEAST_SYLLABLES_PER_S * speech_s <= syllables <= MOST_SYLLABLES_PER_S * speech_s


def _marked(text: str, pause_s: float) -> str:
    """The text with a mark at its end if a pause follows and it has none."""
    if not text or text.rstrip()[-1:] in MARKS or pause_s < MARKED_PAUSE_S:
        return text
    return text.rstrip() + ("。" if pause_s >= FULL_STOP_PAUSE_S else "，")


def _distance(unit: Run, frame: float) -> float:
    return max(unit.first - frame, frame - unit.end, 0.0)
