"""Where cuts fall, on made-up layouts of speech and pauses."""

import dataclasses
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import corpora, orders
from kelong_trainer.corpus.clips import cutting

RATE_HZ = 44100
FRAME = RATE_HZ // 100
QUIET, SPEECH, BREATH = -60.0, -20.0, -41.0
BOUNDS = orders.Slicing()


def layout(parts, *, noise=0.0, breaths=True, speech=None, words=True):
    """A recording of alternating parts: ("speech" | "pause" | "breath" | "music", seconds).

    Somebody says a word each half second of speech. What the detector found is the speech itself, or `speech`.
    """
    found, heard, music, levels, said, position_s = [], [], [], [], [], 0.0
    for kind, length_s in parts:
        end_s = position_s + length_s
        if kind == "speech":
            found.append(corpora.Stretch(start_s=position_s, end_s=end_s))
            count = max(1, round(length_s / 0.5))
            edges = np.linspace(position_s, end_s, count + 1).tolist()
            said += [corpora.Word(text="好", start_s=a, end_s=b, probability=0.9) for a, b in pairwise(edges)]
        elif kind == "breath" and breaths:
            heard.append(corpora.Breath(start_s=position_s, end_s=end_s, level_db=19, confidence=0.9))
        elif kind == "music":
            music.append(corpora.Stretch(start_s=position_s, end_s=end_s))
        level = {"speech": SPEECH, "pause": QUIET, "breath": BREATH, "music": -25.0}[kind]
        levels += [level] * round(length_s * 100)
        position_s = end_s
    levels = np.array(levels, np.float32)
    levels = (levels + np.random.default_rng(7).normal(0, noise, len(levels))).astype(np.float32) if noise else levels
    return cutting.Heard(
        levels=levels,
        samples=len(levels) * RATE_HZ // 100,
        listening=corpora.Listening(
            key="a.wav",
            noise_floor_dbfs=QUIET,
            speech=tuple(found if speech is None else [corpora.Stretch(start_s=a, end_s=b) for a, b in speech]),
            breaths=tuple(heard),
            music=tuple(music),
        ),
        words=tuple(said) if words else (),
    )


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


@settings(max_examples=60, deadline=None)
@given(lead=st.floats(0, 3), layout_of=layouts, bounds=bounds, spread=st.floats(0, 5))
def test_whatever_the_layout_every_sample_is_in_one_piece_and_no_speech_is_cut(lead, layout_of, bounds, spread):
    parts = [("pause", round(lead, 2))] + [
        part for talk, gap in layout_of for part in (("speech", talk), ("pause", gap))
    ]
    heard = layout(parts, noise=spread)
    plan = cutting.plan(heard, bounds)
    assert sum(piece.end - piece.start for piece in plan.pieces) == heard.samples
    assert [piece.start for piece in plan.pieces] == [0, *(piece.end for piece in plan.pieces)][: len(plan.pieces)]
    edges = {piece.start / FRAME for piece in plan.pieces} | {piece.end / FRAME for piece in plan.pieces}
    assert not [unit for unit in plan.units for edge in edges if unit.first < edge < unit.end]
    covered = [index for piece in plan.pieces for index in range(piece.first, piece.last + 1)]
    assert covered == list(range(len(plan.units))), "each stretch of speech is in exactly one piece"
    assert sum(map(len, plan.words)) == len(heard.words), "each word is in exactly one stretch"
    for piece in clips(plan):
        assert bounds.min_s - 0.01 <= seconds(piece) <= bounds.max_s + 0.01
        inside = plan.units[piece.first : piece.last + 1]
        assert all(right.first - left.end <= 300 for left, right in pairwise(inside))
        assert inside[0].first - piece.start / FRAME <= 41
        assert piece.end / FRAME - inside[-1].end <= 41
    assert cutting.plan(heard, bounds) == plan


def test_even_speech_is_cut_to_the_length_aimed_for():
    plan = cutting.plan(layout([("speech", 2.5), ("pause", 0.5)] * 40), BOUNDS)
    assert sum(seconds(piece) for piece in clips(plan)) > 110
    assert all(10 <= seconds(piece) <= 15 for piece in clips(plan)), [seconds(piece) for piece in clips(plan)]


def test_a_fast_talker_s_short_pauses_are_cut_too():
    random = np.random.default_rng(4)
    parts = [part for _ in range(30) for part in (("speech", round(random.uniform(2, 5), 2)), ("pause", 0.2))]
    lengths = [seconds(piece) for piece in clips(cutting.plan(layout(parts), BOUNDS))]
    assert sum(10 <= length <= 15 for length in lengths) >= 0.9 * len(lengths), lengths


