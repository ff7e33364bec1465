"""Transcripts that came with recordings."""

import pytest
from kelong_contract.corpora import Word
from kelong_trainer.corpus.words import supplied


def said(text, start_s=0.0, s_each=0.25):
    return [
        Word(text=char, start_s=start_s + i * s_each, end_s=start_s + (i + 1) * s_each, probability=0.9)
        for i, char in enumerate(text)
    ]


def test_a_text_keeps_its_characters_and_marks_and_gets_the_times_of_what_was_heard():
    text = "“今天早上，我起得很晚！”"
    laid = supplied.lay(text, said("今天早上我起的很完", 2.0))
    assert "".join(word.text for word in laid.words) == text
    assert laid.fits and laid.agreement == 1.0
    assert [(word.start_s, word.end_s) for word in laid.words] == [
        pytest.approx((2.0 + 0.25 * i, 2.25 + 0.25 * i)) for i in range(9)
    ]


def test_what_was_heard_otherwise_has_no_probability():
    laid = supplied.lay("今天下午我在家", said("今天早上我在家"))
    assert [word.probability for word in laid.words] == [0.9, 0.9, 0.0, 0.0, 0.9, 0.9, 0.9]


def test_what_was_not_heard_lies_between_its_neighbours():
    heard = [*said("今天早上", 0.0), *said("起得很晚", 2.0)]
    words = supplied.lay("今天早上我们大家起得很晚", heard).words
    times = [(word.start_s, word.end_s) for word in words[4:8]]
    assert times == [pytest.approx((1.0 + 0.25 * i, 1.25 + 0.25 * i)) for i in range(4)]


def test_a_number_is_one_word_with_the_time_of_all_its_syllables():
    words = supplied.lay("有12个。", said("有十二个")).words
    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("有", 0.0, 0.25),
        ("12", 0.25, 0.75),
        ("个。", 0.75, 1.0),
    ]


@pytest.mark.parametrize(
    ("text", "fits"), [("他弹吉他弹得真好，应该去参加比赛。", False), ("今天早上我起得很玩。", True), ("……", False)]
)
def test_another_recordings_text_does_not_fit(text, fits):
    assert supplied.lay(text, said("今天早上我起得很晚")).fits is fits


def test_nothing_heard_gives_no_words():
    assert supplied.lay("今天早上", []) == supplied.Laid(words=(), agreement=0.0)
