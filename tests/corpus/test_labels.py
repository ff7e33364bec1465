"""Words handed to stretches of speech, and the text that becomes of them."""

import pytest
from kelong_contract import corpora
from kelong_trainer.corpus.listening import pauses
from kelong_trainer.corpus.words import labels


def units(*spans):
    return [pauses.Run(first=round(start * 100), end=round(end * 100)) for start, end in spans]


def word(text, start_s, end_s, probability=0.9):
    return corpora.Word(text=text, start_s=start_s, end_s=end_s, probability=probability)


@pytest.mark.parametrize(
    ("start_s", "end_s", "unit"),
    [(0.5, 0.7, 0), (1.8, 2.1, 0), (1.9, 2.3, 0), (2.2, 3.1, 1), (2.6, 3.2, 1), (-0.2, 0.0, 0), (9.0, 9.5, 2)],
)
def test_a_word_goes_where_its_middle_lies_or_to_the_nearest_speech(start_s, end_s, unit):
    found = labels.assign([word("好", start_s, end_s)], units((0, 2), (2.5, 4), (5, 6)))
    assert [len(part) for part in found] == [int(index == unit) for index in range(3)]


def test_a_word_that_lies_hardly_before_a_pause_goes_behind_the_mark_before_it():
    words = [word("猫，", 1.4, 1.8), word("每", 1.85, 2.05), word("只", 2.4, 2.6)]
    assert [len(part) for part in labels.assign(words, units((0, 2), (2.2, 4)))] == [1, 2]
    late = [word("猫", 2.15, 2.31), word("吗，", 2.2, 2.4), word("每", 2.6, 2.8)]
    assert [len(part) for part in labels.assign(late, units((0, 2), (2.2, 4)))] == [2, 1]
    clearly = [word("猫，", 1.0, 1.3), word("但是", 1.4, 1.9), word("只", 2.4, 2.6)]
    assert [len(part) for part in labels.assign(clearly, units((0, 2), (2.2, 4)))] == [2, 1]


def test_words_out_of_order_are_each_assigned_once():
    words = [word("一", 5.1, 5.2), word("二", 0.1, 0.2), word("三", 2.6, 2.7)]
    found = labels.assign(words, units((0, 2), (2.5, 4), (5, 6)))
    assert [[item.text for item in part] for part in found] == [["二"], ["三"], ["一"]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["你", "好。", "再", "见？"], "你好。再见？"),
        (["，", "你", "好"], "你好"),
        ([" hello", " world", "你", " OK", "吗。"], "hello world你OK吗。"),
        ([" 你好", " 世界"], "你好世界"),
    ],
)
def test_words_are_joined_without_loose_space_and_begin_with_no_mark(words, text):
    assert labels.label(word(item, 0, 0) for item in words).text == text


@pytest.mark.parametrize("words", [[], ["，", "。"], [" "]])
def test_without_a_word_there_is_no_label(words):
    assert labels.label(word(item, 0, 0) for item in words) is None


def test_confidence_weighs_words_by_their_length():
    label = labels.label([word("好", 0, 1, 0.4), word("再见吗", 1, 2, 0.8)])
    assert label == labels.Label(text="好再见吗", confidence=0.7)
