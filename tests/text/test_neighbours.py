"""Readings that neighbours decide, each beside a sentence that looks alike and is read otherwise."""

from collections.abc import Callable

import pytest
from kelong_speech.text import frontend

# character, a sentence in which its neighbours decide, its reading there, one in which they must not, its reading there
PAIRS = [
    ("率", "死亡率三年来下降", "lv4", "将军率三千人马", "shuai4"),
    ("调", "空调调到二十六度", "tiao2", "他调到三班", "diao4"),
    ("调", "把声音调到三十分贝", "tiao2", "调到两点开会", "diao4"),
    ("中", "他们中标了", "zhong4", "手中标有数字", "zhong1"),
    ("中", "他中弹了", "zhong4", "他手中弹着琴", "zhong1"),
    ("中", "小心中毒", "zhong4", "水中毒物很多", "zhong1"),
    ("得", "我得走了", "dei3", "他得奖了", "de2"),
    ("得", "你得去", "dei3", "她得病了", "de2"),
    ("还", "把钱还清", "huan2", "我还清楚地记得", "hai2"),
    ("系", "系领带", "ji4", "系领导来了", "xi4"),
    ("长", "这条路很长", "chang2", "他越长越高", "zhang3"),
    ("长", "他一年就长了十厘米", "zhang3", "裤子太长了一点", "chang2"),
    ("散", "我们出去散散心", "san4", "他爱写散文", "san3"),
    ("慌", "心里闷得慌", "huang5", "他觉得慌", "huang1"),
    ("重", "箱子很重", "zhong4", "他越重复越糊涂", "chong2"),
    ("地", "一块地", "di4", "雪花一片片地飘落", "de5"),
    ("倒", "倒出水来", "dao4", "他跌倒出血了", "dao3"),
    ("为", "为我们唱歌", "wei4", "以他为我们的榜样", "wei2"),
    ("为", "为你好", "wei4", "为他所用", "wei2"),
    ("量", "量过体温", "liang2", "这个量过大", "liang4"),
    ("数", "我数过了", "shu3", "这个数过大", "shu4"),
    ("教", "他教徒弟", "jiao1", "教徒很多", "jiao4"),
    ("率", "就业率上升了", "lv4", "粟裕率新四军进城", "shuai4"),
    ("应", "房间应保持通风", "ying1", "他应邀来访", "ying4"),
    ("弄", "把羽毛弄干", "nong4", "他住在三弄五号", "long4"),
    ("撒", "撒上一层盐", "sa3", "撒开腿就跑", "sa1"),
    ("喝", "他大喝一声", "he4", "他大喝一杯", "he1"),
    ("盛", "给他盛了一碗饭", "cheng2", "荷花盛开了", "sheng4"),
    ("刨", "狗在地上刨坑", "pao2", "木匠刨平木板", "bao4"),
    ("藏", "庙里所藏佛像", "cang2", "藏语很美", "zang4"),
    ("炸", "再炸三分钟", "zha2", "他们炸桥", "zha4"),
    ("尽", "风光尽收眼底", "jin4", "尽快回信", "jin3"),
    ("挑", "和尚挑水喝", "tiao1", "他挑起争端", "tiao3"),
    ("划", "他划破了手", "hua2", "划出一条线", "hua4"),
    ("铺", "路上铺满了花", "pu1", "他睡上铺", "pu4"),
    ("冲", "他冲着我笑", "chong4", "水冲着石头", "chong1"),
    ("种", "妈妈种的花", "zhong4", "哪种的便宜", "zhong3"),
    ("吐", "他吐了一地", "tu4", "他吐了一口痰", "tu3"),
    ("将", "他升为参将", "jiang4", "他将离开", "jiang1"),
    ("都", "官至都指挥使", "du1", "他们都指挥过乐队", "dou1"),
    ("柏", "门前有两棵古柏", "bai3", "他去柏林", "bo2"),
    ("葛", "葛属植物", "ge2", "他姓葛", "ge3"),
    ("杆", "拉动操纵杆", "gan3", "电线杆倒了", "gan1"),
    ("朴", "文字朴拙", "pu3", "他姓朴", "piao2"),
    ("边", "公园的西南边", "bian5", "西南边境", "bian1"),
]
ROWS = [(row[0], *row[place : place + 2]) for row in PAIRS for place in (1, 3)]


@pytest.mark.parametrize(("char", "text", "said"), ROWS)
def test_neighbours_decide_only_where_they_can(
    spelled: Callable[[frontend.Utterance], str], char: str, text: str, said: str
) -> None:
    syllables = spelled(frontend.analyse(text)).split()
    readings = {reading for place, reading in enumerate(syllables) if text[place] == char}
    tones = {said, said[:-1] + "2"} if said[-1] == "3" else {said}  # a third tone rises before another
    assert readings & tones