def test_the_choice_looks_ahead():
    """Greedy cutting at the first fitting pause would leave the last 3 s alone; one cut in the middle serves both."""
    plan = cutting.plan(layout([("speech", 5), ("pause", 0.5)] * 4), BOUNDS)
    assert [round(seconds(piece)) for piece in clips(plan)] == [11, 11]


def test_a_cut_prefers_the_longer_pause():
    parts = [("speech", 6), ("pause", 0.12), ("speech", 6), ("pause", 0.8), ("speech", 6), ("pause", 0.12)]
    first, second = clips(cutting.plan(layout([*parts, ("speech", 6)]), BOUNDS))
    assert 12.1 < first.end / RATE_HZ <= second.start / RATE_HZ < 12.95


def test_a_cut_prefers_the_end_of_a_sentence():
    heard = layout([("speech", 2), ("pause", 0.5)] * 20)
    ended = [dataclasses.replace(word, text="好。") if word.end_s in (14.5, 24.5) else word for word in heard.words]
    plan = cutting.plan(dataclasses.replace(heard, words=ended), BOUNDS)
    assert [round(piece.end / RATE_HZ, 1) for piece in clips(plan)[:2]] == [14.7, 24.7]


def test_a_cut_falls_at_the_quietest_place_of_its_pause():
    heard = layout([("speech", 10), ("pause", 0.6), ("speech", 10)])
    heard.levels[1035:1042] -= 15
    first, second = clips(cutting.plan(heard, BOUNDS))
    assert first.end == second.start == pytest.approx(10.38 * RATE_HZ, abs=0.03 * RATE_HZ)


@pytest.mark.parametrize("noticed", [True, False])
def test_a_breath_stays_whole_and_leads_the_next_clip(noticed):
    parts = [("speech", 10), ("pause", 0.25), ("breath", 0.2), ("pause", 0.1), ("speech", 10)]
    first, second = clips(cutting.plan(layout(parts, breaths=noticed), BOUNDS))
    assert 10.0 < first.end / RATE_HZ <= 10.25
    assert 10.0 < second.start / RATE_HZ <= 10.25


def test_a_breath_right_after_speech_is_not_cut():
    parts = [("speech", 10), ("breath", 0.3), ("pause", 0.3), ("speech", 10)]
    first, second = clips(cutting.plan(layout(parts), BOUNDS))
    assert first.end == second.start == 10 * RATE_HZ


def test_silence_before_a_leading_breath_is_bounded_and_the_breath_is_kept():
    parts = [("speech", 10), ("pause", 2), ("breath", 0.4), ("pause", 0.1), ("speech", 10), ("breath", 0.3)]
    first, second = clips(cutting.plan(layout([*parts, ("pause", 1)]), BOUNDS))
    assert first.end / RATE_HZ == pytest.approx(10.4, abs=0.02)
    assert second.start / RATE_HZ == pytest.approx(11.6, abs=0.02)
    assert second.end / RATE_HZ == pytest.approx(22.5, abs=0.02)


def test_pauses_that_the_detector_bridged_are_found_by_level():
    heard = layout([("speech", 4.0), ("pause", 0.2)] * 15, speech=[(0, 62.8)], noise=0.3)
    lengths = [seconds(piece) for piece in clips(cutting.plan(heard, BOUNDS))]
    assert len(lengths) == 5 and all(12 < length < 13 for length in lengths), lengths


def test_a_breath_in_a_bridged_pause_leads_the_next_clip_too():
    parts = [("speech", 4.0), ("pause", 0.15), ("breath", 0.3), ("pause", 0.1)] * 12
    heard = layout(parts, speech=[(0, 54.6)], noise=0.3)
    first, *_, last = clips(cutting.plan(heard, BOUNDS))
    for piece in (first, last):
        in_period_s = (piece.start / RATE_HZ) % 4.55
        assert in_period_s == 0 or 4.0 < in_period_s < 4.15, in_period_s


def test_a_quiet_moment_inside_of_a_word_is_no_pause():
    heard = layout([("speech", 4.0), ("pause", 0.2)] * 15, speech=[(0, 62.8)])
    long = tuple(corpora.Word(text="好", start_s=a, end_s=a + 21, probability=1) for a in (0, 21, 42))
    plan = cutting.plan(dataclasses.replace(heard, words=long), BOUNDS)
    assert [round(seconds(piece)) for piece in clips(plan)] == [21, 21, 21]


def test_speech_without_a_pause_is_cut_where_least_is_heard_between_two_words():
    heard = layout([("speech", 40)])
    heard.levels[1490:1500] -= 12
    heard.levels[2490:2494] -= 12
    heard.levels[2020:2024] -= 30  # in the middle of a word
    plan = cutting.plan(heard, BOUNDS)
    assert [round(piece.end / RATE_HZ, 1) for piece in clips(plan)] == [14.9, 40.0]


