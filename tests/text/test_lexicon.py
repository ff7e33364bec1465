"""The lexicon of a resource: words said as it says, the longest first, and bad entries named."""

from collections.abc import Callable

import pytest
from kelong_speech.text import frontend, symbols

LEXICON = {
    "重庆": "chong2 qing4",
    "银行": "yin2 xing2",
    "银行行长": "yin2 hang2 hang2 zhang3",
    "朴": "piao2",
    "AI": "ei1 ai4",
    "Tesla": "te4 si1 la1",
    "5G": "wu3 ji4",
    "C++": "xi1 jia1 jia1",
    "卡拉OK": "ka3 la1 ou1 kei4",
    "绿": "lü4",
    "女人": "nu:3 ren2",
    "2024": "er4 ling2 er4 si4",
    "玩儿": "wanr2",
    "孩儿": "hai2 er5",
    "度": "duo2",
    "100": "yao1 ling2 ling2",
    "Wi Fi": "wai1 fei1",
    "我A": "wo3 ei1",
}

ROWS = [
    ("朴先生", "piao2 xian1 sheng5"),
    ("银行", "yin2 xing2"),
    ("银行行长", "yin2 hang2 hang2 zhang3"),
    ("绿", "lv4"),
    ("女人", "nv3 ren2"),
    ("女[nv2]人", "nv2 ren2"),
    ("不朴[pu3]", "bu4 pu3"),
    ("玩儿", "war2"),
    ("我们玩儿吧", "wo3 men5 war2 ba5"),
    ("小孩儿", "xiao3 hai2 er5"),
    ("36.5度", "san1 shi2 liu4 dian2 wu3 du4"),
    ("角度", "jiao3 duo2"),
    ("1100米", "yi4 qian1 yi4 bai2 mi3"),
    ("1,100", "yi4 qian1 yi4 bai3"),
    ("100", "yao1 ling2 ling2"),
]

# written, spoken, phones
LATIN = [
    ("AI好", "AI好", "EE ei AA ai h ao"),
    ("我用Tesla", "我用Tesla", "w o y ong t e s i0 l a"),
    ("5G网", "5G网", "w u j i w ang"),
    ("C++好", "C++好", "x i j ia j ia h ao"),
    ("卡拉OK", "卡拉OK", "k a l a OO ou k ei"),
    ("Wi Fi好", "Wi Fi好", "w ai f ei h ao"),
    # a bracket goes before the lexicon, and nothing of the lexicon's word is lost by it
    ("5G[wu3 ge4]", "5G", "w u g e"),
    ("我A5G[wu3]", "我A5G", "w o w u"),
    ("卡拉OK[ou1 kai1]", "卡拉OK", "k a l a OO ou k ai"),
]


@pytest.fixture(scope="module")
def front_end() -> frontend.FrontEnd:
    return frontend.FrontEnd(lexicon=frontend.Lexicon.from_entries(LEXICON))


@pytest.mark.parametrize(("written", "said"), ROWS)
def test_a_word_of_the_lexicon_is_said_as_it_says(
    front_end: frontend.FrontEnd, spelled: Callable[[frontend.Utterance], str], written: str, said: str
) -> None:
    assert spelled(front_end.analyse(written)) == said


@pytest.mark.parametrize(("written", "spoken", "phones"), LATIN)
def test_a_latin_word_may_be_said_in_chinese(
    front_end: frontend.FrontEnd, written: str, spoken: str, phones: str
) -> None:
    said = front_end.analyse(written)
    assert said.spoken == spoken
    assert " ".join(said.phones[1:-1]) == phones
    assert set(said.language_ids) == {symbols.LANGUAGE_IDS["ZH"]}


def test_a_word_is_not_found_inside_a_longer_latin_word(front_end: frontend.FrontEnd) -> None:
    assert front_end.analyse("MAIL").phones == frontend.analyse("MAIL").phones
    assert front_end.analyse("说AI吧").phones != frontend.analyse("说AI吧").phones


def test_a_word_is_not_found_inside_a_longer_number(front_end: frontend.FrontEnd) -> None:
    assert front_end.analyse("15G").phones == frontend.analyse("15G").phones
    assert front_end.analyse("12024年").phones == frontend.analyse("12024年").phones


def test_a_bracket_for_a_part_of_a_word_of_the_lexicon_leaves_the_rest_as_it_is(front_end: frontend.FrontEnd) -> None:
    assert front_end.analyse("Wi Fi[fei1]") == frontend.analyse("Wi Fi[fei1]")
    assert frontend.analyse("Wi Fi[fei1]").spoken == "WiFi"


def test_a_bracket_wins_against_a_number_or_says_that_it_cannot(front_end: frontend.FrontEnd) -> None:
    with pytest.raises(frontend.UnspeakableText, match="The pinyin after 度 cannot be used"):
        front_end.analyse("36.5度[duo2]")


def test_neighbours_change_by_the_readings_of_the_lexicon() -> None:
    front_end = frontend.FrontEnd(lexicon=frontend.Lexicon.from_entries({"AI": "ai4"}))
    assert front_end.analyse("不AI").tones[1] == 2
    assert front_end.analyse("一AI").tones[1] == 2


def test_its_words_keep_their_spans(front_end: frontend.FrontEnd) -> None:
    said = front_end.analyse("在 卡拉OK")
    assert said.spans == ((0, 1), (2, 6), (2, 6), (2, 6), (2, 6))


def test_the_original_reads_without_a_lexicon() -> None:
    lexicon = frontend.Lexicon.from_entries({"银行": "yin2 xing2"})
    original = frontend.Profile.AS_ORIGINAL
    assert frontend.analyse("银行", original, lexicon) == frontend.analyse("银行", original)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"重庆": "chong qing4"}, "'重庆' has the entry 'chong qing4', expected pinyin syllables with their tones"),
        ({"重庆": "chong2 qinq4"}, "expected pinyin syllables"),
        ({"重庆": ""}, "expected pinyin syllables"),
        ({"重庆": "chong2"}, "'chong2' of 1 syllables for 2 characters, expected one for each"),
        ({"玩儿": "wan2 wanr2"}, "of 3 syllables for 2 characters"),
        ({"玩耍": "wanr2"}, "only 儿 colours the syllable before it"),
        ({"Wi Fi": "wai1 fai1"}, "expected pinyin syllables"),
        ({"AI": "ai4 " * 33}, "of 33 syllables, expected at most 32"),
        ({"": "ai4"}, "'' is no word"),
        ({"a[b]": "ai4"}, r"'a\[b\]' is no word"),
        ({"，": "dou4"}, "no letter, digit or Chinese character in the word"),
        ({"好": "hao9", "行": "xing"}, r"'好' has the entry 'hao9'.*; '行' has the entry 'xing'"),
    ],
)
def test_a_bad_entry_is_named_with_its_word(entries: dict[str, str], message: str) -> None:
    with pytest.raises(frontend.BadLexicon, match=message):
        frontend.Lexicon.from_entries(entries)
