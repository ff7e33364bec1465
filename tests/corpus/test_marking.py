"""Pauses and breaths find their places between characters, though the recogniser's times are off."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from kelong_contract import corpora
from kelong_trainer.corpus.clips import marking

SPEECH, QUIET, BREATH = -20.0, -60.0, -40.0


def heard(said, *, start_s=10.0, off_s=0.0, seed=0, floor=QUIET, sounds=()):
    """A clip of which it is known when each character is said.

    `said`: characters, punctuation and gaps in order; a gap is (kind, seconds) with the kinds "pause", "breath" and
    "noise". Characters take 0.2 s. The recogniser's times of each word are off by `off_s` at random.
    """
    random = np.random.default_rng(seed)
    text, levels, words, speech, breaths = "", [], [], [], []
    for item in said:
        at_s = start_s + len(levels) / 100
        if isinstance(item, tuple):
            kind, length_s = item
            level = {"pause": floor, "breath": BREATH, "noise": BREATH}[kind]
            levels += [level] * round(length_s * 100)
            if kind == "breath":
                breaths.append(
                    corpora.Breath(start_s=at_s, end_s=at_s + length_s, level_db=BREATH - floor, confidence=0.9)
                )
            continue
        text += item
        letters = [char for char in item if char.isalnum()]
        length_s = 0.2 * len(letters)
        if not letters:
            words[-1] = dataclasses.replace(words[-1], text=words[-1].text + item)
            continue
        levels += [SPEECH] * (20 * len(letters))
        edges = (
            np.sort(np.array([at_s, at_s + length_s]) + random.normal(0, off_s, 2))
            if off_s
            else (at_s, at_s + length_s)
        )
        words.append(corpora.Word(text=item, start_s=float(edges[0]), end_s=float(edges[1]), probability=0.9))
        if speech and at_s - speech[-1].end_s < 0.05:
            speech[-1] = corpora.Stretch(start_s=speech[-1].start_s, end_s=at_s + length_s)
        else:
            speech.append(corpora.Stretch(start_s=at_s, end_s=at_s + length_s))
    levels = np.array(levels, np.float32) + random.normal(0, 0.3, len(levels)).astype(np.float32)
    listening = corpora.Listening(key="a.wav", noise_floor_dbfs=floor, speech=tuple(speech), breaths=tuple(breaths))
    return marking.Heard(text=text, start_s=start_s, words=words, levels=levels, listening=listening)


def found(said, **how):
    return [(mark.kind, mark.after) for mark in marking.marks(heard(said, **how))]


@pytest.mark.parametrize(
    ("length_s", "kind"),
    [(0.08, "sp1"), (0.17, "sp1"), (0.2, "sp2"), (0.38, "sp2"), (0.5, "sp3"), (0.88, "sp3"), (1.2, "sp4")],
)
def test_a_pause_is_named_by_its_length(length_s, kind):
    assert found(["我们", ("pause", length_s), "后来"]) == [(kind, 2)]


def test_punctuation_without_silence_is_no_pause_and_silence_without_punctuation_is_one():
    assert found(["我们", "，", "后来", ("pause", 0.3), "又", "来", "，", "了"]) == [("sp2", 5)]


def test_a_mark_comes_after_punctuation_and_closing_quotes_and_before_opening_ones():
    said = ["他", "说", "“", "你", "好", "。”", ("pause", 0.5), "“", "我", "好"]
    assert found(said) == [("sp3", 7)]


def test_a_breath_is_a_mark_of_its_own_between_the_silences_around_it():
    said = ["我们", "。", ("pause", 0.25), ("breath", 0.4), ("pause", 0.1), "后来"]
    assert found(said) == [("sp2", 3), ("br2", 3), ("sp1", 3)]
    assert found(["我们", "。", ("pause", 0.04), ("breath", 0.12), ("pause", 0.04), "后来"]) == [("br1", 3)]


def test_a_breath_before_the_first_character_is_kept_and_the_silence_before_it_is_not():
    assert found([("pause", 0.3), ("breath", 0.4), ("pause", 0.1), "我们", ("pause", 0.3)]) == [("br2", 0), ("sp1", 0)]
    assert found([("pause", 0.3), "我们", ("pause", 0.4)]) == []


def test_what_may_be_a_breath_is_never_marked_as_a_pause():
    said = ["我们", "。", ("pause", 0.2), ("noise", 0.2), ("pause", 0.2), "后来"]
    assert found(said) == []
    unsure = heard([*said[:3], ("breath", 0.2), *said[4:]])
    breaths = tuple(dataclasses.replace(breath, confidence=0.3) for breath in unsure.listening.breaths)
    assert (
        marking.marks(dataclasses.replace(unsure, listening=dataclasses.replace(unsure.listening, breaths=breaths)))
        == ()
    )


def test_a_click_does_not_part_a_pause():
    assert found(["我们", "。", ("pause", 0.3), ("noise", 0.03), ("pause", 0.3), "后来"]) == [("sp3", 3)]


def test_the_mouth_closing_before_a_stop_is_no_pause():
    assert found(["我们", ("pause", 0.08), "大家"]) == []
    assert found(["我们", ("pause", 0.3), "大家"]) == [("sp2", 2)]
    assert found(["我们", "，", ("pause", 0.1), "大家"]) == [("sp1", 3)]


@pytest.mark.parametrize("floor", [-60.0, -45.0, -36.0])
def test_a_louder_room_hides_no_pause(floor):
    assert found(["我们", ("pause", 0.3), "后来", "又", ("pause", 0.5), "来"], floor=floor) == [("sp2", 2), ("sp3", 5)]


def test_marks_are_in_the_recording_s_time():
    mark, *_ = marking.marks(heard(["我们", ("pause", 0.3), "后来"], start_s=100.0))
    assert (mark.start_s, mark.end_s) == pytest.approx((100.4, 100.7), abs=0.011)


def test_most_pauses_find_their_characters_though_word_times_are_off_by_120_ms():
    right = total = 0
    letters = "我们有时也会想起那个下雨夜里他说过话还有没说完"
    for seed in range(40):
        random = np.random.default_rng(seed)
        said, wanted, count = [], [], 0
        for _ in range(8):
            length = int(random.integers(1, 4))
            said.append("".join(random.choice(list(letters), length)))
            count += length
            if random.random() < 0.5:
                pause_s = float(random.choice([0.15, 0.3, 0.5]))
                if pause_s > 0.25:
                    said.append("，")
                    count += 1
                said.append(("pause", pause_s))
                wanted.append(count)
        if said and isinstance(said[-1], tuple):
            said.pop()
            wanted.pop()
        places = [after for _, after in found(said, off_s=0.12, seed=seed)]
        total += len(wanted)
        right += len(set(places) & set(wanted))
    assert right >= 0.9 * total, (right, total)


def test_marks_stay_in_order_and_out_of_latin_words_and_numbers():
    said = ["用", "OK", ("pause", 0.2), "KO", ("pause", 0.3), "2", ("pause", 0.2), "4", "号"]
    given = marking.marks(heard(said, off_s=0.2, seed=3))
    assert all(left.after <= right.after and left.end_s <= right.start_s for left, right in pairwise(given))
    assert not {2, 4, 6} & {mark.after for mark in given}


def test_readings_in_brackets_are_not_spoken_and_marks_somebody_wrote_are_theirs():
    told = heard(["我们行", ("pause", 0.3), "后来"])
    (mark,) = marking.marks(dataclasses.replace(told, text="我们行[xing2]后来"))
    assert (mark.kind, mark.after) == ("sp2", 10)
    assert marking.marks(dataclasses.replace(told, text="我们行[sp1]后来")) == ()


def test_a_corrected_text_keeps_its_pauses():
    told = heard(["我", "们", "又", ("pause", 0.3), "后", "来"])
    (mark,) = marking.marks(dataclasses.replace(told, text="我门友后来"))
    assert (mark.kind, mark.after) == ("sp2", 3)
    assert marking.marks(dataclasses.replace(told, text="……")) == ()
