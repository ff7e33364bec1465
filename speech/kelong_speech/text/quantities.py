"""Rules for quantities: money, percentages, temperatures, units, fractions, scores, ranges, sums and plain numbers."""

import re
from typing import Final

from kelong_speech.text import numbers, wetext_reader
from kelong_speech.text.rules import NUMBER, TO, TO_OR_WORD, Rule, after, before, rule, table, to

# The unit's sign, what it is called, as GB 3100 and GB 3101 name units. Longer signs first where one begins another.
_UNITS: Final = table("""
    km² 平方千米  km2 平方千米  m² 平方米  m2 平方米  ㎡ 平方米  cm² 平方厘米  cm2 平方厘米  mm² 平方毫米
    m³ 立方米  m3 立方米  cm³ 立方厘米  cm3 立方厘米  mm 毫米  cm 厘米  dm 分米  km 公里  m 米  μm 微米
    um 微米  nm 纳米  kg 千克  KG 千克  Kg 千克  g 克  mg 毫克  μg 微克  ug 微克  t 吨  L 升  l 升  mL 毫升
    ml 毫升  ML 毫升  dL 分升  ha 公顷  h 小时  hr 小时  min 分钟  s 秒  ms 毫秒  μs 微秒  us 微秒  ns 纳秒
    Hz 赫兹  kHz 千赫  KHz 千赫  MHz 兆赫  GHz 吉赫  V 伏  kV 千伏  KV 千伏  mV 毫伏  mA 毫安  mAh 毫安时
    Ah 安时  W 瓦  kW 千瓦  KW 千瓦  MW 兆瓦  GW 吉瓦  kWh 千瓦时  kW·h 千瓦时  KWh 千瓦时  MWh 兆瓦时
    GWh 吉瓦时  Wh 瓦时  J 焦耳  kJ 千焦  MJ 兆焦  cal 卡  kcal 千卡  Pa 帕  hPa 百帕  kPa 千帕  MPa 兆帕
    dB 分贝  Ω 欧姆  kΩ 千欧  mol 摩尔  mmol 毫摩尔  μmol 微摩尔  lm 流明  lx 勒克斯  cd 坎德拉  mmHg 毫米汞柱
    rpm 转每分钟  mph 英里每小时  fps 帧每秒  Mbps 兆比特每秒  Gbps 吉比特每秒  kbps 千比特每秒
    Kbps 千比特每秒  lb 磅  lbs 磅  oz 盎司  ft 英尺  in 英寸  ppm 百万分之  ℃ 摄氏度  °C 摄氏度  ℉ 华氏度
    °F 华氏度  ° 度  º 度  r 转  kn 节  N·m 牛米  kgf 千克力  dpi 点每英寸  ly 光年  yd 码
""")
_PER: Final = table("""
    h 小时  hr 小时  s 秒  min 分钟  d 天  L 升  l 升  mL 毫升  ml 毫升  dL 分升  m² 平方米  m2 平方米
    ㎡ 平方米  m³ 立方米  m3 立方米  kg 千克  g 克  km 公里  m 米  cm² 平方厘米  cm2 平方厘米  cm³ 立方厘米
    mol 摩尔  km² 平方千米  hm² 公顷  ha 公顷  t 吨  kWh 千瓦时  s² 二次方秒  s2 二次方秒  mm 毫米  cm 厘米
    W 瓦
""")
_SIGNS_OF_UNITS: Final = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_SIGNS_PER: Final = "|".join(sorted(map(re.escape, _PER), key=len, reverse=True))
PER_IN_CHINESE: Final = (
    r"个?小时|分钟|分|秒|天|日|周|星期|个?月|年|斤|公斤|千克|克|吨|升|毫升|平方米|平米|平|立方米|米|公里|千米|次|"
    r"人|个|件|只|位|张|套|盒|瓶|"
    r"台|辆|间|晚|户|亩|度|千瓦时|条|本|份|杯|股|课时|节|场|桶|袋|箱|头|株|平方公里|百公里|万人|篇|字"
)
SIGNS_OF_MONEY: Final = table("""
    ¥ 元  ￥ 元  $ 美元  US$ 美元  USD 美元  € 欧元  EUR 欧元  £ 英镑  GBP 英镑  HK$ 港元  HKD 港元  NT$ 新台币
    A$ 澳元  C$ 加元  JP¥ 日元  JPY 日元  ₩ 韩元  KRW 韩元  RMB 元  CNY 元  ₽ 卢布  ฿ 泰铢  ₹ 卢比  AUD 澳元
    CAD 加元  SGD 新加坡元  CHF 瑞士法郎  RMB¥ 元  S$ 新加坡元  R$ 雷亚尔
""")
_MONEY_SIGNS: Final = "|".join(sorted(map(re.escape, SIGNS_OF_MONEY), key=len, reverse=True))
_MAGNITUDE: Final = r"(?: ?(?:[十百千]?万亿?|[十百千]?亿|[十百千]))?"
_MAGNITUDES_IN_LETTERS: Final = {
    "k": 10**3, "K": 10**3, "M": 10**6, "m": 10**6, "B": 10**9, "b": 10**9, "bn": 10**9,
    "w": 10**4, "W": 10**4,
}  # fmt: skip
_MINUS: Final = (
    r"(?<![\dA-Za-z)）\u4e00-\u9fff])[-−–]|(?<=[为是约达到至至了零于在 ])[-−–]|(?<=[\u4e00-\u9fff])[-−](?=\d)"
)
_HAN_NUMBER: Final = "零一二三四五六七八九十百千万亿两点"
_FRACTION_SIGNS: Final = table("""
    ½ 1/2  ⅓ 1/3  ⅔ 2/3  ¼ 1/4  ¾ 3/4  ⅕ 1/5  ⅛ 1/8  ⅙ 1/6  ⅖ 2/5  ⅗ 3/5  ⅘ 4/5  ⅜ 3/8  ⅝ 5/8  ⅞ 7/8
""")
_POWERS: Final = {"²": "平方", "³": "立方"}
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def _signed(minus: str | None, spoken: str, word: str = "负") -> str:
    return word + spoken if minus else spoken


