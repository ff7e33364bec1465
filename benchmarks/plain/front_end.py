"""Texts to syllables the short way: the library's normaliser, jieba's words, pypinyin's reading of each.

No sandhi, no polyphones in context, no places kept: what anybody gets from the packages in ten lines.
"""

from __future__ import annotations

import functools
from typing import Any


def read(text: str) -> list[str]:
    """The syllables of a text, tones as digits; marks as they are."""
    import jieba
    import pypinyin

    spoken = _normaliser().normalize(text)
    return [
        syllable
        for word in jieba.lcut(spoken)
        for syllable in pypinyin.lazy_pinyin(word, style=pypinyin.Style.TONE3, neutral_tone_with_five=True)
    ]


@functools.cache
def _normaliser() -> Any:
    import wetext

    return wetext.Normalizer(lang="zh", operator="tn", remove_erhua=False)
