"""Grades, what rejects a clip, and how far its label is trusted."""

import dataclasses

import pytest
from kelong_contract import corpora, orders
from kelong_trainer.corpus.clips import grading

GOOD = corpora.Measures(
    confidence=0.93,
    agreement=0.98,
    least_agreement=0.88,
    similarity=0.9,
    dnsmos=3.0,
    snr_db=38.0,
    clipped_share=0.0,
    music_share=0.0,
    syllables_per_s=4.8,
    reading_tone=1.0,
)
CLIP = corpora.Clip(
    sha256="a" * 64,
    recording="talk.wav",
    speaker="Khazix",
    start_s=3.0,
    end_s=15.0,
    samples=529200,
    text="今天早上我起得很晚。",
    confidence=0.93,
)


DEFAULT = orders.Judging()


def judged(judging=DEFAULT, duration_s=12.0, foreign_share=0.0, is_supplied=True, **changes):
    return grading.verdict(
        dataclasses.replace(GOOD, **changes),
        judging,
        duration_s=duration_s,
        lengths=orders.Slicing(),
        foreign_share=foreign_share,
        is_supplied=is_supplied,
    )


def test_a_good_clip_is_an_a_without_findings():
    assert judged() == grading.Verdict(grade="A", findings=())


def test_what_nothing_measured_counts_neither_way():
    nothing = {field.name: None for field in dataclasses.fields(corpora.Measures)}
    assert judged(**nothing) == grading.Verdict(grade="A", findings=())


def test_the_reading_tone_is_never_a_gate():
    assert [judged(reading_tone=tone).grade for tone in (0.0, 0.5, 1.0)] == ["A", "A", "A"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"confidence": 0.4}, "UncertainText"),
        ({"agreement": 0.7}, "UncertainText"),
        ({"least_agreement": 0.25}, "UncertainText"),
        ({"similarity": 0.6}, "OtherSpeaker"),
        ({"dnsmos": 1.5}, "LowQuality"),
        ({"snr_db": 6.0}, "Noisy"),
        ({"clipped_share": 0.05}, "Clipped"),
        ({"music_share": 0.5}, "Music"),
        ({"syllables_per_s": 0.5}, "ImplausibleText"),
        ({"syllables_per_s": 13.0}, "ImplausibleText"),
    ],
)
def test_a_measure_beyond_its_threshold_rejects_with_value_and_threshold(changes, reason):
    found = judged(**changes)
    assert (found.grade, found.reason) == (None, reason)
    (finding,) = found.findings
    assert finding.reason == reason and "expected at" in finding.message


def test_noise_that_makes_a_voice_unlike_itself_is_what_is_told():
    found = judged(similarity=0.5, snr_db=6.0)
    assert [finding.reason for finding in found.findings] == ["Noisy", "OtherSpeaker"] and found.reason == "Noisy"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"confidence": 0.75}, "UncertainText"),
        ({"least_agreement": 0.55}, "UncertainText"),
        ({"snr_db": 20.0}, "Noisy"),
        ({"music_share": 0.1}, "Music"),
    ],
)
def test_between_good_and_the_threshold_lie_b_and_c(changes, reason):
    found = judged(**changes)
    assert (found.grade, [finding.reason for finding in found.findings]) == ("B", [reason])
    assert "to be good" in found.findings[0].message


def test_near_a_threshold_or_with_many_findings_a_clip_is_c():
    assert judged(confidence=0.55).grade == "C"
    assert judged(confidence=0.78, agreement=0.93, dnsmos=2.4).grade == "C"


def test_a_threshold_that_is_switched_off_neither_rejects_nor_grades():
    off = orders.Judging(min_snr_db=None)
    assert judged(off, snr_db=2.0) == grading.Verdict(grade="A", findings=())


def test_the_threshold_of_agreement_counts_half_where_it_is_least():
    assert judged(orders.Judging(min_agreement=0.5), least_agreement=0.3).grade == "C"
    assert judged(orders.Judging(min_agreement=None), least_agreement=0.0).grade == "A"
    assert judged(least_agreement=0.25, is_supplied=False).grade == "A", "two recognisers mishear differently"
    assert "is 0.25, expected at least 0.40" in judged(least_agreement=0.25).findings[0].message


def test_a_threshold_stricter_than_good_rejects_all_below_it():
    strict = orders.Judging(min_confidence=0.9)
    assert judged(strict, confidence=0.85).reason == "UncertainText"
    assert judged(strict, confidence=0.91).grade == "A"


def test_an_order_can_want_better_grades():
    wanted = orders.Judging(min_grade="A")
    found = judged(wanted, confidence=0.75)
    assert (found.grade, found.reason) == (None, "UncertainText")
    assert "its grade is B, expected at least A" in found.findings[0].message


@pytest.mark.parametrize(("duration_s", "reason"), [(3.0, "TooShort"), (26.0, "TooLong")])
def test_an_unusual_length_is_told(duration_s, reason):
    found = judged(duration_s=duration_s)
    assert (found.grade, [finding.reason for finding in found.findings]) == ("B", [reason])


def test_a_label_in_another_script_is_told_then_rejected():
    assert judged(foreign_share=0.2).grade == "A"
    assert judged(foreign_share=0.5).grade == "C"
    assert judged(foreign_share=0.9).reason == "OtherLanguage"


def test_the_cause_is_named_before_what_it_causes():
    found = judged(snr_db=5.0, confidence=0.3)
    assert found.reason == "Noisy"
    assert [finding.reason for finding in found.findings] == ["Noisy", "UncertainText"]


def test_a_rejected_clip_keeps_its_sound_and_its_text():
    measures = dataclasses.replace(GOOD, agreement=0.5)
    rejection = grading.rejection(CLIP, measures, judged(agreement=0.5))
    assert (rejection.sha256, rejection.text, rejection.measures) == (CLIP.sha256, CLIP.text, measures)
    assert (rejection.start_s, rejection.end_s, rejection.reason) == (3.0, 15.0, "UncertainText")
    assert "talk.wav from 3.00 s to 15.00 s: the label's agreement with a second look is 0.50" in rejection.message


def test_a_graded_clip_carries_what_was_found():
    found = judged(confidence=0.75)
    clip = grading.graded(CLIP, GOOD, found)
    assert (clip.grade, clip.findings, clip.measures, clip.text) == ("B", found.findings, GOOD, CLIP.text)


def test_a_label_is_trusted_less_where_a_second_look_contradicts_than_where_the_recogniser_doubts():
    def trust(**changes):
        return grading.trust(dataclasses.replace(GOOD, **changes))

    assert trust(agreement=0.9, least_agreement=0.5) < trust(confidence=0.6) < trust()
    assert trust(least_agreement=0.5) < trust(agreement=0.9)
    assert trust(syllables_per_s=1.0) < trust()
    assert trust(agreement=0.0, confidence=0.1) == 0
    assert grading.trust(corpora.Measures()) == 1