@rule(
    rf"({_MINUS})?({_MONEY_SIGNS}) ?([-−])?({NUMBER})(?:{TO_OR_WORD}(?:{_MONEY_SIGNS})?({NUMBER}))?({_MAGNITUDE})"
    rf"(?:(bn|[kKMmBbwW])(?![A-Za-z]))?(?: ?(?:元|块|美元|美金|日元))?(?: ?/ ?({PER_IN_CHINESE}))?"
)
def _money(match: re.Match[str]) -> str:
    minus, sign, minus_inside, number, link, upper, magnitude, letter, per = match.groups()
    name = SIGNS_OF_MONEY[sign]
    if "日元" in match[0]:
        name = "日元"
    if letter:
        number, upper = (
            _times(number, _MAGNITUDES_IN_LETTERS[letter]),
            upper and _times(upper, _MAGNITUDES_IN_LETTERS[letter]),
        )
    spoken = _amount(_price(number), magnitude)
    if upper:
        spoken = f"{numbers.quantity(_price(number), measured=True)}{to(link)}{_amount(_price(upper), magnitude)}"
    return _each(per) + _signed(minus or minus_inside, spoken + name)


def _each(per: str | None) -> str:
    """`/月` as 每月, `/小时` as 每小时; nothing without it."""
    if not per:
        return ""
    return "每" + (per.removeprefix("个") if per in ("个小时", "个月") else per)


def _amount(number: str, magnitude: str = "") -> str:
    magnitude = magnitude.strip()
    return numbers.quantity(number, measured=True) + magnitude


def _price(number: str) -> str:
    """Nobody says the cents of 99.00, nor the last zero of 12.50."""
    return re.sub(r"(\.\d*?)0+$", r"\1", number).removesuffix(".")


