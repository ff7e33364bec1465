"""Words that nobody said, and words like them that somebody did."""

import pytest
from kelong_contract.corpora import Stretch, Word
from kelong_trainer.corpus.words import inventions

SPEECH = (Stretch(start_s=0.0, end_s=4.0), Stretch(start_s=20.0, end_s=24.0))


def said(text, start_s, s_each=0.2):
    return [
        Word(text=char, start_s=start_s + index * s_each, end_s=start_s + (index + 1) * s_each, probability=0.9)
        for index, char in enumerate(text)
    ]


def text(words):
    return "".join(word.text for word in words)


def test_words_where_nobody_speaks_are_dropped():
    words = [*said("今天我们去公园散步", 1.0), *said("请", 10.0), *said("天气很好", 20.5)]
    assert text(inventions.believed(words, SPEECH, 0.1)) == "今天我们去公园散步天气很好"


@pytest.mark.parametrize("credit", ["字幕by索兰娅", "谢谢观看", "请不吝点赞 订阅 转发", "由 Amara.org 社群提供的字幕"])
def test_what_subtitles_end_with_is_dropped_at_silence_only(credit):
    near_silence = [*said("天气很好", 23.0), *said(credit, 24.2, 0.05)]
    assert text(inventions.believed(near_silence, SPEECH, 0.1)) == "天气很好"
    spoken = said(credit, 20.0, 0.15)
    assert text(inventions.believed(spoken, SPEECH, 0.1)) == credit
    assert inventions.believed(spoken, SPEECH, 0.7) == ()


def test_the_prompt_is_never_believed():
    words = [*said("以下是普通话的句子", 0.0), *said("。天气很好", 2.0)]
    assert text(inventions.believed(words, SPEECH, 0.1)) == "。天气很好"


def test_nothing_is_believed_when_the_recogniser_hears_nobody():
    assert inventions.believed(said("试试", 1.0), SPEECH, 0.93) == ()
