"""The tables that checkpoints fix for ever, and the syllables they can say."""

import hashlib

import pytest
from kelong_speech.text import phonemes, symbols


def test_the_first_112_symbols_are_the_originals_and_ours_follow() -> None:
    assert len(symbols.ORIGINAL_SYMBOLS) == 112
    assert symbols.SYMBOLS[:112] == symbols.ORIGINAL_SYMBOLS
    assert symbols.SYMBOLS[112:] == ("sp1", "sp2", "sp3", "sp4", "br1", "br2")
    assert len(set(symbols.SYMBOLS)) == 118


@pytest.mark.parametrize(
    ("symbol", "index"),
    [
        ("_", 0), ("AA", 1), ("E", 2), ("EE", 3), ("En", 4), ("OO", 6), ("a", 8), ("b", 19), ("d", 23), ("i", 40),
        ("i0", 41), ("ir", 52), ("k", 57), ("ny", 64), ("q", 73), ("ts", 80), ("u:", 83), ("v", 93), ("vn", 96),
        ("zh", 101), ("zy", 102), ("!", 103), ("?", 104), ("…", 105), (",", 106), (".", 107), ("'", 108), ("-", 109),
        ("SP", 110), ("UNK", 111), ("sp1", 112), ("br2", 117),
    ],
)  # fmt: skip
def test_a_symbol_keeps_its_id(symbol: str, index: int) -> None:
    assert symbols.SYMBOL_IDS[symbol] == index


def test_the_order_of_all_symbols_never_changes() -> None:
    digest = hashlib.sha256(" ".join(symbols.SYMBOLS).encode()).hexdigest()
    assert digest.startswith("f33835adf9398bdc")


def test_tones_and_languages_have_the_originals_places() -> None:
    assert symbols.LANGUAGE_IDS == {"ZH": 0, "JP": 1, "EN": 2}
    assert symbols.TONE_OFFSETS == {"ZH": 0, "JP": 6, "EN": 8}
    assert sum(symbols.TONE_COUNTS.values()) == 12


def test_429_syllables_are_known_and_all_their_phones_are_symbols() -> None:
    assert len(phonemes.syllables()) == 429
    assert all(phone in symbols.SYMBOL_IDS for pair in phonemes.syllables().values() for phone in pair)


@pytest.mark.parametrize(
    ("spelling", "pair"),
    [
        ("a", ("AA", "a")), ("ou", ("OO", "ou")), ("er", ("EE", "er")), ("zhi", ("zh", "ir")), ("ri", ("r", "ir")),
        ("si", ("s", "i0")), ("ji", ("j", "i")), ("ju", ("j", "v")), ("que", ("q", "ve")), ("xuan", ("x", "van")),
        ("yun", ("y", "vn")), ("yuan", ("y", "van")), ("yan", ("y", "En")), ("ye", ("y", "E")), ("yong", ("y", "ong")),
        ("you", ("y", "ou")), ("wu", ("w", "u")), ("lv", ("l", "v")), ("nve", ("n", "ve")), ("lun", ("l", "un")),
        ("zhuang", ("zh", "uang")), ("shei", ("sh", "ei")), ("jiong", ("j", "iong")),
    ],
)  # fmt: skip
def test_a_syllable_is_two_phones(spelling: str, pair: tuple[str, str]) -> None:
    assert phonemes.phones(spelling) == pair


@pytest.mark.parametrize("spelling", ["", "hm", "chei", "shong", "fiao", "hang2", "lü", "sp1"])
def test_other_spellings_are_no_syllables(spelling: str) -> None:
    assert not phonemes.is_syllable(spelling)