def test_speech_without_any_place_to_cut_is_left_out_as_too_long():
    plan = cutting.plan(layout([("speech", 35), ("pause", 1), ("speech", 10)]), BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["TooLong", "clip"]


def test_a_word_alone_between_long_pauses_is_left_out_as_too_short():
    heard = layout([("speech", 10), ("pause", 4), ("speech", 0.5), ("pause", 4), ("speech", 10)])
    plan = cutting.plan(heard, BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["clip", "TooShort", "clip"]


def test_a_recording_without_speech_is_one_silence():
    plan = cutting.plan(layout([("pause", 3)]), BOUNDS)
    assert plan.pieces == (cutting.Piece(start=0, end=3 * RATE_HZ, kind="Silence"),)


def test_music_between_speech_is_told_from_silence():
    plan = cutting.plan(layout([("speech", 10), ("pause", 1), ("music", 8), ("pause", 1), ("speech", 10)]), BOUNDS)
    assert [piece.kind for piece in plan.pieces] == ["clip", "Silence", "Music", "Silence", "clip"]
    assert [round(piece.end / RATE_HZ, 1) for piece in plan.pieces] == [10.4, 11.0, 19.0, 19.6, 30.0]


def test_music_that_the_detector_takes_for_speech_is_music_where_no_word_is_heard():
    heard = layout([("speech", 10), ("pause", 1), ("music", 8), ("pause", 1), ("speech", 10)])
    more = (*heard.listening.speech, corpora.Stretch(start_s=11, end_s=19))
    plan = cutting.plan(dataclasses.replace(heard, listening=dataclasses.replace(heard.listening, speech=more)), BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["clip", "Music", "clip"]


def test_another_language_is_in_no_clip():
    heard = layout([("speech", 12), ("pause", 0.5)] * 3)
    foreign = corpora.ForeignStretch(start_s=12.2, end_s=24.8, language="en")
    words = [word for word in heard.words if not 12.2 < word.start_s < 24.8]
    plan = cutting.plan(dataclasses.replace(heard, words=words, foreign=[foreign]), BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["clip", "OtherLanguage", "clip"]


def test_sound_without_words_is_left_out_rather_than_put_into_a_clip():
    heard = layout([("speech", 11), ("pause", 0.5), ("speech", 3), ("pause", 0.5), ("speech", 11)])
    words = [word for word in heard.words if not 11.2 < word.start_s < 14.8]
    plan = cutting.plan(dataclasses.replace(heard, words=words), BOUNDS)
    assert [piece.kind for piece in plan.pieces if piece.kind != "Silence"] == ["clip", "NoText", "clip"]


def test_two_voices_are_not_put_into_one_clip():
    heard = layout([("speech", 3.5), ("pause", 0.5)] * 8)
    voices = tuple(
        corpora.VoiceStretch(start_s=s.start_s, end_s=s.end_s, similarity=0.9 if index not in (3, 4) else 0.6)
        for index, s in enumerate(heard.listening.speech)
    )
    listening = dataclasses.replace(heard.listening, voices=voices)
    plan = cutting.plan(dataclasses.replace(heard, listening=listening), BOUNDS)
    assert [(piece.first, piece.last) for piece in clips(plan)] == [(0, 2), (3, 4), (5, 7)]


def test_a_clip_that_came_with_its_text_stays_whole_but_for_silence_at_its_ends():
    heard = layout([("pause", 1), ("speech", 3), ("pause", 4), ("speech", 3), ("pause", 0.2)])
    plan = cutting.whole(heard, BOUNDS)
    (clip,) = clips(plan)
    assert (clip.first, clip.last, clip.end) == (0, 1, heard.samples)
    assert clip.start / RATE_HZ == pytest.approx(0.6, abs=0.02)


def test_a_clip_that_came_with_its_text_is_left_out_where_it_is_in_another_language():
    heard = layout([("speech", 5), ("pause", 0.2)], words=False)
    foreign = corpora.ForeignStretch(start_s=0, end_s=5, language="en")
    plan = cutting.whole(dataclasses.replace(heard, foreign=[foreign]), BOUNDS)
    assert [piece.kind for piece in plan.pieces] == ["OtherLanguage"]


def lines_run(work):
    """How many lines of Python some work takes: what it costs, whatever else this machine does."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def test_a_long_recording_is_cut_with_work_proportional_to_its_length():
    parts = [("speech", 1.5), ("pause", 0.2), ("breath", 0.2), ("pause", 0.1)]
    short, long = (layout(parts * times) for times in (300, 1200))
    assert lines_run(lambda: cutting.plan(long, BOUNDS)) < 4.4 * lines_run(lambda: cutting.plan(short, BOUNDS))
