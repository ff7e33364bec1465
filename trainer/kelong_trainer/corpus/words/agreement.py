"""How far two texts of the same sound agree, in what would be heard: syllables, of which a wrong tone is half wrong.

Called by the judge stage, and where supplied transcripts are laid onto what was heard. Characters that sound alike do
not differ here: a recogniser that writes 他 for 她 heard right. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from kelong_contract.corpora import Word
from kelong_speech.text import frontend, normalise, phonemes, pinyin, symbols

VERSION = 4  # raise when the same texts would agree otherwise than before
# Word times are off by a tenth of a second or two: a word this near to a clip's end may lie inside or outside.
LOOSE_S = 0.4
# What it costs to write a character of another tone: 猫 for 帽. Tones run together in speech, and a small recogniser
# guesses them from the words around; a voice learns them from the label.
TONE_COST = 0.5
# And of another syllable with the same initial or the same final, 分 for 风: that is how a recogniser mishears. A text
# that says something else shares neither.
NEAR_COST = 0.5
# So many syllables in a row, where they agree least: four that are others are lost in the mean of a sentence of thirty.
PASSAGE_SYLLABLES = 4

_MARKS = frozenset((*symbols.MARKS, *symbols.INLINE_MARKS, " "))


@dataclass(frozen=True, kw_only=True)
class Syllable:
    """What is said for a part [start, end) of a text; a Latin word counts as one, and has the tone 0."""

    sound: str
    tone: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A syllable of recognised words with its times in the recording; `word` is the number of its word."""

    sound: str
    tone: int
    start_s: float
    end_s: float
    word: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a text agrees with what was heard, 0 to 1: as a whole, and in the few syllables where it does least."""

    whole: float
    least: float


@functools.cache
def _reader() -> pinyin.WordReader:
    return pinyin.WordReader()


def syllables(text: str) -> tuple[Syllable, ...]:
    """What is said, in order: numbers as they are read, marks left out. What cannot be said is left out too."""
    units = _units(text)
    characters = [unit.text if len(unit.text) == 1 and not unit.text.isascii() else "," for unit in units]
    [spellings] = _reader().read(["".join(characters)])
    return tuple(
        Syllable(
            sound=unit.text.casefold() if unit.text.isascii() else spelling.spelling.casefold(),
            tone=0 if unit.text.isascii() else spelling.tone,
            start=unit.start,
            end=unit.end,
        )
        for unit, spelling in zip(units, spellings, strict=True)
        if unit.text not in _MARKS
    )


def spoken(words: Sequence[Word]) -> tuple[Spoken, ...]:
    """The syllables of words, each with its share of its word's time."""
    text, owners = "", []
    for number, word in enumerate(words):
        text += word.text
        owners += [number] * len(word.text)
    inside: dict[int, list[Syllable]] = {}
    for syllable in syllables(text):
        inside.setdefault(owners[syllable.start], []).append(syllable)
    found = []
    for number, said in inside.items():
        word = words[number]
        last = words[owners[said[-1].end - 1]]  # a number may reach over several words
        each_s = max(last.end_s - word.start_s, 0.0) / len(said)
        found += [
            Spoken(
                sound=syllable.sound,
                tone=syllable.tone,
                start_s=word.start_s + index * each_s,
                end_s=word.start_s + (index + 1) * each_s,
                word=number,
            )
            for index, syllable in enumerate(said)
        ]
    return tuple(found)


def agreement(text: str, heard: Sequence[Spoken], start_s: float, end_s: float) -> Agreement | None:
    """1 - the error rate of a clip's text against what was heard between two times; None for a text without words.

    `heard` may reach beyond the clip. What was heard at its very ends may be missing from the text at no cost.
    """
    wanted = [(syllable.sound, syllable.tone) for syllable in syllables(text)]
    if not wanted:
        return None
    near = [item for item in heard if start_s - LOOSE_S <= (item.start_s + item.end_s) / 2 <= end_s + LOOSE_S]
    extra = [float(start_s + LOOSE_S < (item.start_s + item.end_s) / 2 < end_s - LOOSE_S) for item in near]
    costs = _costs(wanted, [(item.sound, item.tone) for item in near], extra)
    length = min(PASSAGE_SYLLABLES, len(costs))
    worst = max(sum(costs[start : start + length]) for start in range(len(costs) - length + 1))
    return Agreement(
        whole=round(max(0.0, 1 - sum(costs) / len(wanted)), 4), least=round(1 - worst / PASSAGE_SYLLABLES, 4)
    )


_Said = tuple[str, int]  # a syllable and its tone


def _costs(wanted: Sequence[_Said], heard: Sequence[_Said], extra: Sequence[float]) -> list[float]:
    """What each step of the best alignment costs, in order; leaving one of `heard` out has a cost of its own."""
    rows = [[float(count) for count in range(len(wanted) + 1)]]
    for said, cost in zip(heard, extra, strict=True):
        before, row = rows[-1], [rows[-1][0] + cost]
        for index, other in enumerate(wanted, 1):
            row.append(min(before[index - 1] + _cost(said, other), before[index] + cost, row[index - 1] + 1))
        rows.append(row)
    costs = []
    at, index = len(heard), len(wanted)
    while at or index:
        if at and index and rows[at][index] == rows[at - 1][index - 1] + _cost(heard[at - 1], wanted[index - 1]):
            at, index = at - 1, index - 1
            costs.append(_cost(heard[at], wanted[index]))
        elif at and rows[at][index] == rows[at - 1][index] + extra[at - 1]:
            at -= 1
            costs.append(extra[at])
        else:
            index -= 1
            costs.append(1.0)
    return costs[::-1]


def _cost(said: _Said, other: _Said) -> float:
    """What it costs that one syllable was heard for another."""
    if said[0] == other[0]:
        return 0.0 if said == other else TONE_COST
    pairs = phonemes.syllables().get(said[0]), phonemes.syllables().get(other[0])
    if pairs[0] is not None and pairs[1] is not None and (pairs[0][0] == pairs[1][0] or pairs[0][1] == pairs[1][1]):
        return NEAR_COST
    return 1.0


def _units(text: str) -> list[normalise.Unit]:
    """What is said; a character that nobody can say becomes a mark, so that places stay."""
    while True:
        try:
            return normalise.units(text)
        except frontend.UnspeakableText as error:
            text = text[: error.position] + "，" + text[error.position + 1 :]
