"""Where cuts fall, on made-up layouts of speech and pauses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import corpora, orders
from kelong_trainer.corpus import cutting

RATE_HZ = 44100
QUIET, SPEECH, BREATH = -60.0, -20.0, -41.0
BOUNDS = orders.Slicing()


def layout(parts):
    """Speech and levels of alternating parts: ("speech" | "pause" | "breath", seconds)."""
    speech, levels, position_s = [], [], 0.0
    for kind, length_s in parts:
        if kind == "speech":
            speech.append(corpora.Stretch(start_s=position_s, end_s=position_s + length_s))
        level = {"speech": SPEECH, "pause": QUIET, "breath": BREATH}[kind]
        levels += [level] * round(length_s * 100)
        position_s += length_s
    return speech, np.array(levels), round(position_s * RATE_HZ)


def clips(plan):
    return [piece for piece in plan.pieces if piece.kind == "clip"]


def seconds(piece):
    return (piece.end - piece.start) / RATE_HZ


gaps = st.floats(0.1, 4.0).map(lambda value: round(value, 2))
speeches = st.floats(0.1, 40.0).map(lambda value: round(value, 2))
layouts = st.lists(st.tuples(speeches, gaps), max_size=25)
bounds = st.tuples(st.floats(0.5, 5), st.floats(0, 8), st.floats(0, 8), st.floats(0, 8)).map(
    lambda parts: orders.Slicing(min_s=parts[0], aim_min_s=sum(parts[:2]), aim_max_s=sum(parts[:3]), max_s=sum(parts))
)


@settings(max_examples=150, deadline=None)
@given(lead=st.floats(0, 3), layout_of=layouts, bounds=bounds, seed=st.integers(0, 2**16))
def test_whatever_the_layout_every_sample_is_in_one_piece_and_no_speech_is_cut(lead, layout_of, bounds, seed):
    speech, levels, samples = layout(
        [("pause", round(lead, 2))] + [part for talk, gap in layout_of for part in (("speech", talk), ("pause", gap))]
    )
    levels = levels + np.random.default_rng(seed).uniform(0, 15, len(levels))
    plan = cutting.plan(speech, levels, samples, bounds)
    assert sum(piece.end - piece.start for piece in plan.pieces) == samples
    assert [piece.start for piece in plan.pieces] == [0, *(piece.end for piece in plan.pieces)][: len(plan.pieces)]
    edges = {piece.start for piece in plan.pieces} | {piece.end for piece in plan.pieces}
    assert not [unit for unit in plan.units for edge in edges if unit.start < edge < unit.end]
    covered = [index for piece in plan.pieces for index in range(piece.first, piece.last + 1)]
    assert covered == list(range(len(plan.units))), "each stretch of speech is in exactly one piece"
    for piece in clips(plan):
        assert bounds.min_s <= seconds(piece) <= bounds.max_s
        inside = plan.units[piece.first : piece.last + 1]
        assert all(right.start - left.end <= 3 * RATE_HZ for left, right in pairwise(inside))
        assert inside[0].start - piece.start <= 0.4 * RATE_HZ + 1
        assert piece.end - inside[-1].end <= 0.4 * RATE_HZ + 1
    assert cutting.plan(speech, levels, samples, bounds) == plan


def test_even_speech_is_cut_to_the_length_aimed_for():
    plan = cutting.plan(*layout([("speech", 2.5), ("pause", 0.5)] * 40), BOUNDS)
    assert sum(seconds(piece) for piece in clips(plan)) > 110
    assert all(9 <= seconds(piece) <= 15.5 for piece in clips(plan)), [seconds(piece) for piece in clips(plan)]


def test_the_choice_looks_ahead():
    """Greedy cutting at the first fitting pause would leave the last 3 s alone; one cut in the middle serves both."""
    plan = cutting.plan(*layout([("speech", 5), ("pause", 0.5)] * 4), BOUNDS)
    assert [round(seconds(piece)) for piece in clips(plan)] == [11, 11]


def test_a_cut_prefers_the_longer_pause():
    parts = [("speech", 6), ("pause", 0.12), ("speech", 6), ("pause", 0.8), ("speech", 6), ("pause", 0.12)]
    first, second = clips(cutting.plan(*layout([*parts, ("speech", 6)]), BOUNDS))
    assert 12.1 < first.end / RATE_HZ <= second.start / RATE_HZ < 12.95


def test_a_cut_falls_at_the_quietest_place_of_its_pause():
    speech, levels, samples = layout([("speech", 10), ("pause", 0.6), ("speech", 10)])
    levels[1035:1040] -= 15
    first, second = clips(cutting.plan(speech, levels, samples, BOUNDS))
    assert first.end == second.start == pytest.approx(10.375 * RATE_HZ, abs=0.03 * RATE_HZ)


def test_a_breath_stays_whole_and_leads_the_next_clip():
    parts = [("speech", 10), ("pause", 0.15), ("breath", 0.2), ("pause", 0.1), ("speech", 10)]
    first, second = clips(cutting.plan(*layout(parts), BOUNDS))
    assert 10.0 < first.end / RATE_HZ <= 10.15
    assert 10.0 < second.start / RATE_HZ <= 10.15


def test_speech_without_a_pause_is_left_out_as_too_long():
    plan = cutting.plan(*layout([("speech", 35), ("pause", 1), ("speech", 10)]), BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["TooLong", "clip"]


def test_a_word_alone_between_long_pauses_is_left_out_as_too_short():
    plan = cutting.plan(*layout([("speech", 10), ("pause", 4), ("speech", 0.5), ("pause", 4), ("speech", 10)]), BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["clip", "TooShort", "clip"]


def test_a_recording_without_speech_is_one_silence():
    plan = cutting.plan(*layout([("pause", 3)]), BOUNDS)
    assert plan.pieces == (cutting.Piece(start=0, end=3 * RATE_HZ, kind="Silence"),)
