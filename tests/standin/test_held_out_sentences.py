"""What a voice is judged by, it must never have heard: the sentences of the learning benchmark."""

import difflib
import pathlib

import pytest
from kelong_demo import recordings

LEARNING = pathlib.Path(__file__).parents[2] / "benchmarks" / "learning"
HELD_OUT = (LEARNING / "heldout.txt").read_text(encoding="utf-8").split()
SAID = (*recordings.sentences(), *(LEARNING / "reading.txt").read_text(encoding="utf-8").split())


def test_there_are_thirty_of_eight_to_twenty_five_characters() -> None:
    assert len(HELD_OUT) == len(set(HELD_OUT)) == 30
    assert all(8 <= len(sentence) <= 25 for sentence in HELD_OUT)


@pytest.mark.parametrize("sentence", HELD_OUT)
def test_the_stand_in_never_says_one_nor_half_of_one(sentence: str) -> None:
    for said in SAID:
        match = difflib.SequenceMatcher(None, sentence, said, autojunk=False).find_longest_match()
        assert match.size <= 5, f"'{said}' shares '{sentence[match.a : match.a + match.size]}'"


def test_the_stand_in_reads_further_sentences_once_each_before_any_is_repeated(tmp_path: pathlib.Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("今天很好。\n", encoding="utf-8")
    assert recordings._texts(more) == (*recordings.sentences(), "今天很好。")
    assert recordings._texts(None) == ()
    with pytest.raises(recordings.RecordingsRefused, match="name a file in UTF-8"):
        recordings._texts(tmp_path / "none.txt")
