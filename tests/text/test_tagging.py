"""Our search for words the dictionary lacks finds what jieba's own finds."""

import random

import pytest
from kelong_speech.text import segment

KNOWN = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年零二四五点幺百千"


@pytest.fixture(scope="module")
def segmenter() -> segment.JiebaSegmenter:
    return segment.JiebaSegmenter()


def test_words_and_tags_are_those_of_jieba(segmenter: segment.JiebaSegmenter) -> None:
    import jieba.posseg

    draw = random.Random(7)
    for _ in range(300):
        rare = [chr(draw.randint(0x4E00, 0x9FA5)) for _ in range(5)]
        text = "".join(draw.choices([*KNOWN, *rare], k=draw.randint(1, 16)))
        assert segmenter.words(text) == [(pair.word, pair.flag) for pair in jieba.posseg.dt.cut(text)], text
