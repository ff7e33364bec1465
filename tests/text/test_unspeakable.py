"""Texts that cannot be spoken are refused with a sentence and the place, counted in what was written."""

import pickle

import pytest
from kelong_speech.text import frontend

ROWS = [
    ("", 0, "nothing to say"),
    ("  \n", 0, "nothing to say"),
    ("……！", 0, "nothing to say"),
    ("价格是12.5元，だ", 9, "'だ' cannot be spoken"),
    ("  2024年1月15日\n见Москва和他", 14, "'Москва' cannot be spoken: this voice reads Chinese characters and Latin"),
    ("你[sp2]好한국", 7, "'한국' cannot be spoken"),
    ("行[hang2]业🚀", 9, "U\\+1F680"),
    ("OK的ไทย", 3, "cannot be spoken"),
    ("你好😀", 2, "U\\+1F600"),
    ("かな", 0, "'かな' cannot be spoken"),
    ("你\x00好", 1, "U\\+0000 is not text"),
    ("你\ud800好", 1, "U\\+D800 is not text"),
    ("我姓𠮷", 2, "𠮷 has no reading"),
    ("你好[sp9]", 2, "\\[sp9\\] is not a Mandarin syllable"),
    ("[sp9]你好", 0, "\\[sp9\\] is no mark this voice knows; there are \\[sp1\\]"),
    ("，[hang2]", 1, "\\[hang2\\] is no mark"),
    ("行[xyz2]", 1, "\\[xyz2\\] is not a Mandarin syllable with its tone"),
    ("行[hang]", 1, "tone from 1 to 5"),
    ("行[hang7]", 1, "tone from 1 to 5"),
    ("行[yin2 hang2]", 1, "has 2 syllables, and there are not as many Chinese characters before it"),
    ("银 行[yin2 hang2]", 3, "has 2 syllables"),
]


@pytest.mark.parametrize(("written", "position", "message"), ROWS)
def test_it_is_refused_with_a_sentence_and_the_place(written: str, position: int, message: str) -> None:
    with pytest.raises(frontend.UnspeakableText, match=message) as refusal:
        frontend.analyse(written)
    assert refusal.value.position == position
    assert refusal.value.message == str(refusal.value)
    assert refusal.value.message.endswith((".", "]"))


def test_the_refusal_survives_a_process_pool() -> None:
    refusal = pickle.loads(pickle.dumps(frontend.UnspeakableText("No.", 7)))
    assert (refusal.message, refusal.position) == ("No.", 7)
