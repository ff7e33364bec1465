"""Rules for digits that name something: telephones, rooms, flights, plates, models, versions, addresses of the net.

They are said one by one, with 幺 for 1 where numbers are told to somebody to take down (telephones, rooms, vehicles).
"""

import re
import string
from typing import Final

from kelong_speech.text import numbers
from kelong_speech.text.rules import Rule, after, before, rule

_TELEPHONE: Final = re.compile(
    r"(?:电话|手机|座机|热线|拨打|拨通|致电|客服|短信|传真|联系方式|报警|急救|火警|匪警|号码|呼叫|来电|[打拨])"
    r"(?:是|为|：|:|,|，|了|过|请|就|\s){0,3}$"
)
_TELEPHONE_FOLLOWS: Final = re.compile(r"(?:热线|电话|客服|报警|急救|火警|短信|专线|救护车|服务台|指挥中心|投诉)")
_CODE: Final = re.compile(
    r"(?:编号|学号|工号|卡号|账号|帐号|单号|验证码|校验码|密码|口令|尾号|末四位|后四位|代码|编码|邮编|邮政编码|"
    r"区号|车牌|车牌号|[Qq]{2}群?|"
    r"微信|身份证|身份证号|证件号|房间|房号|门牌|票号|流水号|序列号|许可证|ISBN|分机|信箱|取件码|取餐码|提取码|"
    r"邀请码|工牌|航班|航班号|批准文号|机号|"
    r"条形码|批号|银行卡|号段|转|#)号?码?(?:不?是|为|：|:|,|，|\s|[后前末][一二三四五六七八九十\d]+位){0,3}$"
)
_ROOM_FOLLOWS: Final = re.compile(
    r"(?:室|办公室|房|房间|病房|寝室|宿舍|教室|会议室|包间|包厢|号房|号室|信箱|研究所|高地|国道|省道|县道)"
)
_ROAD_FOLLOWS: Final = re.compile(r"(?:路|路公交|路车|路汽车|线|次|次列车|次航班|航班|班机)(?!人|数|以|性)")


@rule(r"(?:\+ ?86[- ]?|\(\+86\) ?)?1[3-9]\d([- ]?)\d{4}\1\d{4}(?!\d)")
def _mobile(match: re.Match[str]) -> str:
    return ("加" if "+" in match[0] else "") + numbers.telephone(match[0])


@rule(
    r"(?:\+\d{1,3}[- ])?(?:\(0\d{2,3}\) ?|0\d{2,3}[- ])\d{3,4}[- ]?\d{4}(?:-\d{1,5})?(?!\d)|\+\d[\d -]{6,}\d|"
    r"[48]00[- ]?\d{3}[- ]?\d{4}(?!\d)"
)
def _landline(match: re.Match[str]) -> str:
    spoken = numbers.telephone(match[0])
    return "加" + spoken if match[0][0] == "+" else spoken


@rule(r"0\d{9,11}(?!\d)|(?:12306|1008[56]|10010|955\d\d|12315|12345|12333|12348|95\d{3})(?![\d.,%]|[元块个万亿人名])")
def _hotline(match: re.Match[str]) -> str:
    return numbers.telephone(match[0])


@rule(r"\d{3,5}(?:[- ]?\d{2,8}){0,4}(?![\d.]|[%℃])")
def _told_number(match: re.Match[str]) -> str | None:
    """Three digits and more after or before a word for a telephone, a code or a room."""
    leading = before(match)
    if _CODE.search(leading) or (_TELEPHONE.search(leading) and not _counted(match)):
        return numbers.telephone(match[0])
    if len(match[0]) in (3, 5) and _TELEPHONE_FOLLOWS.match(after(match)):
        return numbers.telephone(match[0])
    return None


def _counted(match: re.Match[str]) -> bool:
    return bool(re.match(r" ?(?:个|人|次|元|块|米|分|万|亿|条|名|位|年|月|天|折|多|余)", after(match)))


