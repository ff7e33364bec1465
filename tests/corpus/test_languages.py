"""What is taken for another language, and what for Mandarin with a foreign word in it."""

import pytest
from kelong_contract.corpora import ForeignStretch, Stretch, Word
from kelong_trainer.corpus.words import languages, recogniser


def hearing(text="今天天气很好", language="zh", probability=0.99, mandarin=0.99):
    words = tuple(Word(text=part, start_s=0.0, end_s=1.0, probability=0.9) for part in text.split("|"))
    return recogniser.Hearing(words=words, language=language, probability=probability, mandarin=mandarin, silence=0.1)


@pytest.mark.parametrize(
    ("heard", "doubtful"),
    [
        (hearing(), False),
        (hearing(mandarin=0.7), True),
        (hearing("我| love| this| song|，|真的"), False),
        (hearing("so| we| walked| along| the| river| until| evening"), True),
    ],
)
def test_a_passage_is_doubtful_that_does_not_look_like_mandarin(heard, doubtful):
    assert languages.is_doubtful(heard) is doubtful


@pytest.mark.parametrize(
    ("heard", "other"),
    [
        (hearing(), False),
        (hearing(language="en", probability=0.95, mandarin=0.0), True),
        (hearing(language="en", probability=0.6, mandarin=0.2), False),
        (hearing("My| brother| bought", language="en", probability=0.6, mandarin=0.1), True),
        (hearing("My| brother| bought", language="zh", probability=0.6, mandarin=0.6), False),
        (hearing("", language="nn", probability=0.4, mandarin=0.0), False),
    ],
)
def test_another_language_is_believed_only_when_clear(heard, other):
    assert languages.is_other(heard) is other


@pytest.mark.parametrize(
    ("heard", "wholly"),
    [
        (hearing(language="en", probability=0.94, mandarin=0.001), True),
        (hearing(language="en", probability=0.85, mandarin=0.1), False),
        (hearing(), False),
    ],
)
def test_a_passage_that_may_hold_mandarin_is_looked_at_in_pieces(heard, wholly):
    assert languages.is_wholly_other(heard) is wholly


def test_speech_without_words_is_measured_over_pauses():
    speech = [Stretch(start_s=0.0, end_s=2.0), Stretch(start_s=3.0, end_s=4.0), Stretch(start_s=4.5, end_s=6.0)]
    words = [Word(text="好", start_s=0.2 * i, end_s=0.2 * (i + 1), probability=0.9) for i in range(5)]
    assert languages.unlabelled_s(words, speech) == pytest.approx(1.0 + 1.0 + 1.5, abs=0.15)
    stretched = Word(text="了", start_s=1.0, end_s=6.0, probability=0.9)
    assert languages.unlabelled_s([*words, stretched], speech) == pytest.approx(0.4 + 1.0 + 1.5, abs=0.15)
    assert languages.unlabelled_s([], []) == 0


def test_near_stretches_in_one_language_are_one():
    def foreign(start_s, end_s, language):
        return ForeignStretch(start_s=start_s, end_s=end_s, language=language)

    found = languages.joined([foreign(0, 2, "en"), foreign(2.5, 4, "en"), foreign(4, 5, "ja"), foreign(9, 10, "ja")])
    assert found == (foreign(0, 4, "en"), foreign(4, 5, "ja"), foreign(9, 10, "ja"))
