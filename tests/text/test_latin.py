"""Latin words and letters inside Chinese: what is said, and how letters share a word's phones."""

import re

import pytest
from kelong_speech.text import english, frontend, letter_to_sound, symbols

EN = symbols.LANGUAGE_IDS["EN"]

# written, the English phones in order, as CMUdict writes them; from CMUdict 0.7b and the names of the letters
PHONES = [
    ("hello", "HH AH0 L OW1"),
    ("Hello", "HH AH0 L OW1"),
    ("HELLO", "HH AH0 L OW1"),
    ("ｈｅｌｌｏ", "HH AH0 L OW1"),
    ("GPU", "JH IY1 P IY1 Y UW1"),
    ("gpu", "JH IY1 P IY1 Y UW1"),
    ("GPUs", "JH IY1 P IY1 Y UW1 Z"),
    ("AI", "EY1 AY1"),
    ("CEO", "S IY1 IY1 OW1"),
    ("IT", "AY1 T IY1"),
    ("NASA", "N AE1 S AH0"),
    ("OK", "OW1 K EY1"),
    ("W", "D AH1 B AH0 L Y UW0"),
    ("iPhone", "AY1 F OW2 N"),
    ("iOS", "AY1 OW1 EH1 S"),
    ("OpenAI", "OW1 P AH0 N EY1 AY1"),
    ("YouTube", "Y UW1 T Y UW2 B"),
    ("McKinsey", "M AH0 K IH1 N Z IY0"),
    ("don't", "D OW1 N T"),
    ("don’t", "D OW1 N T"),
    ("Mike's", "M AY1 K S"),
    ("Wi-Fi", "W AY1 F AY1"),
    ("machine learning", "M AH0 SH IY1 N L ER1 N IH0 NG"),
    ("TCP/IP", "T IY1 S IY1 P IY1 AY1 P IY1"),
    ("R&D", "AA1 R AH0 N D D IY1"),
    ("U.S.A.", "Y UW1 EH1 S EY1"),
    ("B2B", "B IY1 T UW1 B IY1"),
    ("C#", "S IY1 SH AA1 R P"),
    ("café", "K AH0 F EY1"),
    ("smartwatch", "S M AA1 R T W AA2 CH"),
    ("googling", "G UW1 G L IH0 NG"),
    ("blicket", "B L IH1 K EH0 T"),
    ("XQZT", "EH1 K S K Y UW1 Z IY1 T IY1"),
]

# written, spoken
SPOKEN = [
    ("他买了一部iPhone 15。", "他买了一部iPhone十五."),
    ("MP3和5G", "MP三和五G"),
    ("Wi-Fi密码", "Wi Fi密码"),
    ("AI 时代", "AI时代"),
    ("用Python 3.11写的", "用Python三点一一写的"),
    ("F-16战机", "F十六战机"),
    ("GPT-4和GPT-3.5", "GPT四和GPT三点五"),
    ("A380和H100", "A三八零和H一百"),
    ("C++和C#", "C加加和C sharp"),
    ("A&B，你&我", "A and B,你和我"),
    ("说Hello, World!", "说Hello,World!"),
    ("发到a.b@qq.com", "发到a点b艾特qq点com"),
    ("上www.kelong.dev看", "上www点kelong点dev看"),
    ("见readme.txt", "见readme点txt"),
    ("他@我", "他艾特我"),
    ("U盘T恤K歌", "U盘T恤K歌"),
    ("按[Enter]键", "按'Enter'键"),
    ("[OK]", "'OK'"),
]


def _english(said: frontend.Utterance) -> list[tuple[str, int]]:
    parts = zip(said.phones, said.tones, said.language_ids, strict=True)
    return [(phone, tone) for phone, tone, language in parts if language == EN]


def _expected(cmu: str) -> list[tuple[str, int]]:
    """CMUdict's phones as the table of symbols has them."""
    plain = [re.sub(r"\d", "", name) for name in cmu.split()]
    tones = [{"0": 1, "1": 2, "2": 3}.get(name[-1], 0) for name in cmu.split()]
    return [("V" if phone == "V" else phone.lower(), tone) for phone, tone in zip(plain, tones, strict=True)]


@pytest.mark.parametrize(("written", "cmu"), PHONES)
def test_a_latin_word_is_said_in_english_phones(written: str, cmu: str) -> None:
    assert _english(frontend.analyse(f"说{written}。")) == _expected(cmu)
    assert _english(frontend.analyse(written)) == _expected(cmu)


@pytest.mark.parametrize(("written", "spoken"), SPOKEN)
def test_latin_words_and_letters_stay_among_the_characters(written: str, spoken: str) -> None:
    assert frontend.analyse(written).spoken == spoken


def test_letters_of_a_spelled_word_have_their_own_phones_and_those_of_others_share() -> None:
    said = frontend.analyse("用GPU和Linux吧")
    assert said.spoken == "用GPU和Linux吧"
    assert said.word2ph == (1, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 2, 1)
    assert said.phones[3:9] == ("jh", "iy", "p", "iy", "y", "uw")
    assert said.tones[3:9] == (0, 2, 0, 2, 0, 2)
    assert said.language_ids == (0, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, *[2] * 6, 0, 0, 0)


def test_a_word_has_one_span_and_a_space_of_no_phones_parts_two_words() -> None:
    said = frontend.analyse("学machine  learning吧")
    assert said.spoken == "学machine learning吧"
    assert said.word2ph[9] == 0
    assert said.spans[0] == (0, 1)
    assert set(said.spans[1:8]) == {(1, 8)}
    assert said.spans[8] == (8, 10)
    assert set(said.spans[9:17]) == {(10, 18)}
    assert said.spans[17] == (18, 19)


def test_tones_and_languages_have_the_originals_places_in_the_models_input() -> None:
    ids = frontend.analyse("A股").ids()
    assert ids.phone_ids == (0, 0, 0, 33, 0, 35, 0, 82, 0, 0, 0)
    assert ids.tone_ids == (0, 0, 0, 8 + 2, 0, 3, 0, 3, 0, 0, 0)
    assert ids.language_ids == (0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0)
    assert ids.word2ph == (3, 2, 4, 2)


def test_chinese_around_a_word_is_read_in_its_sight(read: object) -> None:
    assert frontend.analyse("OK吗").tones[-2] == 5
    assert frontend.analyse("iPhone的").tones[-2] == 5
    assert frontend.analyse("一GB").tones[1] == 4


def test_every_word_of_letters_has_phones() -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    words = [first + second + third for first in alphabet for second in "aehlnrsty" for third in "eknq"]
    for word in [*alphabet, *words, "zzzz", "aeiou", "rhythm", "strengths", "xylyl"]:
        assert sum(english.read(word), ()), word
        names = letter_to_sound.read(word).split()
        assert names, word
        assert sum(name[-1] == "1" for name in names) <= 1, word


def test_the_dictionary_is_sorted_so_that_its_words_are_found() -> None:
    for word, phones in [("a's", 2), ("aaronson", 7), ("zywicki", 6), ("zygote", 5), ("'em", 2)]:
        assert len(sum(english.read(word), ())) == phones, word
