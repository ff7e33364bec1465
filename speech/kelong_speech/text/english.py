"""Latin words and letters to English phones: CMUdict, letters by their names, and a rule for words nobody has listed.

The phones are the original's English ones: CMUdict's in lower case, but `V`, since `v` is the Mandarin ü. Its four
English tones carry the stress: 0 for a consonant, 1 for an unstressed vowel, 2 for the main stress and 3 for a
secondary one. Nothing is ever left out.
"""

import gzip
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from kelong_speech.text import letter_to_sound
from kelong_speech.text.rules import words

T = TypeVar("T")


class Phone(NamedTuple):
    """An English phone of the symbol table with its tone."""

    symbol: str
    tone: int


# How letters are called. Z as in America, as CMUdict has it.
_NAMES: Final = dict(
    line.split(" ", 1)
    for line in (
        "a EY1", "b B IY1", "c S IY1", "d D IY1", "e IY1", "f EH1 F", "g JH IY1", "h EY1 CH", "i AY1", "j JH EY1",
        "k K EY1", "l EH1 L", "m EH1 M", "n EH1 N", "o OW1", "p P IY1", "q K Y UW1", "r AA1 R", "s EH1 S", "t T IY1",
        "u Y UW1", "v V IY1", "w D AH1 B AH0 L Y UW0", "x EH1 K S", "y W AY1", "z Z IY1",
    )
)  # fmt: skip
# Capitals that are said as a word all the same.
_SPOKEN_CAPITALS: Final = frozenset(
    words("""
        nasa nato opec unesco unicef apec asean sim pin gif ram rom ikea covid sars aids ok nike zara lego visa jpeg
        dota app wifi laser radar basic cobol ascii captcha logo pass vlog emoji java word excel china apple asus
        acer sony intel go new hot top pro max plus mini ultra air live open
    """)
)
_VOWELS: Final = frozenset("aeiouy")
# A word as its writer put it together: capitals, a capitalised part, small letters.
_PARTS: Final = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+(?:'[a-z]+)*|[A-Z]+(?:'[a-z]+)?|'")
_STRESS: Final = {"0": 1, "1": 2, "2": 3}


@lru_cache(maxsize=4096)
def read(word: str) -> tuple[tuple[Phone, ...], ...]:
    """The phones that each letter of a word stands for; letters and apostrophes only, in any case.

    A letter of a spelled word has its name; the letters of any other word share its phones in order, so that some have
    none. Never empty as a whole.
    """
    whole = word.lower()
    if not _in_mixed_case(word) or _lookup(whole):
        return _read_part(word)
    return tuple(phones for part in _PARTS.findall(word) for phones in _read_part(part))


def _in_mixed_case(word: str) -> bool:
    return word[1:] != word[1:].lower() and word != word.upper()


def _read_part(word: str) -> tuple[tuple[Phone, ...], ...]:
    plain = word.lower()
    if re.fullmatch(r"[A-Z]{2,}s", word):
        *letters, last = map(_letter, plain)
        return (*letters, (Phone("z", 0),)) if last else tuple(letters)
    if len(word) > 1 and not _is_spelled(word):
        return deal(_word(plain), len(word))
    return tuple(_letter(char) for char in plain)


def _is_spelled(word: str) -> bool:
    """GPU and html are said letter by letter; NASA, HELLO and hello are words."""
    plain = word.lower()
    bare = plain.partition("'")[0]
    if word.isupper():
        return not _VOWELS & set(bare) or (bare not in _SPOKEN_CAPITALS and (len(bare) < 5 or not _lookup(bare)))
    return not _VOWELS & set(bare) and not _lookup(plain)


def _letter(char: str) -> tuple[Phone, ...]:
    return _phones(_NAMES[char]) if char in _NAMES else ()


