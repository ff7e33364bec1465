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
    ("重", "箱子很重", "zhong4", "他越重复越糊涂", "chong2"),
    ("地", "一块地", "di4", "雪花一片片地飘落", "de5"),
    ("倒", "倒出水来", "dao4", "他跌倒出血了", "dao3"),
    ("为", "为我们唱歌", "wei4", "以他为我们的榜样", "wei2"),
    ("为", "为你好", "wei4", "为他所用", "wei2"),
    ("量", "量过体温", "liang2", "这个量过大", "liang4"),
    ("数", "我数过了", "shu3", "这个数过大", "shu4"),
    ("教", "他教徒弟", "jiao1", "教徒很多", "jiao4"),
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