def _times(number: str, factor: int) -> str:
    """`3.5` million as 3500000, exactly."""
    whole, _, decimals = number.replace(",", "").partition(".")
    power = len(decimals)
    total = int(whole + decimals) * factor
    return str(total // 10**power) if total % 10**power == 0 else number


@rule(
    rf"({_MINUS})?({NUMBER})({_MAGNITUDE}) ?(USD|US\$|EUR|GBP|HKD|JPY|KRW|RMB|CNY|AUD|CAD|SGD|CHF|€|£|\$)(?![A-Za-z\d])"
)
def _money_behind(match: re.Match[str]) -> str:
    return _signed(match[1], _amount(match[2], match[3]) + SIGNS_OF_MONEY[match[4]])


@rule(rf"({_MINUS})?({NUMBER})([%‰％])?{TO_OR_WORD}([-−])?({NUMBER})([%‰％])")
def _percent_range(match: re.Match[str]) -> str:
    minus, number, sign, link, upper_minus, upper, upper_sign = match.groups()
    begin = _percent(number, sign or upper_sign, minus)
    if not sign and not upper_minus:
        return f"{begin}{to(link)}{numbers.quantity(upper)}"
    return f"{begin}{to(link)}{_percent(upper, upper_sign, upper_minus)}"


@rule(rf"([+＋])?({_MINUS})?({NUMBER}) ?([%‰％])(?:([A-Z])(?![A-Za-z]))?")
def _percentage(match: re.Match[str]) -> str:
    spoken = _percent(match[3], match[4], match[2])
    return ("正" if match[1] else "") + spoken + (match[5] or "")


def _percent(number: str, sign: str, minus: str | None) -> str:
    if sign == "‰":
        return _signed(minus, f"千分之{numbers.quantity(number)}")
    return _signed(minus, "百分之百" if number == "100" else f"百分之{numbers.quantity(number)}")


_DEGREES: Final = r"℃|°[Cc]|º[Cc]|℉|°F|摄氏度|度(?!数|量|假|电)"


@rule(rf"({_MINUS})?({NUMBER}) ?({_DEGREES}|°)?{TO_OR_WORD}(?:([-−])|(零[下上]))?({NUMBER}) ?({_DEGREES})")
def _temperature_range(match: re.Match[str]) -> str:
    minus, number, unit, link, upper_minus, side, upper, upper_unit = match.groups()
    begin = _signed(minus, numbers.quantity(number, measured=not minus), "零下") + (_degrees(unit) if unit else "")
    end = _signed(upper_minus, (side or "") + numbers.quantity(upper), "零下")
    return f"{begin}{to(link)}{end}{_degrees(upper_unit)}"


def _degrees(unit: str) -> str:
    return {"F": "华氏度", "℉": "华氏度", "°": "度", "度": unit}.get(unit[-1], "摄氏度")


@rule(rf"({_MINUS})?({NUMBER}) ?({_DEGREES})(?!/)")
def _temperature(match: re.Match[str]) -> str:
    measured = not match[1]
    return _signed(match[1], numbers.quantity(match[2], measured=measured) + _degrees(match[3]), "零下")


@rule(r"(\d{1,3})[°度] ?(\d{1,2})[′'’分](?: ?(\d{1,2}(?:\.\d+)?)(?:″|\"|”|秒))?")
def _angle(match: re.Match[str]) -> str:
    spoken = f"{numbers.quantity(match[1])}度{numbers.quantity(match[2])}分"
    return spoken + (f"{numbers.quantity(match[3])}秒" if match[3] else "")


@rule(
    rf"({_MINUS})?({NUMBER})(?:({TO}|[×xX*])({NUMBER}))?({_MAGNITUDE}) ?({_SIGNS_OF_UNITS}|"
    rf"[\u4e00-\u9fff]{{1,3}}?)?/(?:({_SIGNS_PER})(?![A-Za-z\d])|({PER_IN_CHINESE})(?![\u4e00-\u9fff]?/))"
)
def _rate(match: re.Match[str]) -> str | None:
    minus, number, link, upper, magnitude, unit, per_sign, per = match.groups()
    if not unit and not per_sign:
        return None
    name = _UNITS.get(unit, unit) if unit else ""
    if name == "公里" and per_sign in ("L", "l"):
        name = "千米"
    amount = _signed(minus, _amount(number, "" if upper else magnitude))
    if upper:
        amount += ("到" if link and link.strip() not in "×xX*" else "乘") + _amount(upper, magnitude)
    return (f"每{_PER[per_sign]}" if per_sign else _each(per)) + amount + name


@rule(
    rf"({_MINUS})?({NUMBER})(?:({TO}|"
    rf"[至到×xX*])({NUMBER}))?(?:[×xX*]({NUMBER}))?({_MAGNITUDE}) ?({_SIGNS_OF_UNITS})(?![A-Za-z\d²³°])"
)
def _unit(match: re.Match[str]) -> str | None:
    minus, number, link, upper, third, magnitude, sign = match.groups()
    if sign in ("V", "W", "t", "r", "in", "ly") and not _certain(match, sign):
        return None
    name = _UNITS[sign]
    if name == "百万分之":
        return f"百万分之{numbers.quantity(number)}"
    if not upper:
        return _signed(minus, _amount(number, magnitude) + name)
    by = "乘" if link.strip() in "×xX*" else to(link)
    spoken = f"{_first_of_range(number)}{by}"
    if third:
        spoken += f"{numbers.quantity(upper)}乘{_amount(third, magnitude)}{name}"
    else:
        spoken += f"{_amount(upper, magnitude)}{name}"
    return _signed(minus, spoken)


@rule(r"(\d+) ?hr? ?(\d{1,2}) ?(?:mins?|m)(?![A-Za-z\d²³])")
def _hours_and_minutes(match: re.Match[str]) -> str:
    return f"{numbers.quantity(match[1], measured=True)}小时{numbers.quantity(match[2], measured=True)}分钟"


@rule(r"(\d{2,3})/(\d{2,3}) ?mmHg")
def _blood_pressure(match: re.Match[str]) -> str:
    return f"{numbers.quantity(match[1])},{numbers.quantity(match[2])}毫米汞柱"


@rule(r"([1-9])\.(\d)(?=折)")
def _discount(match: re.Match[str]) -> str:
    """8.5折 is 八五折."""
    return numbers.digits(match[1] + match[2])


def _certain(match: re.Match[str], sign: str) -> bool:
    """Whether a letter that also stands for other things is the unit here."""
    if sign == "in":
        return bool(re.match(r"(?![ ]?[A-Za-z])", after(match)))
    return sign != "W" or not re.match(r"[人个次粉+]", after(match))


def _first_of_range(number: str) -> str:
    return numbers.quantity(number, measured=True)


@rule(rf"(\d+) (\d+)/(\d+)(?![\d/])|(\d+)?([{''.join(_FRACTION_SIGNS)}])")
def _mixed_number(match: re.Match[str]) -> str:
    whole, upper, lower, other_whole, sign = match.groups()
    if sign:
        whole = other_whole
        upper, lower = _FRACTION_SIGNS[sign].split("/")
    spoken = f"{numbers.quantity(lower)}分之{numbers.quantity(upper)}"
    return f"{numbers.quantity(whole)}又{spoken}" if whole else spoken


@rule(rf"({_MINUS})?(\d+)/(\d+)(?![\d/.]|[年月])")
def _fraction(match: re.Match[str]) -> str | None:
    if int(match[3]) == 0 or match[3].startswith("0"):
        return None
    return _signed(match[1], f"{numbers.quantity(match[3])}分之{numbers.quantity(match[2])}")


@rule(r"(\d+(?:\.\d+)?) ?[:：∶] ?(\d+(?:\.\d+)?)(?: ?[:：∶] ?(\d+(?:\.\d+)?))?(?![\d])")
def _ratio(match: re.Match[str]) -> str:
    return "比".join(numbers.cited(part) for part in match.groups() if part)


_SCORE_BEFORE: Final = re.compile(
    r"(?:比分|总分|战胜|击败|击退|负于|不敌|输给|逆转|领先|落后|战成|打成|扳成|锁定为|赢|输|胜|负|"
    r"[以])[^，。,；\d]{0,6}$"
)
_SCORE_AFTER: Final = re.compile(
    r" ?(?:战胜|击败|击退|负于|不敌|获胜|取胜|大胜|险胜|完胜|逆转|领先|落后|战平|打平|告负|惜败|大败|淘汰|横扫|"
    r"力克|轻取|胜|负|平(?!方|米)|"
    r"的?比分|赢)"
)


@rule(r"(\d{1,3}) ?[-–—−] ?(\d{1,3})(?![\d.%/]|[-–—−]\d)")
def _score(match: re.Match[str]) -> str | None:
    """3-2 among words of a match is a score; outside them two numbers that fall are one too."""
    if not (_SCORE_BEFORE.search(before(match)) or _SCORE_AFTER.match(after(match))):
        return None
    return f"{numbers.cited(match[1])}比{numbers.cited(match[2])}"


_OPERATORS: Final = table("""
    + 加  ＋ 加  - 减  − 减  – 减  × 乘  * 乘  x 乘  X 乘  ÷ 除以  / 除以  = 等于  ＝ 等于  ≈ 约等于  ≠ 不等于
    ± 正负  > 大于  < 小于  ≥ 大于等于  ≤ 小于等于  ＞ 大于  ＜ 小于  ∶ 比
""")
_TERM: Final = rf"[-−]?\(?{NUMBER}\)?[²³%]?"


@rule(rf"{_TERM}(?: ?[+＋\-−×÷*/xX±] ?{_TERM})* ?[=＝≈≠] ?(?:{_TERM}(?: ?[+＋\-−×÷*/±] ?{_TERM})*)?")
def _equation(match: re.Match[str]) -> str:
    spoken, at_term = "", True
    for part in re.findall(rf"{NUMBER}|[²³%()]|[^\s\d]", match[0]):
        if part[0] in "0123456789":
            spoken, at_term = spoken + numbers.cited(part), False
        elif part in "²³":
            spoken += f"的{_POWERS[part]}"
        elif part == "%":
            spoken += "百分号"
        elif part in "-−" and at_term:
            spoken += "负"
        elif part not in "()":
            spoken, at_term = spoken + _OPERATORS[part], True
    return spoken


@rule(
    rf"({NUMBER})( ?[+＋×÷*±] ?|(?: ?[xX] ?)| [-−] )({NUMBER})(?:( ?[+＋×÷*] ?|(?: ?[xX] ?))({NUMBER}))?(?![A-Za-z\d])"
)
def _operation(match: re.Match[str]) -> str:
    first, sign, second, sign_2, third = match.groups()
    link = _OPERATORS[sign.strip()]
    rows = sign.strip() in "×xX*" and all(len(part) >= 3 and part.isdigit() for part in (first, second))
    say = numbers.digits if rows and max(len(first), len(second)) == 4 else numbers.cited
    spoken = f"{say(first)}{link}{say(second)}"
    if third:
        spoken += _OPERATORS[sign_2.strip()] + say(third)
    return spoken


@rule(rf"({NUMBER})(?:\^([-−]?\d+)|([²³])|([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))(?![A-Za-z])")
def _power(match: re.Match[str]) -> str:
    base = numbers.quantity(match[1])
    exponent = match[2] or {"²": "2", "³": "3"}.get(match[3] or "", "") or match[4].translate(_SUPERSCRIPTS)
    if exponent in ("2", "3"):
        return f"{base}的{'平方' if exponent == '2' else '立方'}"
    minus = exponent[0] in "-−"
    return f"{base}的{_signed('-' if minus else None, numbers.quantity(exponent.lstrip('-−')))}次方"


@rule(r"(\d)、(\d)(?=个|[十百千万亿]|" + numbers.MEASURED.pattern + ")")
def _about(match: re.Match[str]) -> str | None:
    """两三个: two neighbours with nothing between them are about that many."""
    if int(match[2]) - int(match[1]) not in (1, 2) or re.search(r"[第、\d]$", before(match)):
        return None
    return numbers.quantity(match[1], measured=True) + numbers.quantity(match[2])


@rule(
    rf"({NUMBER})({_MAGNITUDE})((?:[元块天年人个名岁次分秒米斤%]|小时|分钟|公里|公斤|万元|亿元)?)({TO}|"
    rf"[至到])({NUMBER})(?![\d:：]|-\d)"
)
def _range(match: re.Match[str]) -> str | None:
    number, magnitude, measure, link, upper = match.groups()
    following = after(match)
    before_it = before(match)
    if re.search(r"第$", before_it):
        return f"{numbers.quantity(number)}{magnitude}{measure}{to(link)}{numbers.quantity(upper)}"
    measured = bool(measure or magnitude) or bool(numbers.MEASURED.match(following.lstrip()))
    plain = link.strip() in ("-", "–", "−")
    if plain and not measure and not magnitude and _value(number) > _value(upper):
        return f"{numbers.cited(number)}比{numbers.cited(upper)}"
    begin = numbers.quantity(number, measured=measured) + magnitude.strip() + measure
    return f"{begin}{to(link)}{numbers.quantity(upper, measured=bool(numbers.MEASURED.match(following.lstrip())))}"


def _value(number: str) -> float:
    return float(number.replace(",", ""))


@rule(
    rf"({NUMBER})([kKwW])(?![A-Za-z\d])(?=\+?(?:元|块|人|次|个|多|左右|以上|粉|的?(?:工资|月薪|年薪|薪资)|$|[，。,、]))"
)
def _thousands(match: re.Match[str]) -> str | None:
    if match[2] in "kK" and len(match[1]) == 1 and not re.match(r"元|块|人|次|个|多|粉", after(match)):
        return None
    return numbers.quantity(match[1], measured=True) + {"k": "千", "w": "万"}[match[2].lower()]


@rule(rf"({NUMBER})({_MAGNITUDE})[+＋](?![\d+])")
def _and_more(match: re.Match[str]) -> str:
    return _amount(match[1], match[2]) + (
        "多" if match[2] or (int(_value(match[1])) >= 10 and match[1].endswith("0")) else "加"
    )


@rule(rf"({NUMBER}) ?([A-Za-zμ]{{2,6}}(?:/[A-Za-z]{{1,3}})?)(?![A-Za-z\d])")
def _unlisted_unit(match: re.Match[str]) -> str | None:
    return wetext_reader.read(match[1] + match[2])


@rule(rf"({_MINUS})?({NUMBER})")
def _number(match: re.Match[str]) -> str:
    """Any other number: a quantity."""
    number = match[2]
    following = after(match).lstrip()
    ranked = re.search(r"(?:第|初|高|周|星期|礼拜|农历|[一二三四五六七八九十]月)$", before(match, 2))
    if number == "2" and ranked and (ranked[0] == "第" or not re.match(r"[个次天小]", following)):
        return "二"
    if number == "2" and re.match(r"[个多余来]|(?:百)", following):
        return _signed(match[1], "二" if following.startswith("百") else "两")
    return _signed(match[1], numbers.quantity(number, measured=bool(numbers.MEASURED.match(following))))


MONEY: Final = _money
RULES: Final[tuple[Rule, ...]] = (
    _money,
    _money_behind,
    _percent_range,
    _equation,
    _percentage,
    _angle,
    _temperature_range,
    _temperature,
    _blood_pressure,
    _hours_and_minutes,
    _discount,
    _rate,
    _unit,
    _mixed_number,
    _fraction,
    _ratio,
    _about,
    _score,
    _power,
    _operation,
    _range,
    _thousands,
    _and_more,
    _unlisted_unit,
    _number,
)
