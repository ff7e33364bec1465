"""The tables every voice is built on: symbols, tones and languages, in an order that checkpoints fix for ever.

The first 112 symbols are the original's, index for index, so its base models load here; our pauses and breaths follow.
The model sizes its embeddings from these tables and `utterance` turns phones into their ids.
"""

from typing import Final

PAD: Final = "_"
"""Stands at both ends of an utterance and between all its phones (the blank); always id 0."""

MARKS: Final = ("!", "?", "…", ",", ".", "'", "-")
"""Punctuation the model knows: one phone each, tone 0."""

PAUSES: Final = ("sp1", "sp2", "sp3", "sp4")
"""Silences by length: 60 to 180 ms, 180 to 400 ms, 400 to 900 ms, longer."""

BREATHS: Final = ("br1", "br2")
"""A short quiet inhale and a deep one."""

INLINE_MARKS: Final = PAUSES + BREATHS
"""What `[sp1]` and the like in a text may name; one phone each, tone 0."""

# The sorted union of the original's Chinese, Japanese and English phones.
_PHONES = """
    AA E EE En N OO V a a: aa ae ah ai an ang ao aw ay b by c ch d dh dy e e: eh ei en eng er ey f g gy h hh hy i i0 i:
    ia ian iang iao ie ih in ing iong ir iu iy j jh k ky l m my n ng ny o o: ong ou ow oy p py q r ry s sh t th ts ty u
    u: ua uai uan uang uh ui un uo uw v van ve vn w x y z zh zy
"""

ORIGINAL_SYMBOLS: Final = (PAD, *_PHONES.split(), *MARKS, "SP", "UNK")
"""The 112 symbols of Bert-VITS2 2.x. Legacy checkpoints have exactly these embedding rows."""

SYMBOLS: Final = ORIGINAL_SYMBOLS + INLINE_MARKS
"""All 118 symbols; the index is the id."""

SYMBOL_IDS: Final = {symbol: index for index, symbol in enumerate(SYMBOLS)}

LANGUAGES: Final = ("ZH", "JP", "EN")
LANGUAGE_IDS: Final = {language: index for index, language in enumerate(LANGUAGES)}

TONE_COUNTS: Final = {"ZH": 6, "JP": 2, "EN": 4}
"""Chinese: 0 for punctuation and blanks, 1 to 4, and 5 for the neutral tone."""

TONE_OFFSETS: Final = {"ZH": 0, "JP": 6, "EN": 8}
"""Where a language's tones begin in the one table of tones."""
