"""The scores that preparation is measured by: small truths, small corpora, sums by hand."""

import itertools

import numpy as np
import pytest
from corpus import label_scores, mark_scores, scores, sounds, spans, studio, truth, usual_slicer, voices
from kelong_contract import codec, corpora, orders

BOUNDS = orders.Slicing()


def said(start_s: float, text: str, *, each_s: float = 0.2, speaker: str = truth.OWN) -> truth.Said:
    characters = tuple(
        truth.Character(text=one, start_s=start_s + index * each_s, end_s=start_s + (index + 1) * each_s)
        for index, one in enumerate(text)
    )
    return truth.Said(text=text, speaker=speaker, characters=characters)


def breath(start_s: float, end_s: float) -> truth.Planted:
    return truth.Planted(kind="breath", start_s=start_s, end_s=end_s, level_dbfs=-40.0)


def take(*spoken: truth.Said, planted: tuple[truth.Planted, ...] = (), duration_s: float = 10.0) -> truth.Take:
    return truth.Take(name="one", duration_s=duration_s, noise_dbfs=-60.0, said=spoken, planted=planted)


def clip(start_s: float, end_s: float, text: str = "", **more: object) -> corpora.Clip:
    fields = {"sha256": "a", "speaker": "S", "samples": 1, "confidence": 0.9, **more}
    return corpora.Clip(recording="recordings/one.flac", start_s=start_s, end_s=end_s, text=text, **fields)


def rejection(start_s: float, end_s: float, reason: corpora.Reason, sha256: str = "") -> corpora.Rejection:
    return corpora.Rejection(
        recording="recordings/one.flac", start_s=start_s, end_s=end_s, reason=reason, message="", sha256=sha256
    )


def corpus(*pieces: corpora.Clip | corpora.Rejection, duration_s: float = 10.0) -> corpora.Corpus:
    recording = corpora.Recording(
        key="recordings/one.flac", speaker="S", size_bytes=1, sha256="b", duration_s=duration_s
    )
    return corpora.Corpus(
        stage="mark",
        speakers={"S": 0},
        recordings=(recording,),
        clips=tuple(piece for piece in pieces if isinstance(piece, corpora.Clip)),
        rejections=tuple(piece for piece in pieces if isinstance(piece, corpora.Rejection)),
    )


def test_a_cut_inside_speech_is_a_word_cut_and_one_at_its_edge_is_not() -> None:
    spoken = take(said(1.0, "你好吗"), said(3.0, "很好"))
    cut = corpus(clip(0.5, 1.3), clip(1.605, 3.39), rejection(5.0, 10.0, "Silence"))
    assert scores.cuts([spoken], cut).words_cut == 1
    assert scores.cuts([spoken], cut).cuts == 4


def test_a_cut_between_two_characters_that_are_said_in_one_breath_is_a_word_cut() -> None:
    assert scores.cuts([take(said(1.0, "你好吗"))], corpus(clip(0.5, 1.2), clip(1.2, 2.0))).words_cut == 1


def test_breaths_are_cut_lead_or_trail() -> None:
    spoken = take(said(1.0, "好"), said(2.0, "好"), said(3.0, "好"), said(4.0, "好"), planted=(breath(1.5, 1.8),))
    assert scores.cuts([spoken], corpus(clip(0.9, 1.6), clip(1.6, 4.5))).breaths_cut == 1
    leading = scores.cuts([spoken], corpus(clip(0.9, 1.4), clip(1.4, 4.5)))
    assert (leading.leading, leading.trailing, leading.breaths_cut) == (1, 0, 0)
    assert (leading.whole, leading.breaths) == (1, 1)
    trailing = scores.cuts([spoken], corpus(clip(0.9, 1.9), clip(1.9, 4.5)))
    assert (trailing.leading, trailing.trailing) == (0, 1)
    assert scores.cuts([spoken], corpus(clip(0.9, 4.5))).leading == 0


