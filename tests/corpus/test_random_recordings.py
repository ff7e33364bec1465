"""Recordings that nobody thought of: whatever was heard, every sample is in one piece and nothing spoken is cut."""

import itertools
from dataclasses import dataclass

import hypothesis
import numpy as np
from hypothesis import strategies as draws
from kelong_contract import corpora, orders
from kelong_trainer.corpus.clips import cutting
from kelong_trainer.corpus.listening.pauses import FRAME_SAMPLES
from kelong_trainer.corpus.sound import noise

VOICE_DBFS = -20.0
LONGEST_WORD_FRAMES = 60
# Ours are slower than the default deadline on a busy machine.
several = hypothesis.settings(deadline=None, max_examples=40)


@dataclass(frozen=True)
class Part:
    """Frames of speech and of the pause after it, and a breath in that pause: where from its start, and how long."""

    speech: int
    pause: int
    breath: tuple[int, int] | None


@draws.composite
def parts(draw: draws.DrawFn) -> Part:
    pause = draw(draws.one_of(draws.integers(16, 130), draws.integers(130, 900)))
    breath = None
    if pause >= 50 and draw(draws.booleans()):
        length = draw(draws.integers(12, min(80, pause - 30)))
        breath = (draw(draws.integers(12, pause - length - 12)), length)
    return Part(
        speech=draw(draws.one_of(draws.integers(15, 700), draws.integers(700, 4000))), pause=pause, breath=breath
    )


@draws.composite
def bounds(draw: draws.DrawFn) -> orders.Slicing:
    min_s = draw(draws.floats(0.5, 4.0))
    aim_min_s = draw(draws.floats(min_s, 12.0))
    aim_max_s = draw(draws.floats(aim_min_s, 18.0))
    return orders.Slicing(
        min_s=min_s, aim_min_s=aim_min_s, aim_max_s=aim_max_s, max_s=draw(draws.floats(max(aim_max_s, 5.0), 40.0))
    )


@dataclass(frozen=True)
class Recording:
    """What was heard of it, and the truth in frames."""

    heard: cutting.Heard
    spoken: tuple[tuple[int, int], ...]
    breaths: tuple[tuple[int, int], ...]


def recording(given: list[Part], lead: int, floor_dbfs: float, seed: int) -> Recording:
    """Levels as of a voice over a room; the detector starts late and ends late, words have times of their own."""
    random = np.random.default_rng(seed)
    frames = lead + sum(part.speech + part.pause for part in given)
    levels = floor_dbfs + random.normal(0.0, 0.5, frames)
    spoken, breaths, detected, words, position = [], [], [], [], lead
    for part in given:
        end = position + part.speech
        levels[position:end] = VOICE_DBFS + random.uniform(-6.0, 4.0, part.speech)
        spoken.append((position, end))
        detected.append(stretch(position + random.integers(0, min(8, part.speech - 2)), end + random.integers(0, 3)))
        edges = [*range(position, end, int(random.integers(20, LONGEST_WORD_FRAMES))), end]
        words += [word(*pair) for pair in itertools.pairwise(edges)]
        if part.breath is not None:
            first = end + part.breath[0]
            levels[first : first + part.breath[1]] = floor_dbfs + random.uniform(12.0, 25.0)
            breaths.append((first, first + part.breath[1]))
        position = end + part.pause
    listening = corpora.Listening(
        key="one.flac",
        noise_floor_dbfs=floor_dbfs,
        speech=tuple(detected),
        breaths=tuple(
            corpora.Breath(start_s=first / 100, end_s=end / 100, level_db=15.0, confidence=0.9)
            for first, end in breaths
        ),
    )
    samples = frames * FRAME_SAMPLES - int(random.integers(0, FRAME_SAMPLES))
    heard = cutting.Heard(levels=levels.astype(np.float32), samples=samples, listening=listening, words=tuple(words))
    return Recording(heard=heard, spoken=tuple(spoken), breaths=tuple(breaths))


def stretch(first: int, end: int) -> corpora.Stretch:
    return corpora.Stretch(start_s=first * noise.FRAME_S, end_s=end * noise.FRAME_S)


def word(first: int, end: int) -> corpora.Word:
    return corpora.Word(text="字", start_s=first * noise.FRAME_S, end_s=end * noise.FRAME_S, probability=0.9)


recordings = draws.builds(
    recording,
    draws.lists(parts(), max_size=14),
    draws.integers(1, 300),
    draws.floats(-75.0, -48.0),
    draws.integers(0, 2**32 - 1),
)


def edges_of(plan: cutting.Plan) -> list[int]:
    return sorted({edge for piece in plan.pieces if piece.kind == "clip" for edge in (piece.start, piece.end)})


@several
@hypothesis.given(recordings, bounds())
def test_every_sample_is_in_exactly_one_piece(made: Recording, limits: orders.Slicing) -> None:
    pieces = cutting.plan(made.heard, limits).pieces
    ends = [0, *(piece.end for piece in pieces)]
    assert [piece.start for piece in pieces] == ends[:-1]
    assert ends[-1] == made.heard.samples
    assert all(piece.end > piece.start for piece in pieces)


@several
@hypothesis.given(recordings, bounds())
def test_clips_keep_to_the_bounds_whatever_they_are(made: Recording, limits: orders.Slicing) -> None:
    frame_s = noise.FRAME_S
    for piece in cutting.plan(made.heard, limits).pieces:
        if piece.kind == "clip":
            length_s = (piece.end - piece.start) / FRAME_SAMPLES * frame_s
            assert limits.min_s - frame_s <= length_s <= limits.max_s + frame_s


@several
@hypothesis.given(recordings, bounds())
def test_no_cut_lies_inside_speech_or_a_breath(made: Recording, limits: orders.Slicing) -> None:
    edges = [edge / FRAME_SAMPLES for edge in edges_of(cutting.plan(made.heard, limits))]
    for first, end in (*made.spoken, *made.breaths):
        assert not [edge for edge in edges if first + 1 < edge < end - 1]


@several
@hypothesis.given(recordings, bounds())
def test_speech_is_left_out_only_if_it_is_too_short_or_too_long(made: Recording, limits: orders.Slicing) -> None:
    plan = cutting.plan(made.heard, limits)
    for piece in plan.pieces:
        spoken = sum(
            max(0, min(end, piece.end / FRAME_SAMPLES) - max(first, piece.start / FRAME_SAMPLES))
            for first, end in made.spoken
        )
        assert piece.kind in ("clip", "TooShort", "TooLong") or spoken <= 1


@several
@hypothesis.given(recordings, bounds())
def test_every_word_is_in_one_unit(made: Recording, limits: orders.Slicing) -> None:
    plan = cutting.plan(made.heard, limits)
    said = [one for unit in plan.words for one in unit]
    assert sorted(said, key=lambda one: one.start_s) == list(made.heard.words if plan.units else ())


@several
@hypothesis.given(recordings, bounds())
def test_the_same_recording_is_cut_alike_again(made: Recording, limits: orders.Slicing) -> None:
    assert cutting.plan(made.heard, limits) == cutting.plan(made.heard, limits)
