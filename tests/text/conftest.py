"""Lets the tables of this folder be written, and failures be read, in pinyin."""

from collections.abc import Callable

import pytest
from kelong_speech.text import frontend, phonemes, symbols

# ju and jv are one syllable; the tables write ju, as dictionaries do.
_SPELLINGS = {pair: spelling for spelling, pair in sorted(phonemes.syllables().items(), reverse=True)}


def pinyin_of(utterance: frontend.Utterance) -> str:
    """`ni2 hao3 , shi4 jie4`: what an utterance's phones and tones say, its two ends left out."""
    said, place = [], 1
    for count in utterance.word2ph[1:-1]:
        phones = utterance.phones[place : place + count]
        tones = set(utterance.tones[place : place + count])
        assert len(tones) == 1
        tone = tones.pop()
        if count == 1:
            assert phones[0] in symbols.MARKS + symbols.INLINE_MARKS
            assert tone == 0
            said.append(phones[0])
        else:
            said.append(f"{_SPELLINGS[phones[0], phones[1]]}{tone}")
        place += count
    return " ".join(said)


@pytest.fixture(scope="session")
def read() -> Callable[..., str]:
    """Reads a text aloud, so to speak: written Chinese to pinyin."""

    def read_text(text: str, profile: frontend.Profile = frontend.Profile.FIXED) -> str:
        return pinyin_of(frontend.analyse(text, profile))

    return read_text
