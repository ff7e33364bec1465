"""Readings that the writer of a text or of a voice's resource has the last word on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, Self

from kelong_contract import lexicon

from kelong_speech.text import pinyin, traditional


class BadLexicon(ValueError):
    """A lexicon with entries that cannot be used; the message names each with its word."""


def syllables(reading: str) -> tuple[pinyin.Syllable, ...] | None:
    """`yin2 hang2` as syllables, by `kelong_contract.lexicon`: `wanr2` is wan2 and the colour r2. None if it is not."""
    said = lexicon.syllables(reading)
    return None if said is None else tuple(pinyin.Syllable(*spelled) for spelled in said)


class Found(NamedTuple):
    """A word of the lexicon at [start, end) of a text, and how it is said."""

    start: int
    end: int
    reading: tuple[pinyin.Syllable, ...]


@dataclass(frozen=True)
class Lexicon:
    """Written words with the syllables they are said with. The longest word that fits is taken.

    A word of Chinese characters has one syllable for each, a 儿 that only colours the one before it the syllable `r`;
    one with Latin letters or digits in it has as many as it takes, and is not found inside a longer Latin word or
    number. A word in traditional characters is found in simplified ones too, and the other way round; but 髮 alone is
    not found where 发 stands, which may as well be 發.
    """

    words: Mapping[str, tuple[pinyin.Syllable, ...]] = field(default_factory=dict)

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> Self:
        """The lexicon of a resource: word to pinyin. Raises BadLexicon naming every entry that cannot be used."""
        faults = "; ".join(lexicon.faults(entries))
        if faults:
            raise BadLexicon(f"The lexicon cannot be used: {faults}.")
        return cls({word: syllables(reading) or () for word, reading in entries.items()})

    def find(self, written: str, plain: str, start: int, end: int) -> Iterator[Found]:
        """The lexicon's words in a part of a text, from left to right; `plain` is the text in simplified characters.

        Of words that fit both ways the longer counts, then the one that has the very characters of the text.
        """
        texts = [(written, self._as_written), (plain, self._simplified)]
        while self.words:
            found = [
                Found(match.start(), match.end(), words.readings[match[0]])
                for text, words in texts
                if (match := words.pattern.search(text, start, end))
            ]
            if not found:
                return
            first = min(found, key=lambda item: (item.start, -item.end))
            yield first
            start = first.end

    @cached_property
    def _as_written(self) -> "_Words":
        return _Words.of(self.words)

    @cached_property
    def _simplified(self) -> "_Words":
        other = {traditional.simplified(word): reading for word, reading in self.words.items() if len(word) > 1}
        return _Words.of({**other, **self.words})


class _Words(NamedTuple):
    """Words with their readings, and the pattern that finds the longest of them."""

    readings: Mapping[str, tuple[pinyin.Syllable, ...]]
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, readings: Mapping[str, tuple[pinyin.Syllable, ...]]) -> Self:
        return cls(readings, re.compile("|".join(map(_bounded, sorted(readings, key=len, reverse=True)))))


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