@rule(r"\d{1,2}(?:[- ]?\d{2,4})*(?![\d.]|[%℃])")
def _short_code(match: re.Match[str]) -> str | None:
    leading = before(match)
    if re.search(
        r"(?:验证码|密码|尾号|分机|区号|取件码|取餐码|转)(?:号|是|为|：|:|\s){0,3}$", leading
    ) and not _counted(match):
        return numbers.telephone(match[0])
    return None


@rule(r"\d{3,4}(?![\d.,])")
def _room_or_road(match: re.Match[str]) -> str | None:
    following = after(match)
    if _ROOM_FOLLOWS.match(following) or (_ROAD_FOLLOWS.match(following) and _names_a_road(match)):
        return numbers.telephone(match[0])
    return None


def _names_a_road(match: re.Match[str]) -> bool:
    """305路 is a bus; 100次 is how often, unless a train's letter stands before it."""
    following = after(match)
    if following[0] == "次":
        return bool(re.match(r"次(?:列车|航班|高铁|动车|快车|特快)", following))
    return following[0] != "线" or bool(re.match(r"线(?:公交|地铁|路)", following))


@rule(r"(?<=[\u4e00-\u9fff][A-Z])[·• ]?(?=[A-Z0-9]*\d)[A-Z0-9]{5,6}(?![A-Za-z0-9])")
def _number_plate(match: re.Match[str]) -> str | None:
    """京A·12345: after a province's character and a letter."""
    if match.string[match.start() - 2] not in _PROVINCES:
        return None
    return "".join(numbers.telephone(char) if char in "0123456789" else char for char in match[0] if char.isalnum())


_PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼港澳使领学警"


@rule(r"(?<=[A-Z])(\d{3,4})(?=次|航班|班机|号航班|列车)|(?<![A-Z]{3})(?<=[A-Z]{2})(\d{4})(?![\d.])")
def _flight_or_train(match: re.Match[str]) -> str:
    return numbers.telephone(match[0])


@rule(r"(?<=([A-Z]))(\d{1,3}) ?[-–—~～〜] ?(?=\1\d)")
def _range_of_names(match: re.Match[str]) -> str:
    """P12～P15, T1-T3: from one to the other."""
    return model_number(match[2]) + "到"


@rule(r"(?<=[A-Za-z])(?P<dash>[-‑]?)(\d+(?:\.\d+)?)(?![\d]|\.\d)")
def _after_letters(match: re.Match[str]) -> str | None:
    """MP3, F-16, GPT-3.5; three digits and more one by one (A380), but not round hundreds (H100).

    Of a code (单号SF1024) they are told to be taken down.
    """
    if "." not in match[2] and len(match[2]) > 2 and _CODE.search(before(match).rstrip(string.ascii_letters)):
        return numbers.telephone(match[2])
    return model_number(match[2], train=_is_train(match))


def _is_train(match: re.Match[str]) -> bool:
    return bool(re.search(r"(?:^|[^A-Za-z])[GDCZTK]$", before(match))) and bool(
        re.match(r"次|列车|高铁|动车", after(match))
    )


def model_number(number: str, *, train: bool = False) -> str:
    """The number in a name made of letters and digits."""
    whole = number.partition(".")[0]
    if len(whole) < 3 and not number.startswith("0"):
        return numbers.cited(number)
    if "." not in number and len(number) == 3 and number.endswith("00") and number[0] != "0":
        return numbers.quantity(number)
    return numbers.telephone(number) if train else numbers.quantity(number) if "." in number else numbers.digits(number)


@rule(r"(?<=[A-Z] )(\d{4})(?![\d.,]|年| ?(?:个|元|人|名|张|块|台|米|条|次|万|亿|多|余))")
def _model_after_space(match: re.Match[str]) -> str:
    return numbers.digits(match[1])


@rule(
    r"(?<=波音|空客|骁龙|麒麟|酷睿|天玑|锐龙|宝马|标致|米格|运载)(\d{3,4})(?![\d.])|(?<=[歼轰运直])-?(\d{1,2})(?![\d.])"
)
def _model_after_maker(match: re.Match[str]) -> str | None:
    number = match[1] or match[2]
    return numbers.digits(number) if len(number) > 2 else numbers.quantity(number)


