"""Rules for years, dates and times of day.

Years are read digit by digit, months and days as numbers (GB/T 15835-2011).
"""

import re
from typing import Final

from kelong_speech.text import numbers
from kelong_speech.text.rules import TO, TO_OR_WORD, Rule, after, before, rule, to

_HALVES: Final = {"a": "上午", "p": "下午"}
_CLOCK: Final = (
    r"(\d{1,2}) ?[:：] ?([0-5]\d)(?: ?[:：] ?([0-5]\d))?(?![\d:：]|\.\d)(?: ?([AaPp])\.?[Mm]\.?(?![A-Za-z]))?"
)
_AS_SCORE: Final = re.compile(
    r"(?:比分|总分|战胜|击败|击退|负于|不敌|输给|逆转|领先|落后|战成|打成|扳成|改写为|锁定为|比例|配比|宽高比|"
    r"画幅|赔率|[以按])"
    r"[^，。,；\d]{0,6}$"
)
_SCORE_FOLLOWS: Final = re.compile(
    r" ?(?:战胜|击败|击退|负于|不敌|获胜|取胜|大胜|险胜|完胜|逆转|领先|落后|战平|打平|告负|惜败|大败|淘汰|横扫|"
    r"力克|轻取|"
    r"的?比分|的?比例|[大小险完]?胜|负|平)"
)
_LASTING: Final = re.compile(r"(?:用时|时长|历时|耗时|成绩|跑出|游出|配速|片长|全长|计时)[^，。,；\d]{0,4}$")
_SPAN_OF_YEARS: Final = re.compile(
    r"(?:近|约|距今|整整|长达|超过|将近|至少|已有|有着|历经|拥有|不到|大约|上下|过去|[有过])$"
)
_YEARS_LONG: Final = re.compile(r"年(?:的?(?:悠久)?历史|以上|以下|之久|多|左右|来|前|后|以来|间|时间|沧桑|文明|大计)")
_OF_A_YEAR: Final = (
    r"年|赛季|学年|财年|届|级新生|级学生|款|版|春季|秋季|夏季|冬季|奥运|冬奥|世界杯|欧洲杯|亚运|春晚|世博|跨年|"
    r"新年|全国两会|"
    r"高考|中考|考研|央视|Q[1-4]"
)


@rule(r"(\d{4})(?P<mark>[-/.])(\d{1,2})(?P=mark)(\d{1,2})(?![\d.])[日号]?")
def _full_date(match: re.Match[str]) -> str | None:
    year, month, day = match[1], int(match[3]), int(match[4])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{numbers.digits(year)}年{numbers.quantity(str(month))}月{numbers.quantity(str(day))}日"


@rule(r"((?:19|20)\d\d)([-/])(0[1-9]|1[0-2])(?![\d/-])月?")
def _year_and_month(match: re.Match[str]) -> str:
    return f"{numbers.digits(match[1])}年{numbers.quantity(str(int(match[3])))}月"


@rule(rf"(\d{{4}})年?{TO_OR_WORD}(\d{{4}}|\d\d)(?={_OF_A_YEAR})")
def _years(match: re.Match[str]) -> str | None:
    if not _is_year(match[1]):
        return None
    year = "年" if match[0][4] == "年" else ""
    return f"{numbers.digits(match[1])}{year}{to(match[2])}{numbers.digits(match[3])}"


@rule(rf"((?:19|20)\d\d){TO}((?:19|20)\d\d)(?![\d.])")
def _bare_years(match: re.Match[str]) -> str | None:
    return f"{numbers.digits(match[1])}到{numbers.digits(match[2])}" if match[1] < match[2] else None


@rule(rf"(\d{{3,4}})(?={_OF_A_YEAR})")
def _year(match: re.Match[str]) -> str | None:
    if len(match[1]) == 3:
        era = re.search(r"(?:公元|公元前|前)$", before(match))
        return numbers.digits(match[1]) if era else None
    if not _is_year(match[1]):
        return None
    lasting = _SPAN_OF_YEARS.search(before(match)) or _YEARS_LONG.match(after(match))
    if lasting and (
        match[1].endswith("00") or (_YEARS_LONG.match(after(match)) and _SPAN_OF_YEARS.search(before(match)))
    ):
        return None
    return numbers.digits(match[1])


def _is_year(number: str) -> bool:
    return "1000" <= number <= "2999"


@rule(r"['‘’]?((?:1[0-9]|20)?\d0)['’]?(?:s(?![A-Za-z])|年代)")
def _decade(match: re.Match[str]) -> str:
    decade = match[1]
    if len(decade) == 4 or decade in ("00", "10"):
        return numbers.digits(decade) + "年代"
    return numbers.quantity(decade) + "年代"


@rule(r"(\d[05])(?=后(?:[^\d天年月周小分秒人]|\d[05]后|$))")
def _generation(match: re.Match[str]) -> str | None:
    """90后 was born in the nineties; 30后 is no generation anybody speaks of."""
    return (
        numbers.digits(match[1]) if match[1] in ("00", "05", "10", "60", "70", "75", "80", "85", "90", "95") else None
    )


@rule(r"(0\d|[789]\d)(?=年(?!代|前|后|来|以|间|历史|的历史|多|内|级))")
def _short_year(match: re.Match[str]) -> str | None:
    """98年 is a year, 98年来 a time."""
    if re.search(r"[近约第满共了用过有]$|\d[-~]$", before(match)) or "年" in before(match, 1):
        return None
    return numbers.digits(match[1])


