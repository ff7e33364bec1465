"""The utterance: what the trainer stores and the server makes, and the blank rule."""

import dataclasses
from typing import Any

import pytest
from kelong_speech.text import frontend, symbols, utterance

PARTS: dict[str, Any] = {
    "written": "你好！",
    "spoken": "你好!",
    "phones": ("_", "n", "i", "h", "ao", "!", "_"),
    "tones": (0, 2, 2, 3, 3, 0, 0),
    "word2ph": (1, 2, 2, 1, 1),
    "spans": ((0, 1), (1, 2), (2, 3)),
}


def test_the_front_end_gives_these_parts() -> None:
    assert frontend.analyse("你好！") == frontend.Utterance.from_phones(**PARTS)


def test_blanks_go_between_and_around_all_phones() -> None:
    ids = frontend.analyse("你好！").ids()
    assert ids.phone_ids == (0, 0, 0, 62, 0, 40, 0, 37, 0, 16, 0, 103, 0, 0, 0)
    assert ids.tone_ids == (0, 0, 0, 2, 0, 2, 0, 3, 0, 3, 0, 0, 0, 0, 0)
    assert ids.language_ids == (0,) * 15
    assert ids.word2ph == (3, 4, 4, 2, 2)


def test_an_utterance_is_frozen_and_hashable() -> None:
    said = frontend.analyse("你好")
    with pytest.raises(dataclasses.FrozenInstanceError):
        said.spoken = "再见"  # type: ignore[misc]
    assert len({said, frontend.analyse("你好")}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phones": ("_", "n", "i", "h", "XX", "!", "_")}, r"\['XX'\] are not in the symbol table"),
        ({"tones": (0, 2, 2, 3, 3, 0)}, "7 phones have 6 tones"),
        ({"tones": (0, 2, 2, 3, 9, 0, 0)}, "tones must be 0 to 5, or 0 to 3 in English"),
        ({"word2ph": (1, 2, 2, 2, 1)}, "word2ph gives 8 phones, there are 7"),
        ({"word2ph": (1, 2, 2, 2)}, "3 spoken characters need 5"),
        ({"word2ph": (1, 2, 3, -1, 1)}, "word2ph gives 6 phones"),
        ({"language_ids": (0, 0, 0)}, "7 phones have 3 languages"),
        ({"language_ids": (0, 0, 2, 2, 2, 0, 0), "tones": (0, 2, 3, 4, 3, 0, 0)}, r"language and tone \[\(2, 4\)\]"),
        ({"spans": ((0, 1), (1, 2))}, "3 spoken characters have 2 spans"),
        ({"spans": ((0, 2), (1, 2), (2, 3))}, r"the span \(1, 2\) after \(0, 2\)"),
        ({"spans": ((0, 1), (1, 2), (2, 4))}, "empty, goes back or leaves the text"),
        ({"phones": (",", "n", "i", "h", "ao", "!", "_")}, "begin and end with '_'"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frontend.Utterance.from_phones(**PARTS | change)


def test_the_blank_rule_agrees_with_itself() -> None:
    said = frontend.analyse("老虎和纸老虎")
    ids = said.ids()
    assert utterance.insert_blanks([]) == (0,)
    assert ids.phone_ids[::2] == (0,) * (len(said.phones) + 1)
    assert ids.phone_ids[1::2] == tuple(symbols.SYMBOL_IDS[phone] for phone in said.phones)
    assert sum(ids.word2ph) == len(ids.phone_ids)
