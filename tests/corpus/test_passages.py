"""What the recogniser hears at once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kelong_contract.corpora import Stretch, Word
from kelong_trainer.corpus.words import passages


def stretches(*spans):
    return [Stretch(start_s=start, end_s=end) for start, end in spans]


def middle(start_s, end_s):
    return (start_s + end_s) / 2


def test_speech_fills_a_window_up_to_its_longest_late_pause():
    speech = stretches((1, 8), (8.3, 18), (19, 24), (24.2, 27), (27.3, 35))
    first, second = passages.of(speech, 36.0, middle)
    assert first.end_s == pytest.approx(18.5) and second.start_s == pytest.approx(18.5)
    assert second.end_s == pytest.approx(35.5)


def test_a_long_pause_is_left_out_but_for_a_second():
    (passage,) = passages.of(stretches((2, 5), (30, 34)), 40.0, middle)
    assert passage.parts == tuple(stretches((1.5, 5.5), (29.5, 34.5)))
    assert passage.heard_s == pytest.approx(9.0)
    assert passage.time_s(3.9) == pytest.approx(5.4) and passage.time_s(4.1) == pytest.approx(29.6)


def test_a_word_gets_the_times_of_the_recording_and_stays_on_its_side_of_a_pause():
    (passage,) = passages.of(stretches((2, 5), (30, 34)), 40.0, middle)
    late = passage.place(Word(text="好", start_s=3.8, end_s=4.4, probability=0.9))
    assert (late.start_s, late.end_s) == (pytest.approx(5.3), pytest.approx(5.5))
    behind = passage.place(Word(text="走", start_s=4.5, end_s=4.8, probability=0.9))
    assert (behind.start_s, behind.end_s) == (pytest.approx(30.0), pytest.approx(30.3))


def test_speech_without_a_pause_is_parted_at_its_quietest_place():
    asked = []

    def quietest(start_s, end_s):
        asked.append((start_s, end_s))
        return start_s + 1.0

    found = passages.of(stretches((0, 40)), 40.0, quietest)
    assert [passage.heard_s <= passages.LONGEST_S for passage in found] == [True] * len(found)
    assert found[0].end_s == pytest.approx(asked[0][0] + 1.0) == found[1].start_s


def test_nobody_speaking_gives_no_passage():
    assert passages.of([], 100.0, middle) == ()


@given(st.lists(st.tuples(st.floats(0.05, 9.0), st.floats(0.1, 12.0)), min_size=1, max_size=40))
def test_every_stretch_is_heard_once_and_no_window_is_overfull(lengths):
    position, speech = 0.0, []
    for pause_s, length_s in lengths:
        speech.append(Stretch(start_s=position + pause_s, end_s=position + pause_s + length_s))
        position += pause_s + length_s
    found = passages.of(speech, position + 1, middle)
    parts = [part for passage in found for part in passage.parts]
    assert all(left.end_s <= right.start_s + 1e-9 for left, right in itertools.pairwise(parts))
    assert all(passage.heard_s <= passages.LONGEST_S + 1e-6 for passage in found)
    for item in speech:
        heard_s = sum(max(0.0, min(part.end_s, item.end_s) - max(part.start_s, item.start_s)) for part in parts)
        assert heard_s == pytest.approx(item.end_s - item.start_s)
