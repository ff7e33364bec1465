"""A long text becomes pieces that join to the text, cut where a reader would breathe."""

import hypothesis
import hypothesis.strategies as st
import pytest
from kelong_speech import script
from kelong_speech.text import frontend


def test_a_short_text_stays_whole():
    assert script.split("你好。世界。", 80) == ["你好。世界。"]


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("今天很好。明天更好！后天呢？", 10, ["今天很好。明天更好！", "后天呢？"]),
        ("他说：“走吧。”我们就走了。", 8, ["他说：“走吧。”", "我们就走了。"]),
        ("一二三四五，六七八九十，甲乙丙丁。", 12, ["一二三四五，六七八九十，", "甲乙丙丁。"]),
        ("一二三四五六七八九十", 4, ["一二三四", "五六七八", "九十"]),
        ("好好好好2024年", 6, ["好好好好", "2024年"]),
        ("这是第一段\n这是第二段", 6, ["这是第一段\n", "这是第二段"]),
        ("好啊！！！……行吧。", 5, ["好啊！！！……", "行吧。"]),
    ],
)
def test_it_is_cut_at_sentences_then_commas_then_anywhere(text, limit, parts):
    assert script.split(text, limit) == parts


@hypothesis.given(st.text(alphabet="你好世界一2a，。！？…\n”[] ", max_size=60), st.integers(1, 20))
def test_the_parts_join_to_the_text_and_none_is_silent(text, limit):
    parts = script.split(text, limit)
    assert "".join(parts) == text
    if any(char.isalnum() for char in text):
        assert all(any(char.isalnum() for char in part) for part in parts)


MARKED = "绿[lu:4]，去银行[yin2 hang2][sp2]吧AI[ei1 ai4]。"


@pytest.mark.parametrize("offset", range(26))
@pytest.mark.parametrize("limit", [3, 8, 20])
def test_no_reading_is_cut_from_its_characters(offset, limit):
    text = "好" * offset + MARKED + "好" * 30
    parts = script.split(text, limit)
    assert "".join(parts) == text
    for mark in ("绿[lu:4]", "银行[yin2 hang2]", "AI[ei1 ai4]", "[sp2]"):
        assert sum(mark in part for part in parts) == 1
    pieces = script.read(text, max_characters=limit).pieces
    assert "'" not in "".join(piece.utterance.spoken for piece in pieces)


def test_brackets_without_end_are_split_in_no_time():
    assert "".join(script.split("[a" * 2000 + "[b]" * 2000, 80)) == "[a" * 2000 + "[b]" * 2000


def test_pauses_stand_between_pieces_and_are_longer_between_paragraphs():
    lines = script.read("今天很好。明天更好。\n后天也很好。", max_characters=6)
    assert [piece.pause_before_s for piece in lines.pieces] == [0.0, 0.2, 0.5]
    assert lines.pieces[0].utterance.spoken == "今天很好."


def test_an_unspeakable_place_is_counted_in_the_whole_text():
    text = "今天很好。明天更好。这里有☃。"
    with pytest.raises(frontend.UnspeakableText) as whole:
        frontend.analyse(text)
    with pytest.raises(frontend.UnspeakableText) as pieced:
        script.read(text, max_characters=6)
    assert pieced.value.position == whole.value.position == text.index("☃")