@rule(rf"(\d{{1,2}})(月?)(?:{TO})(\d{{1,2}})(?=[月日号])")
def _months_or_days(match: re.Match[str]) -> str:
    return f"{_plain(match[1])}{match[2]}到{_plain(match[3])}"


@rule(r"(\d{1,2})(?=[月日号](?!子|线))")
def _month_or_day(match: re.Match[str]) -> str | None:
    """The zero of 05月 is only written."""
    return _plain(match[1]) if int(match[1]) else None


def _plain(number: str) -> str:
    return numbers.quantity(str(int(number)))


@rule(rf"{_CLOCK}{TO_OR_WORD}{_CLOCK}")
def _hours(match: re.Match[str]) -> str | None:
    parts = match.groups()
    begin, end = _clock(*parts[:4]), _clock(*parts[5:])
    return begin + to(match[5]) + end if begin and end else None


@rule(_CLOCK)
def _hour(match: re.Match[str]) -> str | None:
    if not match[4] and (_AS_SCORE.search(before(match)) or _SCORE_FOLLOWS.match(after(match))):
        return None
    if _LASTING.search(before(match)):
        return _lasting(match[1], match[2], match[3])
    return _clock(*match.groups())


def _clock(hour: str, minute: str, second: str | None, half: str | None) -> str | None:
    if int(hour) > 24:
        return None
    spoken = numbers.quantity(str(int(hour)), measured=True) + "点"
    if int(minute) or second:
        spoken += _after_a_unit(minute) + "分"
    if second:
        spoken += _after_a_unit(second) + "秒"
    return _HALVES.get((half or "").lower(), "") + spoken


def _after_a_unit(number: str) -> str:
    """Minutes after hours: 05 is 零五, 00 is 零分."""
    return numbers.quantity(str(int(number))) if number[0] != "0" or number == "00" else numbers.digits(number)


def _lasting(first: str, second: str, third: str | None) -> str:
    parts = zip((first, second, third), ("小时", "分", "秒") if third else ("分", "秒", ""), strict=True)
    return "".join(numbers.quantity(str(int(number)), measured=True) + unit for number, unit in parts if number)


@rule(r"(\d{1,2})([点时])([0-5]\d)(分?)(?!\d|\.\d|[%元块万亿])")
def _spoken_clock(match: re.Match[str]) -> str | None:
    if int(match[1]) > 24:
        return None
    hour = numbers.quantity(str(int(match[1])), measured=True)
    return f"{hour}{match[2]}{_after_a_unit(match[3])}{match[4]}"


@rule(r"(\d{1,3})(分|′|')([0-5]\d)(秒|″|\")(?:(\d{1,2})(?!\d))?")
def _minutes_and_seconds(match: re.Match[str]) -> str | None:
    if match[2] in "′'" and re.search(r"[°度]$", before(match)):
        return None
    second = match[3] if match[3][0] == "0" else str(int(match[3]))
    tail = numbers.digits(match[5] or "")
    return f"{numbers.quantity(match[1], measured=True)}分{numbers.quantity(second)}秒{tail}"


@rule(r"0?2(?=[点时](?!候|代|装|尚|事|刻|间|光|期|段|[\d.]*\d(?:万|亿|%)))")
def _two_o_clock(match: re.Match[str]) -> str:
    return "两"


@rule(
    r"(\d{1,2})[·.](\d{1,2})(?= ?(?:事变|事件|晚会|假期|黄金周|惨案|运动|地震|大地震|大火|爆炸|空难|案|劳动节|"
    r"国庆|讲话|专案))"
)
def _day_of_memory(match: re.Match[str]) -> str | None:
    if not (1 <= int(match[1]) <= 12 and 1 <= int(match[2]) <= 31):
        return None
    return "十一" if (match[1], match[2]) == ("10", "1") else numbers.digits(match[1] + match[2])


@rule(r"(9)[·./](11)(?!\d|\.)|(3)·(15)(?!\d)|(12)·(9)(?!\d)|(5)·(1)(?!\d)|(10)·(1)(?!\d)")
def _well_known_day(match: re.Match[str]) -> str:
    digits = "".join(part for part in match.groups() if part)
    return "十一" if digits == "101" else numbers.digits(digits)


@rule(r"11\.11(?!\d)|12\.12(?!\d)|(?<=双)1[12](?!\d)")
def _shopping_day(match: re.Match[str]) -> str:
    return {"11.11": "双十一", "12.12": "双十二", "11": "十一", "12": "十二"}[match[0]]


@rule(
    r"(?:(?<=[年月日号点时分秒页章集期岁])|(?<=[周期][一二三四五六日天]))(?:[-–−~～〜]|—{1,2}) ?"
    r"(?=(?:\d{4}年)?\d{1,2}(?:[月日号点时分页章集期岁]|[:：]\d)|第|周[一二三四五六日]|星期|"
    r"[一二三四五六七八九十]{1,3}[月日号])"
)
def _until(match: re.Match[str]) -> str:
    """The sign between two days, hours or places in a row: 5月1日-3日, 周一-周五, 第3页~第5页."""
    return "到"


UNTIL: Final = _until
RULES: Final[tuple[Rule, ...]] = (
    _full_date,
    _day_of_memory,
    _well_known_day,
    _shopping_day,
    _years,
    _year_and_month,
    _bare_years,
    _decade,
    _year,
    _generation,
    _short_year,
    _months_or_days,
    _hours,
    _hour,
    _spoken_clock,
    _minutes_and_seconds,
    _two_o_clock,
    _month_or_day,
)
