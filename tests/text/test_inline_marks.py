"""Pauses, breaths and pinyin that the writer puts into the text in brackets."""

import re
from collections.abc import Callable

import pytest
from kelong_speech.text import frontend, utterance

ROWS = [
    ("你好[sp2]世界", "ni2 hao3 sp2 shi4 jie4"),
    ("[br2]你好，[sp1]世界[sp4]", "br2 ni2 hao3 , sp1 shi4 jie4 sp4"),
    ("我[sp3]走", "wo3 sp3 zou3"),
    ("不[br1]去", "bu4 br1 qu4"),
    ("1[sp1]2", "yi1 sp1 er4"),
    ("[br1]", "br1"),
    ("人行[xing2]道", "ren2 xing2 dao4"),
    ("他一行[hang2]", "ta1 yi4 hang2"),
    ("重[chong2]了3次", "chong2 le5 san1 ci4"),
    ("我好[hao4]学", "wo3 hao4 xue2"),
    ("不好[hao4]", "bu2 hao4"),
    ("一[yi1]天", "yi1 tian1"),
    ("女[nü3]儿[er5]", "nv3 er5"),
    ("绿[lu:4]", "lv4"),
    ("𠮷[ji2]", "ji2"),
    ("银行[yin2 xing2]", "yin2 xing2"),
    ("去银行[hang4]吧", "qu4 yin2 hang4 ba5"),
    ("去中国银行[yin2 xing2]吧", "qu4 zhong1 guo2 yin2 xing2 ba5"),
    ("（[sp1]）好", "' sp1 ' hao3"),
    ("[笑]好", "' xiao4 ' hao3"),
    ("玩儿[wanr2]", "war2"),
    ("去玩儿[war4]吧", "qu4 war4 ba5"),
]

FOUND = re.compile(r"\[(\w+)\]").finditer


@pytest.mark.parametrize(("written", "said"), ROWS)
def test_a_mark_is_said_where_it_stands(read: Callable[[str], str], written: str, said: str) -> None:
    assert read(written) == said


def test_a_pause_has_tone_0_one_phone_and_is_nothing_to_the_text_encoder() -> None:
    utterance = frontend.analyse("你[sp2]好")
    assert utterance.phones == ("_", "n", "i", "sp2", "h", "ao", "_")
    assert utterance.tones == (0, 3, 3, 0, 3, 3, 0)
    assert utterance.word2ph == (1, 3, 2, 1)
    assert utterance.spoken == "你好"
    assert frontend.analyse("[br1]你").word2ph == (2, 2, 1)


@pytest.mark.parametrize("written", ["[br2]你好，[sp1]世界[sp4]", "你好！[sp2][br1][sp1]世界", "有100[sp1]元"])
def test_marks_given_by_their_place_are_said_like_those_in_the_text(written: str) -> None:
    plain = re.sub(r"\[\w+\]", "", written)
    marks = [(found[1], len(re.sub(r"\[\w+\]", "", written[: found.start()]))) for found in FOUND(written)]
    marked, inline = frontend.analyse(plain).with_marks(marks), frontend.analyse(written)
    for name in ("spoken", "phones", "tones", "word2ph", "language_ids"):
        assert getattr(marked, name) == getattr(inline, name), name


def test_a_mark_inside_of_a_number_comes_after_it() -> None:
    assert frontend.analyse("有25个").with_marks([("sp1", 2)]).phones[-5:-1] == ("u", "sp1", "g", "e")


def test_what_is_no_mark_cannot_be_put_into_an_utterance() -> None:
    with pytest.raises(ValueError, match="'sp9' is no mark, expected one of sp1"):
        frontend.analyse("你好").with_marks([("sp9", 1)])


@pytest.mark.parametrize(
    ("written", "spoken", "phones"),
    [
        ("AI[ei1 ai4]好", "AI好", "EE ei AA ai h ao"),
        ("学C++[xi1 jia1 jia1]", "学C++", "x ve x i j ia j ia"),
        ("5G[wu3 ji4]", "5G", "w u j i"),
        ("U.S.[mei3 guo2]好", "U.S.好", "m ei g uo h ao"),
        ("3.5[san1]好", "3.5好", "s an h ao"),
        ("说iPhone[ai4 feng5]吧", "说iPhone吧", "sh uo AA ai f eng b a"),
    ],
)
def test_several_syllables_behind_a_latin_word_are_the_words(written: str, spoken: str, phones: str) -> None:
    said = frontend.analyse(written)
    assert said.spoken == spoken
    assert " ".join(said.phones[1:-1]) == phones
    assert set(said.language_ids) == {0}


def test_a_bracket_is_for_the_word_before_it_and_not_for_the_sentence_before_that() -> None:
    said = frontend.analyse("OK.AI[ei1 ai4]")
    assert "AI" in said.spoken and "OK" in said.spoken
    assert set(said.language_ids[1:3]) == {2}
    assert said.phones[-5:-1] == ("EE", "ei", "AA", "ai")


def test_a_coloured_syllable_needs_its_er() -> None:
    with pytest.raises(frontend.UnspeakableText, match="written with a 儿"):
        frontend.analyse("游玩[wanr2]")


def test_a_bracket_belongs_to_the_span_of_what_it_stands_behind() -> None:
    assert frontend.analyse("行[hang2]业").spans == ((0, 8), (8, 9))
    assert frontend.analyse("[sp2]好").spans == ((5, 6),)
    assert frontend.analyse("AI[ei1 ai4]好").spans == ((0, 11), (0, 11), (11, 12))


def test_pinyin_for_a_character_that_is_read_as_part_of_a_number_is_refused() -> None:
    with pytest.raises(
        frontend.UnspeakableText, match="after 小 cannot be used: 60公里/小时 is read as 每小时六十公里"
    ) as refusal:
        frontend.analyse("60公里/小[xiao3]时")
    assert refusal.value.position == 5


@pytest.mark.parametrize(
    ("written", "slip", "meant"),
    [
        ("银行[hang2", "[hang2", "[hang2]"),
        ("他行[hang2，走了", "[hang2", "[hang2]"),
        ("你好【hao3】", "【hao3】", "[hao3]"),
        ("一行(hang2)字", "(hang2)", "[hang2]"),
        ("银行（yin2 hang2）里", "（yin2 hang2）", "[yin2 hang2]"),
        ("好[hǎo]学", "[hǎo]", "[hao3]"),
        ("绿[lǜ]", "[lǜ]", "[lv4]"),
    ],
)
def test_a_slip_in_a_mark_is_refused_with_what_was_meant(
    read: Callable[[str], str], written: str, slip: str, meant: str
) -> None:
    with pytest.raises(utterance.UnspeakableText, match=re.escape(f"{slip} is no reading")) as refusal:
        read(written)
    assert meant in str(refusal.value)
    assert refusal.value.position == written.index(slip)


@pytest.mark.parametrize("written", ["他（Tom）走了", "型号（A3）好", "说（ok）吧", "好（hao）学", "看[图1]"])
def test_what_is_no_pinyin_with_a_tone_may_stand_in_brackets(read: Callable[[str], str], written: str) -> None:
    assert read(written)
