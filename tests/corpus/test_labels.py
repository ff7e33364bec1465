"""Words handed to stretches of speech, and the text that becomes of them."""

import pytest
from kelong_contract import corpora
from kelong_trainer.corpus import labels, pauses


def units(*spans):
    return [pauses.Run(first=round(start * 100), end=round(end * 100)) for start, end in spans]


def word(text, start_s, end_s, probability=0.9):
    return corpora.Word(text=text, start_s=start_s, end_s=end_s, probability=probability)


def text_of(parts, spans, pause_after_s=1.0):
    return labels.label([[word(text, 0, 0) for text in part] for part in parts], units(*spans), pause_after_s).text


@pytest.mark.parametrize(
    ("start_s", "end_s", "unit"),
    [(0.5, 0.7, 0), (1.8, 2.1, 0), (1.9, 2.3, 0), (2.2, 3.1, 1), (2.6, 3.2, 1), (-0.2, 0.0, 0), (9.0, 9.5, 2)],
)
def test_a_word_goes_where_its_middle_lies_or_to_the_nearest_speech(start_s, end_s, unit):
    found = labels.assign([word("好", start_s, end_s)], units((0, 2), (2.5, 4), (5, 6)))
    assert [len(part) for part in found] == [int(index == unit) for index in range(3)]


def test_words_out_of_order_are_each_assigned_once():
    words = [word("一", 5.1, 5.2), word("二", 0.1, 0.2), word("三", 2.6, 2.7)]
    found = labels.assign(words, units((0, 2), (2.5, 4), (5, 6)))
    assert [[item.text for item in part] for part in found] == [["二"], ["三"], ["一"]]


@pytest.mark.parametrize(
    ("parts", "spans", "pause_after_s", "text"),
    [
        ([["你", "好"], ["再", "见"]], [(0, 1), (1.3, 2)], 1.0, "你好，再见。"),
        ([["你", "好"], ["再", "见"]], [(0, 1), (1.7, 2)], 0.3, "你好。再见，"),
        ([["你", "好"], ["再", "见"]], [(0, 1), (1.1, 2)], 0.1, "你好再见"),
        ([["你", "好！"], ["再", "见？"]], [(0, 1), (2, 3)], 1.0, "你好！再见？"),
        ([["，", "你"], ["好"]], [(0, 1), (1.1, 2)], 1.0, "你好。"),
        ([[" hello", " world"], ["你", " OK", "吗"]], [(0, 1), (1.1, 2)], 1.0, "hello world你OK吗。"),
        ([[], ["好"]], [(0, 1), (1.5, 2)], 1.0, "好。"),
        ([[]], [(0, 1)], 1.0, ""),
    ],
)
def test_pauses_become_marks_where_none_was_heard(parts, spans, pause_after_s, text):
    assert text_of(parts, spans, pause_after_s) == text


def test_confidence_weighs_words_by_their_length():
    label = labels.label([[word("好", 0, 1, 0.4), word("再见吗", 1, 2, 0.8)]], units((0, 2)), 0.0)
    assert (label.confidence, label.syllables) == (0.7, 4)


@pytest.mark.parametrize(
    ("syllables", "speech_s", "plausible"), [(40, 10.0, True), (3, 10.0, False), (200, 10.0, False), (80, 10.0, True)]
)
def test_what_nobody_can_say_in_that_time_is_implausible(syllables, speech_s, plausible):
    assert labels.is_plausible(syllables, speech_s) is plausible
