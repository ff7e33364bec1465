"""What numbers, signs and addresses in a text are read as: the rules in their order, and the search for them."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from kelong_speech.text import codes, dates, numbers, quantities
from kelong_speech.text.rules import Rule, after, before, rule, table


class Reading(NamedTuple):
    """A part of a text, [start, end), and what is said for it: Chinese characters, marks and Latin words."""

    start: int
    end: int
    spoken: str


_HAN: Final = "\u4e00-\u9fff"
_SIGNS_IN_ADDRESSES: Final = table("""
    . 点  @ 艾特  / 斜杠  : 冒号  - 杠  _ 下划线  ? 问号  = 等于  & 和  % 百分号  # 井号  + 加  ~ 波浪号
""")
_TOP_DOMAINS: Final = "com|cn|net|org|edu|gov|io|ai|dev|app|me|tv|cc|co|info|uk|jp|hk|tw|xyz|top|de|fr"
_PATH: Final = r"(?:/[A-Za-z0-9._%+~#?&=/-]*[A-Za-z0-9/])?"


@rule(
    r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    rf"|https?://[A-Za-z0-9.:-]*[A-Za-z0-9]{_PATH}"
    rf"|(?:[A-Za-z0-9-]+\.)+(?:{_TOP_DOMAINS})(?![A-Za-z0-9]){_PATH}"
)
def _address(match: re.Match[str]) -> str | None:
    """Mail and web addresses, as they are told to somebody."""
    parts = re.findall(r"[A-Za-z]+|\d+|.", match[0])
    return "".join(
        part if part[0].isalpha() else numbers.digits(part) if part.isdigit() else _SIGNS_IN_ADDRESSES[part]
        for part in parts
    )


@rule(r"(?<![A-Za-z])(?:[A-Za-z]\.){2,}")
def _initials(match: re.Match[str]) -> str:
    return match[0].replace(".", "").upper()


@rule(r"([零〇一二三四五六七八九十百千万亿两点]+) ?([%‰])")
def _chinese_percentage(match: re.Match[str]) -> str:
    return ("百" if match[2] == "%" else "千") + "分之" + match[1]


_ROMAN: Final = table("I 1  II 2  III 3  IV 4  V 5  VI 6  VII 7  VIII 8  IX 9  X 10  XI 11  XII 12")


@rule(r"(?<=第)[IVX]+(?=[章节卷部册期类型级])")
def _roman(match: re.Match[str]) -> str | None:
    number = _ROMAN.get(match[0])
    return numbers.quantity(number) if number else None


@rule(r"(?<=[A-Za-z])\.(?=[a-z0-9])")
def _dot(match: re.Match[str]) -> str:
    return "点"


@rule(r"(?<=[A-Za-z])(\+\+)(?![A-Za-z0-9])|(?<=[A-Za-z])\+(?![+A-Za-z0-9])|(?<=[A-Za-z0-9)]) ?[+＋] ?(?=[A-Za-z0-9(])")
def _plus(match: re.Match[str]) -> str:
    return "加加" if match[1] else "加"


@rule(rf"(?<=[{_HAN}])\+(?=[{_HAN}A-Za-z])|(?<=[A-Za-z])\+(?=[{_HAN}])")
def _and(match: re.Match[str]) -> str:
    return "加"


@rule(r"(?<![A-Za-z][a-z])(?<=[a-z]) ?[-−] ?(?=\d)|(?<=[(=] )-(?=[a-z])")
def _minus(match: re.Match[str]) -> str:
    return "减"


@rule(r" ?& ?")
def _ampersand(match: re.Match[str]) -> str | None:
    latin = re.search(r"[A-Za-z]$", before(match)) and re.match(r"[A-Za-z]", after(match))
    return " and " if latin else "和"


@rule(r"(?<![A-Za-z][A-G])(?<=[A-G])#(?![A-Za-z0-9])")
def _sharp(match: re.Match[str]) -> str:
    return " sharp"


@rule(r"#(?=键|号键|\d)|(?<=按)#")
def _hash(match: re.Match[str]) -> str:
    return "井号" if after(match)[:1] != "号" else "井"


@rule(r"\*(?=键|号键)|(?<=按)\*")
def _star(match: re.Match[str]) -> str:
    return "星号" if after(match)[:1] != "号" else "星"


@rule(rf"(?<=[元米克吨次人件里升斤千瓦])/(?={quantities.PER_IN_CHINESE})")
def _per(match: re.Match[str]) -> str:
    return "每"


_NAMES: Final = table("""
    % 百分号  ‰ 千分号  = 等于  × 乘  ÷ 除以  ± 正负  ≈ 约等于  ≠ 不等于  ≤ 小于等于  ≥ 大于等于  ∞ 无穷大
    √ 根号  ² 平方  ³ 立方  ° 度  ℃ 摄氏度  ℉ 华氏度  @ 艾特  $ 美元  € 欧元  £ 英镑  ¥ 元  Ω 欧姆  < 小于  ＜ 小于
    > 大于  ＞ 大于  + 加  ∶ 比  α 阿尔法  β 贝塔  γ 伽马  δ 德尔塔  Δ 德尔塔  ε 艾普西隆  θ 西塔  λ 兰姆达  μ 缪  π 派
    ρ 柔  σ 西格玛  Σ 西格玛  τ 陶  φ 斐  Φ 斐  ω 欧米伽  № 第  ㎡ 平方米  → 到  ∠ 角  △ 三角形  Ⅰ 一  Ⅱ 二
    Ⅲ 三  Ⅳ 四  Ⅴ 五  Ⅵ 六  Ⅶ 七  Ⅷ 八  Ⅸ 九  Ⅹ 十  Ⅺ 十一  Ⅻ 十二  ½ 二分之一  ¼ 四分之一  ¾ 四分之三
    ⊥ 垂直于  ∥ 平行于  · ,  | ,  \\ 反斜杠  * '  # '  _ -  / ,  • ,  ^ 的  ~ -
