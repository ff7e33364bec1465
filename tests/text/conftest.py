"""Lets the tables of this folder be written, and failures be read, in pinyin."""

from collections.abc import Callable

import pytest
from kelong_speech.text import frontend, phonemes, symbols

# ju and jv are one syllable; the tables write ju, as dictionaries do.
_SPELLINGS = {pair: spelling for spelling, pair in sorted(phonemes.syllables().items(), reverse=True)}
# Coloured by 儿 several syllables sound alike; the shortest spelling stands for them: 玩儿 is war2.
_COLOURED = {
    phonemes.phones(spelling + "r"): spelling + "r"
    for spelling in sorted(phonemes.syllables(), key=len, reverse=True)
    if phonemes.is_rhotic(spelling + "r")
}


def pinyin_of(utterance: frontend.Utterance) -> str:
    """`ni2 hao3 , shi4 jie4`: what an utterance's phones and tones say, its two ends left out."""
    said, place = [], 0
    before: tuple[str, ...] = ()
    for index, count in enumerate(utterance.word2ph[:-1]):
        every = utterance.phones[place : place + count]
        marks = tuple(phone for phone in every if phone in symbols.INLINE_MARKS)
        phones = every[: len(every) - len(marks)]
        assert phones + marks == every, "marks come after what they belong to"
        tones = set(utterance.tones[place : place + len(phones)])
        if index == 0:
            assert phones == (symbols.PAD,)
        elif utterance.language_ids[place] == symbols.LANGUAGE_IDS["EN"] or not phones:
            said.append("+".join(phones))
        else:
            assert len(tones) == 1
            tone = tones.pop()
            if phones == ("er",):
                said[-1] = f"{_COLOURED[before]}{tone}"
            elif tone == 0:
                assert len(phones) == 1
                assert phones[0] in symbols.MARKS
                said.append(phones[0])
            else:
                said.append(f"{_SPELLINGS.get(phones, phones)}{tone}")
        said += marks
        before = phones
        place += count
    return " ".join(filter(None, said))


@pytest.fixture(scope="session")
def heard() -> Callable[[str], str]:
    """Spells each coloured syllable of a pinyin one way: wanr2 and war2 sound alike."""

    def spell(pinyin: str) -> str:
        return " ".join(
            f"{_COLOURED[phonemes.phones(said[:-1])]}{said[-1]}" if said[-2:-1] == "r" and said[:2] != "er" else said
            for said in pinyin.split()
        )

    return spell


@pytest.fixture(scope="session")
def spelled() -> Callable[[frontend.Utterance], str]:
    """Spells an utterance in pinyin."""
    return pinyin_of


@pytest.fixture(scope="session")
def read() -> Callable[..., str]:
    """Reads a text aloud, so to speak: written Chinese to pinyin."""

    def read_text(text: str, profile: frontend.Profile = frontend.Profile.FIXED) -> str:
        return pinyin_of(frontend.analyse(text, profile))

    return read_text
