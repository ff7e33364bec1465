"""How far a label and a second look agree."""

import pytest
from kelong_contract.corpora import Word
from kelong_trainer.corpus.words import agreement


def said(text, start_s=0.0, s_each=0.25):
    return [
        Word(text=char, start_s=start_s + i * s_each, end_s=start_s + (i + 1) * s_each, probability=0.9)
        for i, char in enumerate(text)
    ]


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("他在这儿。", "ta zai zhe er"),
        ("2024年，好", "er ling er si nian hao"),
        ("我用iPhone拍", "wo yong iphone pai"),
        ("好\x00的😀", "hao de"),
        ("，。", ""),
    ],
)
def test_a_text_is_what_is_said_without_marks(text, sounds):
    assert " ".join(item.sound for item in agreement.syllables(text)) == sounds


def test_a_syllable_has_the_tone_of_its_character_and_a_latin_word_none():
    assert [item.tone for item in agreement.syllables("他来买OK")] == [1, 2, 3, 0]


def test_every_syllable_knows_its_part_of_the_text():
    assert [(item.start, item.end) for item in agreement.syllables("好，12点")] == [(0, 1), (2, 4), (2, 4), (4, 5)]


def test_words_share_their_time_out_among_their_syllables():
    words = [Word(text="今天", start_s=1.0, end_s=2.0, probability=0.9), *said("12。", 2.0)]
    found = agreement.spoken(words)
    assert [(item.sound, item.start_s, item.end_s, item.word) for item in found] == [
        ("jin", 1.0, 1.5, 0),
        ("tian", 1.5, 2.0, 0),
        ("shi", 2.0, 2.25, 1),
        ("er", 2.25, 2.5, 1),
    ]


@pytest.mark.parametrize(
    ("label", "heard", "expected"),
    [
        ("今天早上我起得很晚", "今天早上我起得很晚", 1.0),
        ("今天早上她起得很晚", "今天早上他起得很晚", 1.0),
        ("三只猫", "三只帽", 1 - 0.5 / 3),
        ("今天早上我起得很晚", "今天半路我起得很晚", 7 / 9),
        ("今天早上我起得很晚", "今天早上我起得很完", 1 - 0.5 / 9),
        ("多买一点好吗", "都买一点好吗", 1 - 0.5 / 6),
        ("今天早上我起得很晚", "", 0.0),
        ("我买了12个", "我买了十二个", 1.0),
    ],
)
def test_agreement_is_the_share_of_syllables_that_were_heard_as_well(label, heard, expected):
    found = agreement.agreement(label, agreement.spoken(said(heard, 1.0)), 0.0, 5.0)
    assert found is not None and found.whole == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("heard", "least"),
    [
        ("今天早上我起得很晚所以没有吃饭", 1.0),
        ("今天早上我起得很完所以没有吃饭", 0.875),
        ("今天狗屁我起得很晚所以没有吃饭", 0.5),
        ("今天狗屁不通得很晚所以没有吃饭", 0.0),
        ("今天早上得很晚所以没有吃饭", 0.5),
        ("今天早上早上我起得很晚所以没有吃饭", 0.5),
        ("今狗早上我起得屁晚所以没有吃饭", 0.75),
    ],
)
def test_a_few_words_that_are_others_show_where_the_text_agrees_least(heard, least):
    found = agreement.agreement("今天早上我起得很晚所以没有吃饭", agreement.spoken(said(heard, 1.0)), 0.0, 9.0)
    assert found is not None and found.least == pytest.approx(least)


def test_words_at_the_very_ends_may_belong_to_the_neighbours_but_none_inside():
    heard = agreement.spoken(said("了今天早上我起得很晚他", 0.0))
    assert agreement.agreement("今天早上我起得很晚", heard, 0.2, 2.6).whole == 1.0
    assert agreement.agreement("今天早上我很晚", heard, 0.2, 2.6).whole == pytest.approx(1 - 2 / 7, abs=1e-4)


def test_what_was_heard_elsewhere_does_not_count():
    heard = agreement.spoken([*said("前面的话", 0.0), *said("今天", 10.0), *said("后面的话", 20.0)])
    assert agreement.agreement("今天", heard, 9.5, 11.0) == agreement.Agreement(whole=1.0, least=1.0)


def test_a_label_without_words_agrees_with_nothing():
    assert agreement.agreement("，。", agreement.spoken(said("今天")), 0.0, 1.0) is None


def test_traditional_and_simplified_characters_sound_alike():
    simplified, traditional = ("银行行长觉得长江的音乐很快乐，睡着了。", "銀行行長覺得長江的音樂很快樂，睡著了。")
    assert agreement.syllables(traditional) == agreement.syllables(simplified)
