"""The Mandarin syllables a voice can say, spelled in pinyin without tone, with v for u-umlaut: `zhuang`, `lve`, `er`.

The operator checks a lexicon by them before anything runs; the phones of each are `kelong_speech.text.phonemes`.
"""

from functools import cache
from typing import Final

_ZH = "a ai an ang ao e ei en eng i ong ou u ua uai uan uang ui un uo"
_GKH = "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo"
_JQX = "i ia ian iang iao ie in ing iong iu u v uan van ue ve un vn"
_ZC = "a ai an ang ao e ei en eng i ong ou u uan ui un uo"
_B = "a ai an ang ao ei en eng i ian iao ie in ing o u"

FINALS: Final = {
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
"""What may stand behind each initial, none included."""

R_COLOUR: Final = "r"
"""What 儿 adds to the spelling of the syllable that it colours: 玩儿 is `wanr`."""


@cache
def syllables() -> frozenset[str]:
    """Every known syllable's spelling."""
    return frozenset(initial + final for initial, finals in FINALS.items() for final in finals.split())


def is_coloured(spelling: str) -> bool:
    """Whether the spelling is a syllable coloured by a 儿 behind it: `wanr`, but neither `er` nor `r`."""
    base = spelling.removesuffix(R_COLOUR)
    return base not in (spelling, "er") and base in syllables() and spelling not in syllables()
