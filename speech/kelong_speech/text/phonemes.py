"""Mandarin syllables as the pairs of phones the original taught its models.

A syllable is spelled in pinyin without its tone, with v for u-umlaut: `zhuang`, `lve`, `er`. Every one becomes exactly
two phones. The inventory is the original's, so a spelling outside it has no phones and the text cannot be spoken.
"""

from functools import cache
from typing import Final

_ZH = "a ai an ang ao e ei en eng i ong ou u ua uai uan uang ui un uo"
_GKH = "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo"
_JQX = "i ia ian iang iao ie in ing iong iu u v uan van ue ve un vn"
_ZC = "a ai an ang ao e ei en eng i ong ou u uan ui un uo"
_B = "a ai an ang ao ei en eng i ian iao ie in ing o u"

_FINALS: Final = {
    "": "a ai an ang ao e ei en eng er o ou",
    "zh": _ZH,
    "ch": _ZH.replace(" ei ", " "),
    "sh": _ZH.replace(" ong ", " "),
    "b": _B,
    "p": _B + " ou",
    "m": _B + " e iu ou",
    "f": "a an ang ei en eng o ou u",
    "d": "a ai an ang ao e ei en eng i ia ian iao ie ing iu ong ou u uan ui un uo",
    "t": "a ai an ang ao e ei eng i ian iao ie ing ong ou u uan ui un uo",
    "n": "a ai an ang ao e ei en eng i ian iang iao ie in ing iu ong ou u uan un uo v ve",
    "l": "a ai an ang ao e ei eng i ia ian iang iao ie in ing iu o ong ou u uan un uo v ve",
    "g": _GKH,
    "k": _GKH,
    "h": _GKH,
    "j": _JQX,
    "q": _JQX,
    "x": _JQX,
    "r": "an ang ao e en eng i ong ou u ua uan ui un uo",
    "z": _ZC,
    "c": _ZC,
    "s": _ZC.replace(" ei ", " "),
    "y": "a an ang ao e i in ing o ong ou u v uan van ue ve un vn",
    "w": "a ai an ang ei en eng o u",
}

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
    return {initial + final: _pair(initial, final) for initial, finals in _FINALS.items() for final in finals.split()}


def is_syllable(spelling: str) -> bool:
    """Whether the spelling, without tone, is one the model has phones for."""
    return spelling in syllables()


def phones(spelling: str) -> tuple[str, str]:
    """The two phones of a known syllable, e.g. `yan` -> `("y", "En")`."""
    return syllables()[spelling]