def _word(plain: str) -> tuple[Phone, ...]:
    """A word by the dictionary, as an ending on a word of it, as two words of it, or by its letters' usual sounds."""
    listed = _lookup(plain)
    if listed:
        return _phones(listed)
    return _with_ending(plain) or _compound(plain) or _phones(letter_to_sound.read(plain))


def _with_ending(plain: str) -> tuple[Phone, ...]:
    for ending, stems in _ENDINGS.items():
        if not plain.endswith(ending) or len(plain) < len(ending) + 3:
            continue
        head = plain.removesuffix(ending)
        for added in stems:
            listed = _lookup(head + added)
            if listed:
                return _phones(listed + " " + _sound_of(ending, listed))
    return ()


# An ending, and what the stem may have lost before it.
_LOST: Final = ("", "e")
_ENDINGS: Final = {"'s": ("",), "ies": ("y",), "s": ("",), "ing": _LOST, "ed": _LOST, "er": _LOST, "ly": ("",)}


def _sound_of(ending: str, stem: str) -> str:
    last = stem.split()[-1].rstrip("012")
    voiceless = last in ("P", "T", "K", "F", "TH")
    if ending in ("s", "'s", "ies"):
        return "AH0 Z" if last in ("S", "Z", "SH", "ZH", "CH", "JH") else "S" if voiceless else "Z"
    if ending == "ed":
        return "AH0 D" if last in ("T", "D") else "T" if voiceless or last in ("S", "SH", "CH") else "D"
    return {"ing": "IH0 NG", "er": "ER0", "ly": "L IY0"}[ending]


def _compound(plain: str) -> tuple[Phone, ...]:
    """Two listed words of three letters or more, the longer first one first: `smartwatch`."""
    for cut in range(len(plain) - 3, 2, -1):
        first, second = _lookup(plain[:cut]), _lookup(plain[cut:])
        if first and second:
            return _phones(first + " " + second.replace("1", "2"))
    return ()


def deal(phones: Sequence[T], letters: int) -> tuple[tuple[T, ...], ...]:
    """Phones dealt out over letters as evenly as whole numbers allow, in order; the first letter has one if any has."""
    cuts = [-(-len(phones) * place // letters) for place in range(letters + 1)]
    return tuple(tuple(phones[start:end]) for start, end in pairwise(cuts))


@cache
def _phones(spelled: str) -> tuple[Phone, ...]:
    return tuple(_phone(name) for name in spelled.split())


def _phone(name: str) -> Phone:
    plain = name.rstrip("012")
    symbol = "V" if plain == "V" else plain.lower()
    return Phone(symbol, _STRESS[name[-1]] if plain != name else 0)


def _lookup(plain: str) -> str:
    """CMUdict's phones of a word in small letters, empty if it has none. Found by bisection: nothing is unpacked."""
    own = _own_words().get(plain)
    if own:
        return own
    listed, key = _dictionary(), f"\n{plain} ".encode()
    low, high = 0, len(listed) - 1
    while low < high:
        middle = listed.rfind(b"\n", low, (low + high) // 2 + 1)
        if middle < 0:
            break
        if listed[middle : middle + len(key)] < key:
            low = listed.find(b"\n", middle + 1)
            if low < 0:
                return ""
        else:
            high = middle
    place = listed.find(key, low, low + 400)
    if place < 0:
        return ""
    return listed[place + len(key) : listed.find(b"\n", place + 1)].decode()


@cache
def _own_words() -> dict[str, str]:
    """What CMUdict lacks, or knows only as something else (an island, a German pronoun)."""
    listed = resources.files("kelong_speech.text").joinpath("data", "english_words.txt").read_text("utf-8")
    return dict(line.split(" ", 1) for line in listed.splitlines())


@cache
def _dictionary() -> bytes:
    """CMUdict 0.7b's lines, sorted, each word's first reading (data/NOTICE), 3.3 MB."""
    packed = resources.files("kelong_speech.text").joinpath("data", "cmudict.txt.gz").read_bytes()
    return gzip.decompress(packed)