def test_the_cuts_of_clips_that_were_rejected_later_count() -> None:
    spoken = take(said(1.0, "你好吗"))
    assert scores.cuts([spoken], corpus(rejection(0.0, 1.3, "Noisy", sha256="c"))).words_cut == 1
    assert scores.cuts([spoken], corpus(rejection(0.0, 1.3, "Music"))).words_cut == 0


def test_what_is_kept_and_lost_of_the_own_speech_adds_up() -> None:
    spoken = take(said(1.0, "你好吗"), said(3.0, "很好"), said(5.0, "别人", speaker=truth.OTHER))
    found = scores.kept([spoken], corpus(clip(0.5, 2.0), rejection(2.0, 3.2, "TooShort"), clip(3.2, 10.0)))
    assert found.spoken_s == pytest.approx(1.0)
    assert found.kept_s == pytest.approx(0.8)
    assert found.lost_s == pytest.approx({"TooShort": 0.2})
    assert found.share == pytest.approx(0.8)


def test_another_speaker_is_counted_by_seconds_of_speech() -> None:
    spoken = take(said(1.0, "你好吗好"), said(5.0, "别人在说", speaker=truth.OTHER))
    found = scores.voices([spoken], corpus(clip(0.0, 1.6), rejection(1.6, 5.6, "OtherSpeaker"), clip(5.6, 10.0)))
    assert found.recall == pytest.approx(0.75)
    assert found.precision == pytest.approx(0.6 / 0.8)
    assert found.other_kept_s == pytest.approx(0.2)


def test_breaths_are_found_by_half_and_false_alarms_are_named() -> None:
    click = truth.Planted(kind="click", start_s=5.0, end_s=5.01, level_dbfs=-30.0)
    speech = (said(1.0, "好"), said(2.5, "好"), said(3.5, "好"), said(4.5, "好"))
    spoken = take(*speech, planted=(breath(2.0, 2.4), breath(3.0, 3.4), breath(4.0, 4.4), click))
    reported = [
        truth.Span(start_s=start_s, end_s=end_s)
        for start_s, end_s in ((2.05, 2.35), (3.25, 3.5), (4.9, 5.2), (7.0, 7.2), (0.9, 1.3))
    ]
    found = scores.breaths([spoken], {"one": reported})
    assert (found.planted, found.found, found.reported) == (3, 1, 5)
    again = "a breath again, or less than half of one"
    assert found.false_alarms == {again: 1, "click": 1, "nothing": 1, "speech": 1}
    assert found.precision == pytest.approx(0.2)
    assert found.non_breaths == {"click": 1}


def test_a_breath_reported_twice_is_one_breath_and_one_false_alarm() -> None:
    spans_found = [truth.Span(start_s=2.0, end_s=2.3), truth.Span(start_s=2.3, end_s=2.4)]
    found = scores.breaths([take(said(2.5, "好"), planted=(breath(2.0, 2.4),))], {"one": spans_found})
    assert (found.found, sum(found.false_alarms.values())) == (1, 1)


def test_breaths_that_no_speech_follows_are_counted_apart() -> None:
    spoken = take(said(1.0, "好"), planted=(breath(0.4, 0.8), breath(2.0, 2.4), breath(9.0, 9.4)))
    found = scores.breaths([spoken], {"one": [truth.Span(start_s=2.0, end_s=2.4)]})
    assert (found.planted, found.found, found.stray, found.stray_found) == (1, 0, 2, 1)
    assert found.precision == 1.0


