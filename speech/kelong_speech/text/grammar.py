"""Readings that the neighbours of a character decide, where no two dictionaries agree on a word it stands in.

One row a use, after 现代汉语八百词 and 现代汉语词典: measure words behind a number (两行, 一只), adjectives behind an
adverb of degree (很长), verbs before their objects and particles (种着, 系鞋带). A model that learned from Wikipedia
meets too few of these. `phrases` asks here first; the first row that fits decides.
"""

import re
from functools import cache
from typing import Final

from kelong_speech.text.pinyin import Syllable, syllable

_NUMBER: Final = "(?<=[一二两三四五六七八九十百千万几半每])"
_THIS: Final = "(?<=[一二两三四五六七八九十百千万几半每这那各某哪])"
_VERY: Final = "(?:(?<=[很太最更真挺越极])|(?<=非常)|(?<=比较)|(?<=这么)|(?<=那么))"
_DIGITS: Final = "[一二两三四五六七八九十百千万数几]"
# What 中 behind it makes a place of: 手中, 水中.
_PLACE: Final = "[手水风其空心雪雨山林图文书眼口梦云海城家画表题集当]"
_PRONOUN: Final = "(?<=[我你他她它您咱们])"

_ROWS: Final = (
    # before, the character, after, what it is then
    # measure words
    (_NUMBER, "只", "(?![是有能])", "zhi1"),
    (_NUMBER, "行", "(?![人政动车走为业驶进])", "hang2"),
    (_THIS, "种", "", "zhong3"),
    (_NUMBER, "卷", "", "juan4"),
    (_THIS, "处", "", "chu4"),
    (_THIS, "间", "", "jian1"),
    (_THIS, "场", "", "chang3"),
    (_NUMBER, "担", "", "dan4"),
    (_NUMBER, "重", "", "chong2"),
    # adjectives
    ("(?<=越)", "长", "(?=越[高大胖壮像漂美帅丑])", "zhang3"),
    (_VERY, "长", "(?![大者辈老官越])", "chang2"),
    (_VERY, "重", "(?![新复建演返叠])", "zhong4"),
    (_VERY, "好", "", "hao3"),
    ("(?<=睡)", "好", "", "hao3"),
    (_VERY, "干", "", "gan1"),
    (_VERY, "薄", "", "bao2"),
    ("(?<=[吹晒擦晾烘风烤榨抹拧沥])", "干", "", "gan1"),
    # verbs
    ("", "长", "(?=[着出成满高大胖起])", "zhang3"),
    ("", "种", "(?=[了着过下上花树菜地田])", "zhong4"),
    ("", "背", "(?=着[^我你他她它人]|起)", "bei1"),
    ("(?<![个人次总])", "数", "(?=一数|了|着|过|清|完|到[一二三四五六七八九十百])", "shu3"),
    ("(?<=数了)", "数", "", "shu3"),
    ("(?<![个用总数流])", "量", "(?=一下|一量|了|过|着|体|身|血|尺)", "liang2"),
    ("", "教", "(?=[我你他她它咱您给了过]|徒弟)", "jiao1"),
    (f"(?<!{_PLACE})", "中", "(?=[了奖毒风弹标])(?!标[有着注明示出])", "zhong4"),
    ("(?<![摔跌推打拉绊晕昏病颠压撞])", "倒", "(?=[杯水茶酒垃进掉满出])", "dao4"),
    ("", "调", "(?=[成低高大小慢快]|到[一二三四五六七八九十两零百]+[度档格倍分])", "tiao2"),
    ("(?<=[下上微])", "调", "", "tiao2"),
    ("", "切", "(?=[丁片块成丝开断])", "qie1"),
    ("", "系", "(?=[鞋绳扣腰好紧着住]|领(?!导)|围(?!绕)|安全)", "ji4"),
    ("", "转", "(?=个不停)", "zhuan4"),
    ("", "还", "(?=给(?!.{1,3}[买打做带写发唱讲说])|清(?![楚晰醒])|[我你他她您]$)", "huan2"),
    ("(?<=要)", "还", "(?=[一二三四五六七八九十百千万两几])", "huan2"),
    ("", "卷", "(?=[起着成])", "juan3"),
    ("", "应", "(?=[设为在由从按以尽把将注及])", "ying1"),
    ("", "应", "(?=保[持证留]|加[强以]|采[取用]|确[保认]|避免|严[格禁]|提[高前供交]|遵守|立即|根据|具有)", "ying1"),
    ("", "应", "(?=包括|符合|考虑|使用|享有|承担|支付)", "ying1"),
    ("(?<!里)(?<![一二三四五六七八九十百])", "弄", "(?=.)(?![堂巷口内号])", "nong4"),
    ("", "撒", "(?=[上在满种播豆盐糖粉]|下种|了[些点]|一[把层些])", "sa3"),
    ("", "喝", "(?=一声|[令止问退])", "he4"),
    ("(?<![丰茂旺强兴鼎昌])", "盛", "(?=[饭米汤粥菜酒满了着出]|水(?!期))", "cheng2"),
    ("", "刨", "(?=[坑土根地洞出去除了])", "pao2"),
    ("(?<=[所馆])", "藏", "", "cang2"),
    ("", "炸", "(?=[鸡鱼虾薯糕酱]|到.{0,2}[金酥焦]|[一二两三四五六七八九十几半]+分)", "zha2"),
    ("", "尽", "(?=[得知交收失归属是显享弃毁废其皆善])", "jin4"),
    ("", "挑", "(?=[水担粪土柴]|着[担水])", "tiao1"),
    ("", "划", "(?=[船桨艇舟破伤])", "hua2"),
    ("(?<![店商药当床卧])", "铺", "(?=[设开满平散成好上在着了])", "pu1"),
    ("", "冲", "(?=[我你他她它您]|着[我你他她它您人])", "chong4"),
    ("(?<=[我你他她们爷奶爸妈农民])", "种", "(?=的)", "zhong4"),
    ("", "吐", "(?=[血奶泻得]|了一?[天夜地身床])", "tu4"),
    # nouns
    ("", "率", f"(?={_DIGITS}+多?[余名人骑兵军])", "shuai4"),
    ("(?<=..)", "率", "(?![领先真直]|.{0,4}[队众兵部军师旅舰])", "lv4"),
    ("(?<=[参裨偏])", "将", "", "jiang4"),
    ("", "都", "(?=指挥使|统制|转运使|总管)", "du1"),
    ("(?<=[古松翠苍侧圆扁])", "柏", "", "bai3"),
    ("", "葛", "(?=[属根粉布藤麻])", "ge2"),
    ("(?:(?<=操纵)|(?<=驾驶)|(?<=控制)|(?<=变速))", "杆", "", "gan3"),
    ("(?<=[实质俭纯古淳])", "朴", "", "pu3"),
    ("", "朴", "(?=[拙实素质])", "pu3"),
    ("(?:(?<=[东西]南)|(?<=[东西]北))", "边", "(?![境界疆防陲缘])", "bian5"),
    ("(?:(?<=块块)|(?<=片片)|(?<=成[块片]))", "地", "", "de5"),
    ("(?<=[块片])", "地", "", "di4"),
    ("(?:(?<=睡.)|(?<=睡..)|(?<=睡...)|(?<=[一午]))", "觉", "(?![得察悟醒])", "jiao4"),
    # words of grammar
    ("^", "为", "(?!.{1,6}所(?!有))", "wei4"),
    ("(?<![以视称].)(?<![以视称]..)(?<![以视称]...)", "为", "(?=[我你他她您咱])(?!.{1,6}所(?!有))", "wei4"),
    ("", "好", "(?=几)", "hao3"),
    (_PRONOUN, "得", "(?=[奖病胜救])", "de2"),
    (_PRONOUN, "得", "(?![了到分出不很太])", "dei3"),
    ("(?<=.)", "得", "(?=不[了着到])", "de2"),
    ("(?<=.)", "得", "(?=很|太|更|最|特别|非常|这么|那么)", "de5"),
)


@cache
def _rows() -> dict[str, list[tuple[re.Pattern[str], Syllable]]]:
    found: dict[str, list[tuple[re.Pattern[str], Syllable]]] = {}
    for before, char, after, said in _ROWS:
        found.setdefault(char, []).append((re.compile(before + char + after), syllable(said)))
    return found


def reading(text: str, place: int) -> Syllable | None:
    """What the neighbours make of the character at `place` in a phrase; None if they decide nothing."""
    for pattern, said in _rows().get(text[place], ()):
        if pattern.match(text, place):
            return said
    return None
