"""Hanzi to the phones of the stand-in speaker, independent of the project's own front end.

The stand-in's audio is ground truth for tests of that front end, so what it says must not come from it: readings and
tone sandhi are pypinyin's, words are jieba's.
"""

import functools
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pypinyin

HANZI = re.compile(r"[一-鿿]")
WEAK_STOPS = "，、；：—…"
STRONG_STOPS = "。！？"
# Where 儿 is a syllable of its own; elsewhere at a word's end it colours the syllable before it.
CHILD_WORDS = frozenset({"女儿", "婴儿", "孤儿", "胎儿", "幼儿", "少儿", "男儿", "育儿", "健儿", "妻儿"})
SENTENCE = re.compile(rf"([一-鿿]|[{WEAK_STOPS}{STRONG_STOPS}])+")

# The speaker's own marks: between syllables of a word, between words, at a comma; and silence at both ends.
WITHIN_WORD, WORD_END, PAUSE, SILENCE, END = "#0", "#1", "#3", "sil", "eos"


class UnspeakableText(Exception):
    """The stand-in speaker cannot say this text; the message says why and what it can say."""


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """What the speaker was trained on: its symbols with their ids, and each plain syllable's initial and final."""

    ids: Mapping[str, int]
    syllables: Mapping[str, tuple[str, str]]


def phones(text: str, alphabet: Alphabet) -> list[str]:
    """The speaker's symbols for a sentence of hanzi and Chinese punctuation, ends included."""
    if not SENTENCE.fullmatch(text) or not HANZI.search(text):
        raise UnspeakableText(
            f"The stand-in speaker cannot say {text!r}: it speaks hanzi and the marks {WEAK_STOPS}{STRONG_STOPS} only. "
            "Write numbers and foreign words in hanzi."
        )
    spoken: list[str] = []
    for word, readings in _words(text):
        if not HANZI.search(word):
            _end_with(spoken, PAUSE)
            continue
        coloured = len(word) > 1 and word.endswith("儿") and word not in CHILD_WORDS
        for reading in readings[:-1] if coloured else readings:
            spoken += [*_syllable(reading, alphabet), WITHIN_WORD]
        spoken[-1:] = ["er5", WORD_END] if coloured else [WORD_END]
    while spoken[-1].startswith("#"):
        spoken.pop()
    return [SILENCE, *spoken, SILENCE, END]


def _words(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each word with its numbered readings; sandhi is worked out over the whole sentence."""
    words: list[str] = _segmenter().lcut(text)
    readings = pypinyin.lazy_pinyin(
        words, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, tone_sandhi=True, errors=_one_by_one
    )
    taken = 0
    for word in words:
        yield word, readings[taken : taken + len(word)]
        taken += len(word)


def _one_by_one(marks: str) -> Any:
    """Punctuation stays one item per character, so that readings line up with the text."""
    return list(marks)


@functools.cache
def _segmenter() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's source has escapes that Python 3.11 deprecates
        import jieba
    jieba.setLogLevel(logging.WARNING)  # it reports how long its dictionary took to load otherwise
    return jieba.Tokenizer()


def _syllable(reading: str, alphabet: Alphabet) -> list[str]:
    plain, tone = reading[:-1], reading[-1]
    plain = {"n": "en", "ng": "en", "m": "en"}.get(plain, plain)  # interjections such as 嗯
    if plain not in alphabet.syllables:
        raise UnspeakableText(f"The stand-in speaker has no syllable {reading!r}; choose another word.")
    initial, final = alphabet.syllables[plain]
    return [initial, final + tone]


def _end_with(spoken: list[str], mark: str) -> None:
    """A pause takes the place of the word end before it; one at the very start has nothing to follow."""
    if spoken:
        spoken[-1] = mark
