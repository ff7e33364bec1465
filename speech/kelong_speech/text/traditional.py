"""Traditional characters as simplified ones, each in its place: what dictionaries, models and labels are written in.

The table is OpenCC's, one character for one. In a text of simplified characters only those are replaced that such texts
have no use for: its 乾 and 著 are qian2 and zhu4, and no other spelling of gan1 and zhe5. Nothing is loaded on import.
"""

import functools
import re
from collections import Counter
from typing import Any, Final, NamedTuple

_HAN: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff]+")
# Replacements in Unicode's extensions are in no dictionary: the characters they are for stay.
_FIRST: Final = "\u4e00"
_LAST: Final = "\u9fff"
# What stays as it is, since it is said in one way and its replacement in several: 哪吒, 捱打, 酒麴.
_SAID_IN_ONE_WAY: Final = frozenset("吒嘸捱摺袷薹麴")
# Not in GB 2312, but with a reading of their own in simplified texts: 东閤, 氾胜之, 剋架, 苍朮, the surname 甯.
_ALSO_SIMPLIFIED: Final = frozenset("閤氾剋朮甯")
# What the table leaves out: variants of Hong Kong and Taiwan, and 後, which GB 2312 has for a surname said alike.
_MORE: Final = {"後": "后", "衞": "卫", "枱": "台", "簷": "檐", "粧": "妆", "糭": "粽", "敍": "叙", "揹": "背"}
# OpenCC leaves 著 alone, which is two characters in simplified writing: zhu4 stays in words like these, all else is 着.
_ZHU: Final = re.compile(
    "(?:[显卓昭巨遗拙土专原编所]|微知|(?<!报)名|(?<!翻)译|(?<![讨议评谈争辩])论|(?<![配混结聚迎融集符闭缝])合)(著)"
    "|(著)(?=名(?![单字片册牌])|作(?![业文客战揖])|称(?![呼赞])|述(?!说)|录(?![音像影制])|者|书立|有?《)"
    "|(?:(?<![\u4e00-\u9fff])|(?<=[他她并又曾]))(著)(?=有)"
)
_ZHE: Final = re.compile("著")
# The same in a text that has no other traditional character: what can be no word of a simplified one.
_SURELY_ZHE: Final = re.compile(
    "著(?=[急火凉迷想手眼重陆慌魔])|(?<=[看走坐站躺抱背哭睡穿戴跟沿盯握跑笑接听拿带朝忙活想说])著(?!有)"
)
_SURELY: Final = (
    (re.compile("乾(?=[杯净燥脆旱枯粮洗裂咳瘦瞪衣菜果冰涸渴草柴酪爹妈爸嚎])"), "干"),
    (re.compile("(?<=[饼晒吹烘擦风晾豆笋肉烤弄榨])乾(?![坤隆])"), "干"),
    (re.compile("(?<![樊商])於(?![戏菟梨])"), "于"),
    (re.compile("(?<=[什甚怎这那多])麽"), "么"),
    (re.compile("瞭(?=解)"), "了"),
)


class _Table(NamedTuple):
    """OpenCC and what its table says of single characters.

    `changed` are all that may be replaced. Those that only traditional texts use are in `plain`, with their
    replacements; those that only simplified ones use are `simplified`.
    """

    converter: Any
    changed: frozenset[str]
    plain: dict[str, str]
    simplified: frozenset[str]


def simplified(text: str) -> str:
    """The text in simplified characters, as long as it was; one that is written in them comes back as it is."""
    table = _table()
    if table.changed.isdisjoint(text):
        return text
    if _is_traditional(text, table):
        return _with_particles(_HAN.sub(lambda match: _converted(match[0], table.converter), text), _ZHE)
    text = "".join(table.plain.get(char, char) for char in text)
    for pattern, other in _SURELY:
        text = pattern.sub(other, text)
    return _with_particles(text, _SURELY_ZHE)


def _is_traditional(text: str, table: _Table) -> bool:
    """Whether more of its characters are found in traditional texts only than in simplified ones only."""
    counts = Counter(text)
    traditional = sum(count for char, count in counts.items() if char in table.plain or char == "於")
    return traditional > sum(count for char, count in counts.items() if char in table.simplified)


def _converted(run: str, converter: Any) -> str:
    """A run of Chinese characters by phrases and characters: 乾隆 stays, 乾淨 does not."""
    found = converter.convert(run)
    if len(found) != len(run):  # a phrase of another length; version 1.4.2 has none
        found = "".join(map(converter.convert, run))
    return "".join(
        old if old in _SAID_IN_ONE_WAY or not _FIRST <= new <= _LAST else _MORE.get(new, new)
        for old, new in zip(run, found, strict=True)
    )


def _with_particles(text: str, zhe: re.Pattern[str]) -> str:
    """着 for each 著 that `zhe` finds and that is not zhu4."""
    zhu = {match.start(match.lastindex or 0) for match in _ZHU.finditer(text)}
    return zhe.sub(lambda match: "著" if match.start() in zhu else "着", text)


@functools.cache
def _table() -> _Table:
    import opencc

    simplify = opencc.OpenCC("t2s")
    changed = _changed("".join(chr(code) for codes in _CODES for code in codes), simplify)
    common = {char for char in changed.values() if _is_in(char, "gb2312")}
    plain = {
        char: simple
        for char, simple in changed.items()
        if simple in common and not _is_in(char, "gb2312") and char not in _ALSO_SIMPLIFIED
    }
    plain |= _MORE
    return _Table(
        converter=simplify,
        changed=frozenset({*changed, *_MORE, *"著瞭"} - _SAID_IN_ONE_WAY),
        plain=plain,
        # 着 is Hong Kong's too.
        simplified=frozenset(char for char in common if char != "着" and not _is_in(char, "big5")),
    )


_CODES: Final = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00))


def _changed(chars: str, converter: Any) -> dict[str, str]:
    """Those of the characters that the converter replaces when they stand alone."""
    alone = converter.convert("\n".join(chars)).split("\n")
    return {char: other for char, other in zip(chars, alone, strict=True) if char != other}


def _is_in(char: str, charset: str) -> bool:
    """Whether a national standard has the character: GB 2312 the simplified ones, Big5 the traditional ones."""
    try:
        char.encode(charset)
    except UnicodeEncodeError:
        return False
    return True
