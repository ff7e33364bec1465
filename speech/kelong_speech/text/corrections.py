"""Readings that the writer of a text or of a voice's resource has the last word on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Self

from kelong_contract import lexicon

from kelong_speech.text import pinyin


class BadLexicon(ValueError):
    """A lexicon with entries that cannot be used; the message names each with its word."""


def syllables(reading: str) -> tuple[pinyin.Syllable, ...] | None:
    """`yin2 hang2` as syllables, by `kelong_contract.lexicon`: `wanr2` is wan2 and the colour r2. None if it is not."""
    said = lexicon.syllables(reading)
    return None if said is None else tuple(pinyin.Syllable(*spelled) for spelled in said)


@dataclass(frozen=True)
class Lexicon:
    """Written words with the syllables they are said with. Words are found as written, the longest first.

    A word of Chinese characters has one syllable for each, a 儿 that only colours the one before it the syllable `r`;
    one with Latin letters or digits in it has as many as it takes, and is not found inside a longer Latin word or
    number.
    """

    words: Mapping[str, tuple[pinyin.Syllable, ...]] = field(default_factory=dict)

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> Self:
        """The lexicon of a resource: word to pinyin. Raises BadLexicon naming every entry that cannot be used."""
        faults = "; ".join(lexicon.faults(entries))
        if faults:
            raise BadLexicon(f"The lexicon cannot be used: {faults}.")
        return cls({word: syllables(reading) or () for word, reading in entries.items()})

    def find(self, text: str, start: int, end: int) -> Iterator[re.Match[str]]:
        """The lexicon's words in a part of a text, from left to right."""
        return self._pattern.finditer(text, start, end) if self.words else iter(())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(_bounded, sorted(self.words, key=len, reverse=True))))


_LETTER: Final = re.compile(r"[A-Za-z]")
_DIGIT: Final = re.compile(r"\d")


def _bounded(word: str) -> str:
    """A pattern that finds the word, but neither inside a Latin word nor inside a number."""
    first = last = ""
    if _LETTER.match(word[0]):
        first = r"(?<![A-Za-z])"
    elif _DIGIT.match(word[0]):
        first = r"(?<!\d)(?<!\d[.,])"
    if _LETTER.match(word[-1]):
        last = r"(?![A-Za-z])"
    elif _DIGIT.match(word[-1]):
        last = r"(?!\d)(?![.,]\d)"
    return first + re.escape(word) + last


NOTHING: Final = Lexicon()
"""No corrections."""
