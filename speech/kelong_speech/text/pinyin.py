"""Syllables, and the original's reader of characters: pypinyin, one word at a time.

How the default profile reads is in `phrases`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from kelong_speech.text import word_lists


class Syllable(NamedTuple):
    """A pinyin spelling (v for u-umlaut) and its tone, 5 being neutral. A punctuation mark spells itself, tone 0."""

    spelling: str
    tone: int


class Choice(NamedTuple):
    """A polyphone model's reading of one character, and the share of its belief in it, 0 to 1."""

    reading: Syllable
    share: float


class Reader(Protocol):
    """Reads words; safe to use from several threads."""

    def read(self, words: Sequence[str]) -> list[tuple[Syllable, ...]]:
        """One syllable per character of each word. A character nobody can read spells itself with tone 0."""


def syllable(spelling: str) -> Syllable:
    """`hang2` as a syllable; what carries no tone (a mark, an unknown character) spells itself."""
    if spelling[-1] in "12345" and spelling[:-1].isascii() and spelling[:-1].isalpha():
        return Syllable(spelling[:-1], int(spelling[-1]))
    return Syllable(spelling.rstrip("5") or spelling, 0)


class _Pypinyin:
    """pypinyin's dictionaries, loaded when this is made."""

    def __init__(self) -> None:
        import pypinyin

        self._pypinyin: Any = pypinyin

    def read(self, text: str) -> tuple[Syllable, ...]:
        spellings = self._pypinyin.lazy_pinyin(
            text, style=self._pypinyin.Style.TONE3, neutral_tone_with_five=True, v_to_u=False, errors=list
        )
        return tuple(syllable(spelling) for spelling in spellings)


class WordReader:
    """Each word by itself, as pypinyin 0.50 read it: the original's only handling of polyphones."""

    def __init__(self) -> None:
        self._pypinyin = _Pypinyin()
        self._older = {
            word: tuple(syllable(spelling) for spelling in spellings.split())
            for word, spellings in word_lists.readings_of_pypinyin_0_50().items()
        }

    def read(self, words: Sequence[str]) -> list[tuple[Syllable, ...]]:
        """The syllables of each word, whatever stands beside it."""
        return [self._older.get(word) or self._pypinyin.read(word) for word in words]
