"""Marks that a recogniser left out."""

import pytest
from kelong_contract.corpora import Stretch, Word
from kelong_trainer.corpus.words import punctuation


def restored(*parts):
    """Clauses, each followed by its pause in seconds, spoken at five characters a second; a `|` parts words."""
    words, speech, now_s = [], [], 0.0
    for clause, pause_s in parts:
        start_s = now_s
        for text in clause.split("|") if "|" in clause else clause:
            words.append(Word(text=text, start_s=now_s, end_s=now_s + 0.2, probability=0.9))
            now_s += 0.2
        if speech and speech[-1].end_s == start_s:
            speech[-1] = Stretch(start_s=speech[-1].start_s, end_s=now_s)
        else:
            speech.append(Stretch(start_s=start_s, end_s=now_s))
        now_s += pause_s
    return "".join(word.text for word in punctuation.restored(words, speech))


@pytest.mark.parametrize(
    ("parts", "written"),
    [
        ((("春天来了", 0.7), ("花都开了", 0)), "春天来了。花都开了。"),
        ((("今天早上", 0.3), ("我起得很晚", 0)), "今天早上，我起得很晚。"),
        ((("我吃完了", 0.5), ("走吧", 0)), "我吃完了。走吧。"),
        ((("我明白你的意思", 0.15), ("但是我不同意", 0)), "我明白你的意思，但是我不同意。"),
        ((("我们先去超市买一点东西", 0), ("然后回家做饭", 0)), "我们先去超市买一点东西，然后回家做饭。"),
        ((("你明天来吗", 0.7), ("我在家等你", 0)), "你明天来吗？我在家等你。"),
        ((("你什么时候来呢", 0), ("", 0)), "你什么时候来呢？"),
        ((("我们去爬山怎么样", 0),), "我们去爬山怎么样？"),
        ((("我|知道|，", 0.7), ("走吧", 0)), "我知道，走吧。"),
        ((("春天| 一到", 0),), "春天，一到。"),
        ((("我|在| New| York", 0),), "我在 New York。"),
        ((("短", 0.1), ("停顿", 0)), "短停顿。"),
    ],
)
def test_missing_marks_are_put_where_people_pause_and_sentences_end(parts, written):
    assert restored(*parts) == written


def test_a_mark_that_comes_as_a_word_of_its_own_is_not_doubled():
    times = [("得去", 0.0, 0.4), ("买点菜", 0.4, 1.0), ("。", 1.8, 1.8), ("走吧", 1.9, 2.3)]
    words = [Word(text=text, start_s=start_s, end_s=end_s, probability=0.9) for text, start_s, end_s in times]
    speech = [Stretch(start_s=0.0, end_s=1.0), Stretch(start_s=1.9, end_s=2.3)]
    assert "".join(word.text for word in punctuation.restored(words, speech)) == "得去买点菜。走吧。"


def test_words_keep_their_times_and_no_words_stay_none():
    words = [Word(text="好", start_s=0.1, end_s=0.2, probability=0.5)]
    (word,) = punctuation.restored(words, [Stretch(start_s=0.0, end_s=0.3)])
    assert (word.text, word.start_s, word.end_s, word.probability) == ("好。", 0.1, 0.2, 0.5)
    assert punctuation.restored([], []) == ()
