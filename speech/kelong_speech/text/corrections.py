"""Readings that the writer of a text or of a voice's resource has the last word on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Self

from kelong_speech.text import phonemes, pinyin

MOST_SYLLABLES: Final = 32

_SYLLABLE: Final = re.compile(r"[a-zü:]{1,8}[1-5]")
_HAN: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class BadLexicon(ValueError):
    """A lexicon with entries that cannot be used; the message names each with its word."""


def syllables(reading: str) -> tuple[pinyin.Syllable, ...] | None:
    """`yin2 hang2` as syllables: pinyin with the tone digit behind, 5 neutral, v, ü or u: for ü. None if it is not."""
    said = []
    for spelled in reading.lower().split():
        if not _SYLLABLE.fullmatch(spelled):
            return None
        spelling = spelled[:-1].replace("u:", "v").replace("ü", "v")
        if not phonemes.is_syllable(spelling):
            return None
        said.append(pinyin.Syllable(spelling, int(spelled[-1])))
    return tuple(said) or None


@dataclass(frozen=True)
class Lexicon:
    """Written words with the syllables they are said with. Words are found as written, the longest first.

    A word of Chinese characters has one syllable for each; one with Latin letters or digits in it has as many as it
    takes, and is not found inside a longer Latin word.
    """

    words: Mapping[str, tuple[pinyin.Syllable, ...]] = field(default_factory=dict)

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> Self:
        """The lexicon of a resource: word to pinyin. Raises BadLexicon naming every entry that cannot be used."""
        faults = []
        words = {}
        for word, reading in entries.items():
            said = syllables(reading)
            fault = _fault(word, reading, said)
            if fault or said is None:
                faults.append(fault)
            else:
                words[word] = said
        if faults:
            raise BadLexicon("The lexicon cannot be used: " + "; ".join(faults) + ".")
        return cls(words)

    def find(self, text: str, start: int, end: int) -> Iterator[re.Match[str]]:
        """The lexicon's words in a part of a text, from left to right."""
        return self._pattern.finditer(text, start, end) if self.words else iter(())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(_bounded, sorted(self.words, key=len, reverse=True))))


def _bounded(word: str) -> str:
    letter = re.compile(r"[A-Za-z]")
    first = r"(?<![A-Za-z])" if letter.match(word[0]) else ""
    last = r"(?![A-Za-z])" if letter.match(word[-1]) else ""
    return first + re.escape(word) + last


def _fault(word: str, reading: str, said: tuple[pinyin.Syllable, ...] | None) -> str:
    entry = f"{word!r} has the entry {reading!r}"
    if not word or word != word.strip() or any(char in word for char in "[]\n"):
        return f"{word!r} is no word: write it without brackets and without space at its ends"
    if said is None:
        return f"{entry}, expected pinyin syllables with their tones from 1 to 5, such as 'yin2 hang2'"
    if len(said) > MOST_SYLLABLES:
        return f"{entry} of {len(said)} syllables, expected at most {MOST_SYLLABLES}"
    if all(map(_HAN.match, word)) and len(said) != len(word):
        return f"{entry} of {len(said)} syllables for {len(word)} characters, expected one for each"
    if not any(char.isalnum() for char in word):
        return f"{entry}, but there is no letter, digit or Chinese character in the word"
    return ""


NOTHING: Final = Lexicon()
"""No corrections."""
