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
# What CMUdict lacks, or knows only as something else (an island, a German pronoun, a Roman numeral).
_OWN: Final = {
    "ios": "AY1 OW1 EH1 S", "wechat": "W IY1 CH AE2 T", "openai": "OW1 P AH0 N EY1 AY1", "vlog": "V L AO1 G",
    "tiktok": "T IH1 K T AA2 K", "chatgpt": "CH AE1 T JH IY1 P IY1 T IY1", "covid": "K OW1 V IH0 D", "emoji": "IH0 M OW1 JH IY0",
    "huawei": "HH W AA1 W EY2", "xiaomi": "SH AW1 M IY2", "taobao": "T AW1 B AW2", "weibo": "W EY1 B OW2",
    "bilibili": "B IY2 L IY0 B IY1 L IY0", "alipay": "AE1 L IH0 P EY2", "douyin": "D OW1 IH2 N", "github": "G IH1 T HH AH2 B",
    "vs": "V ER1 S AH0 S", "app": "AE1 P", "apps": "AE1 P S", "ipad": "AY1 P AE2 D", "cosplay": "K AA1 Z P L EY2",
    "anime": "AE1 N IH0 M EY2", "qwen": "K W EH1 N", "deepseek": "D IY1 P S IY2 K", "linux": "L IH1 N AH0 K S",
    "ubuntu": "UH0 B UH1 N T UW2", "nginx": "EH1 N JH IH0 N EH2 K S", "kubernetes": "K UW2 B ER0 N EH1 T IY0 Z",
    "pytorch": "P AY1 T AO2 R CH", "mysql": "M AY1 EH2 S K Y UW2 EH1 L", "wifi": "W AY1 F AY2", "saas": "S AE1 S",
    "paas": "P AE1 S", "siri": "S IH1 R IY0", "airpods": "EH1 R P AA2 D Z", "tesla": "T EH1 S L AH0", "gmail": "JH IY1 M EY2 L",
    "instagram": "IH1 N S T AH0 G R AE2 M", "whatsapp": "W AH1 T S AE2 P", "airbnb": "EH1 R B IY1 EH1 N B IY1",
    "bluetooth": "B L UW1 T UW2 TH", "uber": "UW1 B ER0", "livehouse": "L AY1 V HH AW2 S", "offer": "AO1 F ER0",
    "kol": "K EY1 OW1 EH1 L", "excel": "IH0 K S EH1 L", "nike": "N AY1 K IY0", "zara": "Z AA1 R AH0", "ikea": "AY0 K IY1 AH0",
    "id": "AY1 D IY1", "phd": "P IY1 EY1 CH D IY1", "ph": "P IY1 EY1 CH", "ai": "EY1 AY1", "ui": "Y UW1 AY1",
    "ceo": "S IY1 IY1 OW1", "api": "EY1 P IY1 AY1", "usb": "Y UW1 EH1 S B IY1", "url": "Y UW1 AA1 R EH1 L", "vip": "V IY1 AY1 P IY1",
    "a": "EY1", "the": "DH AH0",
}  # fmt: skip
# Capitals that are said as a word all the same.
_SPOKEN_CAPITALS: Final = frozenset(
    "nasa nato opec unesco unicef apec asean sim pin gif ram rom ikea covid sars aids ok nike zara lego visa jpeg "
    "dota app wifi laser radar basic cobol ascii captcha logo pass vlog emoji java word excel china apple asus acer "
    "sony intel amd go new hot top pro max plus mini ultra air live open".split()
) - {"amd"}
_NOT_A_WORD: Final = frozenset("it us am pm tv pc id in or hi ex ma pa la ha".split())  # IT, US: letters in capitals
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
        if plain in _NOT_A_WORD or not _VOWELS & set(bare):
            return True
        return bare not in _SPOKEN_CAPITALS and (len(bare) < 5 or not _lookup(bare))
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
_ENDINGS: Final = {"'s": ("",), "ies": ("y",), "s": ("",), "ing": ("", "e"), "ed": ("", "e"), "er": ("", "e"), "ly": ("",)}  # fmt: skip


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
    own = _OWN.get(plain)
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
def _dictionary() -> bytes:
    """CMUdict 0.7b's lines, sorted, each word's first reading (data/NOTICE), 3.3 MB."""
    packed = resources.files("kelong_speech.text").joinpath("data", "cmudict.txt.gz").read_bytes()
    return gzip.decompress(packed)


def warm_up() -> None:
    """Unpacks the dictionary now."""
    _dictionary()