@rule(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d+))?(?![\d.]*\d)")
def _address(match: re.Match[str]) -> str:
    spoken = "点".join(numbers.digits(part) for part in match.groups()[:4])
    return spoken + (f"冒号{numbers.digits(match[5])}" if match[5] else "")


@rule(r"\d+(?:\.\d+){2,}")
def _version(match: re.Match[str]) -> str:
    *parts, last = match[0].split(".")
    spoken = [numbers.quantity(part) if len(part) < 3 else numbers.digits(part) for part in parts]
    return "点".join((*spoken, numbers.cited(last) if len(last) < 3 else numbers.digits(last)))


@rule(r"\d(?:-\d){2,}(?=阵型|阵|战术|的阵型|队形)")
def _formation(match: re.Match[str]) -> str:
    return numbers.digits(match[0])


@rule(r"(?<=[图表式例题])(\d{1,2})-(\d{1,2})(?![\d.%-])")
def _figure(match: re.Match[str]) -> str:
    """图3-1: the first of the third chapter."""
    return f"{numbers.quantity(match[1])}杠{numbers.quantity(match[2])}"


@rule(r"(\d{3,6})-(\d{4})(?![\d.%-])")
def _standard(match: re.Match[str]) -> str | None:
    """GB/T 15835-2011: a standard and the year of its edition."""
    if not re.search(r"(?:GB|ISO|IEC|/[TZ]) ?$", before(match)):
        return None
    return f"{numbers.digits(match[1])}杠{numbers.digits(match[2])}"


@rule(r"(?:985|211|996|007)(?=[、/和与]?(?:985|211)|高校|大学|院校|名校|工程|毕业|硕士|本科|学校|工作制|加班|福报)")
def _well_known_row(match: re.Match[str]) -> str:
    """985高校, 996工作制: names made of digits."""
    return numbers.digits(match[0])


@rule(r"N[oO]\. ?(\d+)(?![\d.])")
def _in_a_row(match: re.Match[str]) -> str:
    """No.1 is the first; a long row of digits is a number by itself."""
    return "第" + (numbers.quantity(match[1]) if len(match[1]) < 4 else numbers.telephone(match[1]))


@rule(r"\d+(?:-\d+){2,}(?![\d.])")
def _hyphened(match: re.Match[str]) -> str:
    """3-2-501: a building, its staircase and a room."""
    return "杠".join(
        numbers.telephone(part) if len(part) > 2 else numbers.quantity(part) for part in match[0].split("-")
    )


@rule(r"\d{17,}|\d{17}[Xx](?![A-Za-z0-9])|\d{13,16}(?![\d.,元人个万亿])|\d{4}(?: \d{4}){2,4}(?: \d{1,3})?(?![\d.])")
def _long_row(match: re.Match[str]) -> str:
    spoken = numbers.telephone(match[0])
    return spoken + "X" if match[0][-1] in "xX" else spoken


@rule(r"(?<=[A-Z])[24](?=[A-Z](?![A-Za-z]))")
def _to_or_for(match: re.Match[str]) -> str:
    """B2B, O2O, P2P."""
    return {"2": " to ", "4": " for "}[match[0]]


@rule(r"(?:(?<=东风|长征|神舟|嫦娥|天宫|天问|红旗|鹰击|伊尔)|(?<=[苏图]))[-‑](\d{1,3})(?![\d.])")
def _series(match: re.Match[str]) -> str:
    return model_number(match[1])


IN_A_ROW: Final = _in_a_row
AFTER_LETTERS: Final[tuple[Rule, ...]] = (_after_letters, _model_after_maker, _series)
RULES: Final[tuple[Rule, ...]] = (
    _mobile,
    _landline,
    _hotline,
    _long_row,
    _told_number,
    _short_code,
    _number_plate,
    _flight_or_train,
    _room_or_road,
    _address,
    _version,
    _formation,
    _figure,
    _standard,
    _well_known_row,
    _hyphened,
    _to_or_for,
    _range_of_names,
    _after_letters,
    _model_after_space,
    _model_after_maker,
)