def test_lengths_tell_which_recordings_could_be_cut_as_aimed() -> None:
    whole = said(0.5, "好" * 57)  # 11.4 s without a pause
    both = take(whole, said(12.5, "好" * 57), duration_s=24.5)
    assert scores.can_be_aimed(both, BOUNDS)
    found = scores.lengths([both], corpus(clip(0.0, 12.2), clip(12.2, 24.5), duration_s=24.5), BOUNDS)
    assert (found.clips, found.in_aim, found.possible_in_aim, found.longest_s) == (2, 2, 2, pytest.approx(12.3))
    short = take(said(0.5, "好" * 30), duration_s=7.0)
    assert not scores.can_be_aimed(short, BOUNDS)
    long = take(said(0.5, "好" * 90), duration_s=19.0)
    assert not scores.can_be_aimed(long, BOUNDS)
    assert scores.lengths([long], corpus(clip(0.0, 31.0)), BOUNDS).outside == 1


def test_gaps_overlaps_and_overruns_are_unaccounted() -> None:
    assert scores.unaccounted_s(corpus(clip(0.0, 4.0), rejection(4.0, 10.0, "Silence"))) == 0.0
    assert scores.unaccounted_s(corpus(clip(0.0, 4.0), rejection(5.0, 10.0, "Silence"))) == pytest.approx(1.0)
    assert scores.unaccounted_s(corpus(clip(0.0, 4.0), rejection(3.0, 10.0, "Silence"))) == pytest.approx(1.0)
    assert scores.unaccounted_s(corpus(clip(0.0, 4.0))) == pytest.approx(6.0)


def test_a_review_catches_what_lies_in_its_least_trusted_share() -> None:
    trust = [0.1 * index for index in range(20)]
    assert scores.caught(trust, [3.0] + [0.0] * 18 + [1.0], 0.05) == pytest.approx(0.75)
    assert scores.caught([1.0] * 20, [1.0] * 20, 0.05) == pytest.approx(0.05), "without an order, chance"
    assert scores.caught(trust, [0.0] * 20, 0.05) == 1.0


def test_labels_are_held_against_the_characters_inside_the_clip() -> None:
    spoken = take(said(1.0, "今天天气好"), said(3.0, "我们去爬山"))
    cut = corpus(
        clip(0.0, 2.5, "今天天汽好。", grade="A"),
        clip(2.5, 4.5, "我们去爬", grade="C", confidence=0.3),
        rejection(4.5, 10.0, "UncertainText", sha256="c"),
    )
    clips = label_scores.judged([spoken], cut)
    assert [one.said for one in clips] == ["今天天气好", "我们去爬山", ""]
    assert [one.errors for one in clips] == [1, 1, 0]
    found = label_scores.labels(clips)
    assert (found.clips, found.characters) == (2, 10)
    assert found.cer == pytest.approx(0.2)
    assert found.syllable_error_rate == pytest.approx(0.1), "气 and 汽 sound alike"
    assert found.caught == pytest.approx(0.5), "one clip of two is reviewed, the one of grade C"


def test_overlaps_of_many_spans_add_up() -> None:
    left = [truth.Span(start_s=0.0, end_s=2.0), truth.Span(start_s=3.0, end_s=4.0)]
    right = [truth.Span(start_s=1.0, end_s=3.5), truth.Span(start_s=3.75, end_s=9.0)]
    assert spans.overlap_s(left, right) == pytest.approx(1.75)
    assert spans.overlap_s(right, left) == pytest.approx(1.75)


def test_frames_of_phones_become_times_of_characters() -> None:
    symbols = ["sil", "n", "i3", "#0", "h", "ao3", "#3", "h", "ua1", "er5", "sil", "eos"]
    frames = [4, 2, 3, 1, 2, 4, 6, 2, 4, 3, 5, 2]
    audible = np.array([False] * 5 + [True] * 13 + [False] * 4 + [True] * 12 + [False] * 4)
    found = voices.align("你好花儿", symbols, frames, audible)
    edges = [(one.start_s * 80, one.end_s * 80) for one in found]  # 80 frames a second
    assert edges == [(5, 10), (10, 18), (22, 28), (28, 34)]
    with pytest.raises(ValueError, match="expected one for each"):
        voices.align("你好花儿开", symbols, frames, audible)


