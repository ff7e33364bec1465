"""Mandarin syllables as the pairs of phones the original taught its models, and erhua as one syllable.

A syllable is spelled in pinyin without its tone, with v for u-umlaut: `zhuang`, `lve`, `er`. Every one becomes exactly
two phones. The inventory is the original's, so a spelling outside it has no phones and the text cannot be spoken.

Erhua is one syllable written with two characters: 玩儿 is `wanr` and `r`. The symbol table has no r-coloured finals and
its order is fixed, so the r-colour is the phone `er` without the `EE` that opens a syllable of its own, and the final
before it loses what an r-coloured final loses in speech (普通话水平测试实施纲要, 儿化: an, ai > ar; en, ei, i > er).
A voice trained on little erhua so hears vowels it knows in an order that is nearly right: `w a er`, not `w an EE er`.
"""

from functools import cache
from typing import Final

from kelong_contract import pinyin

# After these initials the letter u is u-umlaut: ju, quan, xue, yun.
_UMLAUT: Final = {"u": "v", "ue": "ve", "uan": "van", "un": "vn"}


def _pair(initial: str, final: str) -> tuple[str, str]:
    if not initial:
        return final[0].upper() * 2, final
    if final == "i" and initial in ("zh", "ch", "sh", "r"):
        return initial, "ir"
    if final == "i" and initial in ("z", "c", "s"):
        return initial, "i0"
    if initial in ("j", "q", "x", "y") and final in _UMLAUT:
        return initial, _UMLAUT[final]
    if initial == "y" and final in ("an", "e"):
        return initial, {"an": "En", "e": "E"}[final]
    return initial, final


@cache
def syllables() -> dict[str, tuple[str, str]]:
    """Every known syllable's spelling with its two phones."""
    return {
        initial + final: _pair(initial, final) for initial, finals in pinyin.FINALS.items() for final in finals.split()
    }


# What is left of a final before the r-colour; the others stay whole. Nothing is left where only [ɚ] is heard: 根儿.
_BEFORE_R: Final = {
    "ai": "a", "an": "a", "ia": "ia", "ian": "ia", "En": "a", "uai": "ua", "uan": "ua", "van": "ve",
    "ei": "", "en": "", "ir": "", "i0": "", "er": "", "in": "i", "ui": "u", "un": "u", "vn": "v",
}  # fmt: skip
R_COLOUR: Final = pinyin.R_COLOUR


@cache
def _rhotic() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {R_COLOUR: ("er",)}
    for spelling, (first, final) in syllables().items():
        left = _BEFORE_R.get(final, final)
        if pinyin.is_coloured(spelling + R_COLOUR):
            found[spelling + R_COLOUR] = (first, left) if left else (first,)
    return found


def is_rhotic(spelling: str) -> bool:
    """Whether the spelling is a syllable coloured by the 儿 that follows it (`wanr`), or that 儿 (`r`)."""
    return spelling in _rhotic()


def is_sayable(spelling: str) -> bool:
    """Whether the spelling is a syllable, a coloured one or the colouring 儿: whether `phones` knows it."""
    return spelling in syllables() or spelling in _rhotic()


def is_syllable(spelling: str) -> bool:
    """Whether the spelling, without tone, is one the model has phones for."""
    return spelling in syllables()


def phones(spelling: str) -> tuple[str, ...]:
    """The phones of a spelling that is sayable: `yan` is `("y", "En")`, `wanr` is `("w", "a")`, `r` is `("er",)`."""
    plain = syllables().get(spelling)
    return plain if plain else _rhotic()[spelling]