""")
_COUNTED: Final = {
    **{char: index for index, char in enumerate("①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳", 1)},
    **{char: index for index, char in enumerate("⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽", 1)},
    **{char: index for index, char in enumerate("❶❷❸❹❺❻❼❽❾❿", 1)},
    **{char: index for index, char in enumerate("㈠㈡㈢㈣㈤㈥㈦㈧㈨㈩", 1)},
    **{char: index for index, char in enumerate("⒈⒉⒊⒋⒌⒍⒎⒏⒐⒑", 1)},
}  # fmt: skip


@rule("[" + "".join(map(re.escape, _NAMES)) + "]")
def _named(match: re.Match[str]) -> str:
    return _NAMES[match[0]]


@rule("[" + "".join(_COUNTED) + "]")
def _counted(match: re.Match[str]) -> str:
    """① heads an item of a list: a pause follows."""
    return numbers.quantity(str(_COUNTED[match[0]])) + ","


_OF_LETTERS: Final[tuple[Rule, ...]] = (_address, codes.IN_A_ROW, _initials, _roman, quantities.MONEY)
_OF_NUMBERS: Final[tuple[Rule, ...]] = (_address, *dates.RULES, *codes.RULES, *quantities.RULES)
_OF_SIGNS: Final[tuple[Rule, ...]] = (
    dates.UNTIL,
    _per,
    _dot,
    _plus,
    _and,
    _minus,
    *codes.AFTER_LETTERS,
    *quantities.RULES,
    _ampersand,
    _sharp,
    _hash,
    _star,
    _counted,
    _named,
)
_LETTERS: Final = re.compile(r"[A-Za-z]+")
# Where something to be read may begin. Marks of Chinese writing are none of them; a hyphen or dot only beside what it
# may belong to.
_BEGIN: Final = re.compile(
    r"[0-9A-Za-z]|[零〇一二三四五六七八九十百千万亿两点]+(?= ?[%‰])| ?&|[-−–](?= ?[\d$¥€£])|"
    r"[-−–—~～〜]+(?= ?[\d第周星一二三四五六七八九十])|\.(?=[a-z0-9])|"
    r" (?=[-−+] \d)"
    r"|(?<=[A-Za-z0-9]) ?[+＋-](?! -)|(?<=[A-Za-z\u4e00-\u9fff])\+"
    "|[" + "".join(map(re.escape, {**_NAMES, **_COUNTED, **quantities.SIGNS_OF_MONEY})) + "￥＋]"
)


def find(text: str) -> Iterator[Reading]:
    """The parts of a text that are not said as they stand, in order."""
    place = 0
    while begin := _BEGIN.search(text, place):
        start = begin.start()
        char = text[start]
        rules = _OF_NUMBERS if "0" <= char <= "9" else _OF_LETTERS if char.isascii() and char.isalpha() else _OF_SIGNS
        if _CHINESE.match(char):
            rules = (_chinese_percentage,)
        for candidate in rules:
            match = candidate.pattern.match(text, start)
            if match and match.end() > start:
                spoken = candidate.say(match)
                if spoken is not None:
                    yield Reading(start, match.end(), spoken)
                    place = match.end()
                    break
        else:
            letters = _LETTERS.match(text, start)
            place = letters.end() if letters else start + 1


_CHINESE: Final = re.compile(f"[{_HAN}]")