def test_a_tape_knows_where_everything_lies() -> None:
    made_voice: voices.Voice = object.__new__(voices.Voice)  # nothing is spoken here
    tape = studio.Tape(made_voice, np.random.default_rng(3))
    tape.burst(1.0, -20.0)
    assert tape.pause(1.0, "breath", -35.0)
    tape.burst(0.5, -20.0)
    assert not tape.pause(0.1, "rustle", -35.0), "no room for it"
    tape.play(1.0, -20.0)
    made = tape.finish("a", -70.0)
    assert made.take.duration_s == pytest.approx(len(made.samples) / voices.RATE_HZ) == pytest.approx(3.6)
    (planted,) = truth.planted(made.take, "breath")
    assert 1.08 <= planted.start_s < planted.end_s <= 1.92
    assert [item.kind for item in made.take.planted] == ["breath", "music"]

    def level_dbfs(start_s: float, end_s: float) -> float:
        part = made.samples[round(start_s * voices.RATE_HZ) : round(end_s * voices.RATE_HZ)]
        return float(10 * np.log10((part.astype(np.float64) ** 2).mean()))

    assert level_dbfs(planted.start_s, planted.end_s) == pytest.approx(planted.level_dbfs, abs=0.1)
    assert level_dbfs(0.0, 1.0) == pytest.approx(-20.0, abs=0.1)
    assert level_dbfs(planted.end_s + 0.02, 2.0) < -65.0
    assert codec.loads(truth.Take, codec.dumps(made.take), "the truth") == made.take


def test_what_is_no_breath_lies_in_the_pause_it_was_planted_in() -> None:
    for kind in sounds.NO_BREATHS:
        tape = studio.Tape(object.__new__(voices.Voice), np.random.default_rng(4))
        tape.burst(0.5, -20.0)
        assert tape.pause(1.2, kind, -35.0)
        (planted,) = tape.finish("a", -70.0).take.planted
        assert planted.kind == kind
        assert 0.5 <= planted.start_s < planted.end_s <= 1.7


def test_the_usual_slicer_keeps_short_pauses_and_cuts_long_ones_greedily() -> None:
    rate_hz, random = 8000, np.random.default_rng(5)

    def recording(pause_s: float) -> np.ndarray:
        parts = []
        for _ in range(8):
            parts += [
                0.1 * random.standard_normal(3 * rate_hz),
                1e-4 * random.standard_normal(round(pause_s * rate_hz)),
            ]
        return np.concatenate(parts).astype(np.float32)

    assert len(usual_slicer.cut(recording(0.2), rate_hz)) == 1
    clips = usual_slicer.cut(recording(0.5), rate_hz)
    assert [round(one.duration_s) for one in clips] == [7, 7, 7, 7]
    assert all(left.end_s == right.start_s for left, right in itertools.pairwise(clips))
    far = usual_slicer.cut(recording(2.0), rate_hz)
    assert all(left.end_s < right.start_s for left, right in itertools.pairwise(far)), "long pauses are left out"


def test_marks_are_held_against_silence_and_breaths_inside_a_clip() -> None:
    spoken = take(said(1.0, "好"), said(1.5, "好"), said(2.5, "好"), said(4.0, "好"), planted=(breath(3.0, 3.4),))

    def mark(kind: corpora.MarkKind, start_s: float, end_s: float) -> corpora.Mark:
        return corpora.Mark(kind=kind, after=1, start_s=start_s, end_s=end_s, confidence=1.0)

    marked = (mark("sp2", 1.22, 1.5), mark("sp4", 1.7, 2.5), mark("br1", 3.0, 3.35), mark("br2", 2.0, 2.2))
    found = mark_scores.marks([spoken], corpus(clip(0.5, 4.5, "好好好好", marks=marked)))
    assert (found.pauses, found.pauses_found, found.pauses_alike) == (2, 2, 1)
    assert (found.breaths, found.breaths_found) == (1, 1)
    assert (found.breath_marks, found.breath_marks_wrong) == (2, 1)
