"""What a lexicon may hold: written words with pinyin. The operator refuses by it what no front end could read."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from kelong_contract import pinyin

MOST_SYLLABLES: Final = 32

_SPELLED: Final = re.compile(r"[a-zü:]{1,8}[1-5]")


@lru_cache(maxsize=8192)
def is_han(char: str) -> bool:
    """Whether the character is a Chinese one, of any Unicode block."""
    if len(char) != 1:
        return False
    return "\u4e00" <= char <= "\u9fff" or unicodedata.name(char, "").startswith(
        ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH")
    )


def syllables(reading: str) -> tuple[tuple[str, int], ...] | None:
    """`yin2 hang2` as spellings with tones: the tone digit behind, 5 neutral, v, ü or u: for ü. None if it is not.

    A coloured syllable is two, as it is written with two characters: `wanr2` is wan2 and the colour r2.
    """
    said: list[tuple[str, int]] = []
    for spelled in reading.lower().split():
        if not _SPELLED.fullmatch(spelled):
            return None
        spelling, tone = spelled[:-1].replace("u:", "v").replace("ü", "v"), int(spelled[-1])
        if pinyin.is_coloured(spelling):
            said += ((spelling.removesuffix(pinyin.R_COLOUR), tone), (pinyin.R_COLOUR, tone))
        elif spelling in pinyin.syllables():
            said.append((spelling, tone))
        else:
            return None
    return tuple(said) or None


def faults(entries: Mapping[str, str]) -> Iterator[str]:
    """A sentence part for every entry that cannot be used, naming its word."""
    for word, reading in entries.items():
        fault = _fault(word, reading)
        if fault:
            yield fault


def _fault(word: str, reading: str) -> str:
    entry = f"{word!r} has the entry {reading!r}"
    said = syllables(reading)
    if not word or word != word.strip() or any(char in word for char in "[]\n"):
        return f"{word!r} is no word: write it without brackets and without space at its ends"
    if said is None:
        return f"{entry}, expected pinyin syllables with their tones from 1 to 5, such as 'yin2 hang2'"
    if len(said) > MOST_SYLLABLES:
        return f"{entry} of {len(said)} syllables, expected at most {MOST_SYLLABLES}"
    if all(map(is_han, word)):
        if len(said) != len(word):
            return f"{entry} of {len(said)} syllables for {len(word)} characters, expected one for each"
        if any(
            spelling == pinyin.R_COLOUR and char not in "儿兒" for char, (spelling, _) in zip(word, said, strict=True)
        ):
            return f"{entry}, but only 儿 colours the syllable before it, as in 玩儿: wanr2"
    if not any(char.isalnum() for char in word):
        return f"{entry}, but there is no letter, digit or Chinese character in the word"
    return ""
