"""Arabic numerals in Chinese characters: as quantities, digit by digit, and with the right word for two.

Which of them a number wants is for the tables of rules to say (`dates`, `codes`, `quantities`, `signs`). Sources:
GB/T 15835-2011 for what is a quantity and what a row of digits, 现代汉语八百词 (二, 两) for 两: it is said before
measure words and at the head of 千, 万 and 亿, 二 everywhere else.
"""

import re
from typing import Final

from kelong_speech.text.rules import words

_ARABIC: Final = "0123456789"
_DIGITS: Final = "零一二三四五六七八九"
_TELEPHONE_DIGITS: Final = _DIGITS.replace("一", "幺")
_SMALL_UNITS: Final = ("", "十", "百", "千")
_LARGE_UNITS: Final = ("", "万", "亿", "万亿")
_MOST_DIGITS: Final = 16

CITED_ONE: Final = "\ue001"
"""Stands for a 一 that no neighbour changes; `normalise` writes 一 and fixes its tone."""

# What 2 is 两 before. A look-ahead keeps out words in which the 2 is a rank or part of a name: 二年级, 二次元, 二人转.
MEASURES: Final = words("""
    个 只 条 张 把 位 名 件 台 辆 架 艘 座 栋 幢 间 套 本 册 篇 首 句 段 页 行 字 口 头 匹 群 双 对 副 瓶 杯 碗 盘
    盒 包 袋 箱 桶 罐 壶 勺 片 块 粒 颗 滴 根 支 枝 棵 株 朵 束 串 堆 层 回 遍 趟 场 顿 番 下 声 步 圈 天 周 星期
    礼拜 小时 分钟 秒 刻钟 夜 晚 季 代 岁 倍 米 厘米 毫米 微米 纳米 公里 千米 公分 英里 海里 英尺 英寸 尺 寸 里 亩
    公顷 平方 平米 立方 克 千克 毫克 公斤 斤 吨 升 毫升 磅 盎司 美元 欧元 英镑 日元 韩元 港元 港币 美金 卢布 法郎 千
    万 亿 种 类 项 门 道 家 所 户 国 省 市 县 村 组 排 队 辈 部 批 股 笔 份 封 则 幅 面 扇 顶 床 枚 发 挺 节 课 局
    轮 球 者 派 极 侧 边 端 方 岸 地 党 院 校 匙 勺子 汤匙 茶匙 毛 角 摄氏度 华氏度 度 分 成 伏 瓦 千瓦 安 帕 兆
    赫兹 焦耳 卡 大 万元 瓣 撮 捧 打 箩 筐 车 船 艇 桌 屋 身 脸 手 宗 桩 起 例 处 点 厅 室 卫 居 跳 拍 针 剂 贴 挂
    通 阵 缕 丝 丛 列 摞 叠 沓 卷 轴 管 截
""")
_NOT_MEASURED: Final = (
    r"年级|年生|年制|次元|次方|次函|次曲|次项|人转|人世界|元论|元方程|元一次|元二次|分之|手车|手房|手货|手烟|手书|"
    r"级|等奖|线城|胎|维|战|进制|氧化|硫化|月|日|号|楼|路|环|折|把手|地主|道贩|方面军|把刀|道杠|百五|队长|排长|"
    r"类人|代身份|代证"
)
MEASURED: Final = re.compile(
    rf"(?!{_NOT_MEASURED})(?:{'|'.join(sorted(MEASURES, key=len, reverse=True))}|年|人|次|元|成)"
)


def digits(number: str) -> str:
    """Digit by digit: `2024` is 二零二四. What is no digit is left out."""
    return "".join(_DIGITS[int(digit)] for digit in number if digit in _ARABIC)


def telephone(number: str) -> str:
    """Digit by digit as telephone numbers, rooms and codes are read, with 幺 for 1: `110` is 幺幺零."""
    return "".join(_TELEPHONE_DIGITS[int(digit)] for digit in number if digit in _ARABIC)


def cited(number: str) -> str:
    """A quantity in a sum or a score, where a lone 1 keeps the first tone: 1+1 is yī jiā yī."""
    return CITED_ONE if number == "1" else quantity(number)


def quantity(number: str, *, measured: bool = False) -> str:
    """`1,093` is 一千零九十三, `12.5` 十二点五, `007` 零零七; `measured` makes a plain 2 两.

    More than 16 digits are read one by one.
    """
    whole, point, decimals = number.replace(",", "").partition(".")
    if measured and whole == "2" and not point:
        return "两"
    spoken = digits(whole) if len(whole) > _MOST_DIGITS or (whole[0] == "0" and len(whole) > 1) else _whole(int(whole))
    return f"{spoken}点{digits(decimals)}" if point else spoken


def _whole(number: int) -> str:
    if number == 0:
        return "零"
    groups = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    spoken = ""
    for place in range(len(groups) - 1, -1, -1):
        group = groups[place]
        if not group:
            continue
        part = _group(group, at_head=not spoken, has_unit=place > 0)
        # 二万零五百: a zero stands for what is missing between two groups.
        gap = bool(spoken) and (group < 1000 or not groups[place + 1])
        unit = "万" if place == 3 and groups[2] else _LARGE_UNITS[place]
        spoken += ("零" if gap else "") + part + unit
    return spoken.removeprefix("一") if spoken.startswith("一十") else spoken


def _group(number: int, *, at_head: bool, has_unit: bool) -> str:
    """A number below 10000. 两 leads 千 and, standing alone, 万 and 亿; only at the head of the whole number."""
    if at_head and has_unit and number == 2:
        return "两"
    spoken, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if not digit:
            gap = bool(spoken)
            continue
        name = "两" if at_head and not spoken and digit == 2 and place == 3 else _DIGITS[digit]
        spoken += ("零" if gap else "") + name + _SMALL_UNITS[place]
        gap = False
    return spoken
