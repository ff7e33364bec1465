"""The original's 77 recorded sentences, which the `as-original` profile must give again to the last id."""

import json
from pathlib import Path

import pytest
from kelong_speech.text import frontend, symbols

GOLDEN = json.loads((Path(__file__).parent / "golden" / "zh_clap_g2p.json").read_text("utf-8"))
SPOKEN = [case for case in GOLDEN["cases"] if "error" not in case]
REFUSED = [case for case in GOLDEN["cases"] if "error" in case]


def test_there_are_77_cases_and_the_original_fails_on_one_of_them() -> None:
    assert (len(SPOKEN), len(REFUSED)) == (76, 1)


@pytest.mark.parametrize("case", SPOKEN, ids=lambda case: case["text"] or "empty")
def test_the_original_reads_it_this_way(case: dict[str, str]) -> None:
    utterance = frontend.analyse(case["text"], frontend.Profile.AS_ORIGINAL)
    assert utterance.spoken == case["norm"]
    assert " ".join(utterance.phones) == case["phones"]
    assert " ".join(map(str, utterance.tones)) == case["tones"]
    assert " ".join(map(str, utterance.word2ph)) == case["word2ph"]
    ids = [symbols.SYMBOL_IDS[phone] for phone in utterance.phones]
    assert " ".join(map(str, ids)) == case["ids"]
    blanked = utterance.ids()
    assert blanked.phone_ids[1::2] == tuple(ids)
    assert set(blanked.phone_ids[::2]) == {0}
    assert len(blanked.tone_ids) == len(blanked.language_ids) == sum(blanked.word2ph) == 2 * len(ids) + 1


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["text"])
def test_where_the_original_fails_we_say_why(case: dict[str, str]) -> None:
    with pytest.raises(frontend.UnspeakableText, match="20 digits; at most 16") as refusal:
        frontend.analyse(case["text"], frontend.Profile.AS_ORIGINAL)
    assert refusal.value.position == 0
