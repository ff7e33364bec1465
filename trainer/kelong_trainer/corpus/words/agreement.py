"""How far two texts of the same sound agree, in what would be heard: syllables, of which a wrong tone is half wrong.

Called by the judge stage, and where supplied transcripts are laid onto what was heard. Characters that sound alike do
not differ here: a recogniser that writes 他 for 她 heard right. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from kelong_contract.corpora import Word
from kelong_speech.text import frontend, normalise, pinyin, symbols

VERSION = 2  # raise when the same texts would agree otherwise than before
# Word times are off by a tenth of a second or two: a word this near to a clip's end may lie inside or outside.
LOOSE_S = 0.4
# What it costs to write a character of another tone: 猫 for 帽. Tones run together in speech, and a small recogniser
# guesses them from the words around; a voice learns them from the label.
TONE_COST = 0.5

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


def agreement(text: str, heard: Sequence[Spoken], start_s: float, end_s: float) -> float | None:
    """1 - the error rate of a clip's text against what was heard between two times; None for a text without words.

    `heard` may reach beyond the clip. What was heard at its very ends may be missing from the text at no cost.
    """
    wanted = [(syllable.sound, syllable.tone) for syllable in syllables(text)]
    if not wanted:
        return None
    near = [item for item in heard if start_s - LOOSE_S <= (item.start_s + item.end_s) / 2 <= end_s + LOOSE_S]
    costs = [int(start_s + LOOSE_S < (item.start_s + item.end_s) / 2 < end_s - LOOSE_S) for item in near]
    wrong = _distance(wanted, [(item.sound, item.tone) for item in near], costs)
    return round(max(0.0, 1 - wrong / len(wanted)), 4)


def _distance(wanted: Sequence[tuple[str, int]], heard: Sequence[tuple[str, int]], costs: Sequence[int]) -> float:
    """Levenshtein's distance, where leaving out each of `heard` has a cost of its own, 0 or 1."""
    row = [float(count) for count in range(len(wanted) + 1)]
    for said, cost in zip(heard, costs, strict=True):
        diagonal, row[0] = row[0], row[0] + cost
        for index, other in enumerate(wanted, 1):
            wrong = 0.0 if said == other else TONE_COST if said[0] == other[0] else 1.0
            diagonal, row[index] = row[index], min(row[index] + cost, row[index - 1] + 1, diagonal + wrong)
    return row[-1]


def _units(text: str) -> list[normalise.Unit]:
    """What is said; a character that nobody can say becomes a mark, so that places stay."""
    while True:
        try:
            return normalise.units(text)
        except frontend.UnspeakableText as error:
            text = text[: error.position] + "，" + text[error.position + 1 :]
