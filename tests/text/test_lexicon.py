"""The lexicon of a resource: words said as it says, the longest first, and bad entries named."""

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
}

ROWS = [
    ("朴先生", "piao2 xian1 sheng5"),
    ("银行", "yin2 xing2"),
    ("银行行长", "yin2 hang2 hang2 zhang3"),
    ("绿", "lv4"),
    ("女人", "nv3 ren2"),
    ("女[nv2]人", "nv2 ren2"),
    ("不朴[pu3]", "bu4 pu3"),
]

# written, spoken, phones
LATIN = [
    ("AI好", "AI好", "EE ei AA ai h ao"),
    ("我用Tesla", "我用Tesla", "w o y ong t e s i0 l a"),
    ("5G网", "5G网", "w u j i w ang"),
    ("C++好", "C++好", "x i j ia j ia h ao"),
    ("卡拉OK", "卡拉OK", "k a l a OO ou k ei"),
]


@pytest.fixture(scope="module")
def front_end() -> frontend.FrontEnd:
    return frontend.FrontEnd(lexicon=frontend.Lexicon.from_entries(LEXICON))


@pytest.mark.parametrize(("written", "said"), ROWS)
def test_a_word_of_the_lexicon_is_said_as_it_says(front_end: frontend.FrontEnd, written: str, said: str) -> None:
    utterance = front_end.analyse(written)
    expected = frontend.FrontEnd(
        lexicon=frontend.Lexicon.from_entries({written.replace("[nv2]", "").replace("[pu3]", ""): said})
    )
    plain = written.replace("[nv2]", "").replace("[pu3]", "")
    assert utterance.phones == expected.analyse(plain).phones
    assert utterance.tones == expected.analyse(plain).tones


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
