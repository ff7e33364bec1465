"""Bopomofo with a tone digit to pinyin: how g2pW names its readings (GB/T 16159 and the tables of 注音符号)."""

from typing import Final

from kelong_speech.text.pinyin import Syllable

_INITIALS: Final = {
    "ㄅ": "b", "ㄆ": "p", "ㄇ": "m", "ㄈ": "f", "ㄉ": "d", "ㄊ": "t", "ㄋ": "n", "ㄌ": "l", "ㄍ": "g", "ㄎ": "k",
    "ㄏ": "h", "ㄐ": "j", "ㄑ": "q", "ㄒ": "x", "ㄓ": "zh", "ㄔ": "ch", "ㄕ": "sh", "ㄖ": "r", "ㄗ": "z", "ㄘ": "c",
    "ㄙ": "s",
}  # fmt: skip
_FINALS: Final = {
    "ㄧ": "i", "ㄨ": "u", "ㄩ": "v", "ㄚ": "a", "ㄛ": "o", "ㄜ": "e", "ㄝ": "ê", "ㄞ": "ai", "ㄟ": "ei", "ㄠ": "ao",
    "ㄡ": "ou", "ㄢ": "an", "ㄣ": "en", "ㄤ": "ang", "ㄥ": "eng", "ㄦ": "er", "ㄧㄚ": "ia", "ㄧㄛ": "io", "ㄧㄝ": "ie",
    "ㄧㄞ": "iai", "ㄧㄠ": "iao", "ㄧㄡ": "iu", "ㄧㄢ": "ian", "ㄧㄣ": "in", "ㄧㄤ": "iang", "ㄧㄥ": "ing",
    "ㄨㄚ": "ua", "ㄨㄛ": "uo", "ㄨㄞ": "uai", "ㄨㄟ": "ui", "ㄨㄢ": "uan", "ㄨㄣ": "un", "ㄨㄤ": "uang", "ㄨㄥ": "ong",
    "ㄩㄝ": "ve", "ㄩㄢ": "van", "ㄩㄣ": "vn", "ㄩㄥ": "iong",
}  # fmt: skip
_BUZZED: Final = ("zh", "ch", "sh", "r", "z", "c", "s")  # they need no final: ㄓ is zhi
# Finals that stand alone.
_ALONE: Final = {
    "i": "yi", "u": "wu", "v": "yu", "in": "yin", "ing": "ying", "iu": "you", "ui": "wei", "un": "wen", "ong": "weng",
    "ve": "yue", "van": "yuan", "vn": "yun", "iong": "yong",
}  # fmt: skip


def syllable(written: str) -> Syllable:
    """`ㄏㄤ2` as a syllable; what is no bopomofo spells itself with tone 0."""
    sounds, tone = written[:-1], written[-1:]
    initial = _INITIALS.get(sounds[:1], "")
    final = "i" if sounds[1:] == "" and initial in _BUZZED else _FINALS.get(sounds[1:] if initial else sounds)
    if tone not in tuple("12345") or not sounds or final is None:
        return Syllable(written, 0)
    if not initial:
        if final in _ALONE:
            return Syllable(_ALONE[final], int(tone))
        return Syllable({"i": "y", "u": "w"}.get(final[0], final[0]) + final[1:], int(tone))
    if initial in ("j", "q", "x") and final.startswith("v"):
        final = "u" + final[1:]
    return Syllable(initial + final, int(tone))
