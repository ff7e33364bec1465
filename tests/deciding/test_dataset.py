"""What status says of the recordings: every second of them in one place."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import hypothesis
from hypothesis import strategies
from kelong_contract import corpora
from kelong_operator import dataset

SECONDS = strategies.floats(0, 1e6, allow_nan=False, allow_infinity=False)


def report(**fields: Any) -> corpora.CorpusReport:
    basic = corpora.CorpusReport(
        digest="d",
        clips=3,
        recordings=2,
        duration_s=61.2,
        kept_s=40.5,
        speakers=(
            corpora.SpeakerTotals(name="A", id=0, clips=2, duration_s=20.25),
            corpora.SpeakerTotals(name="B", id=1, clips=1, duration_s=20.25),
        ),
        dropped=(
            corpora.Dropped(reason="Silence", count=9, duration_s=10.4),
            corpora.Dropped(reason="Music", count=1, duration_s=10.3),
            corpora.Dropped(reason="Undecodable", count=1, duration_s=0.0),
        ),
        grades=(
            corpora.GradeTotals(grade="A", clips=2, duration_s=30.4),
            corpora.GradeTotals(grade="C", clips=1, duration_s=10.1),
        ),
        page="voices/ns/a/u/corpus/report.html",
        advice=("remove a.wav",),
        corrections=2,
    )
    return dataclasses.replace(basic, **fields)


def test_kept_and_dropped_seconds_add_up_to_those_of_the_recordings() -> None:
    told = dataset.status(report())
    assert told.duration_seconds == 61
    assert told.kept_seconds + sum(item.duration_seconds for item in told.dropped) == 61
    assert sum(item.duration_seconds for item in told.grades) == told.kept_seconds
    assert sum(item.duration_seconds for item in told.speakers) == told.kept_seconds
    assert [(item.reason, item.count) for item in told.dropped] == [("Silence", 9), ("Music", 1), ("Undecodable", 1)]


def test_grades_the_page_and_its_advice_are_told() -> None:
    told = dataset.status(report(advice=tuple(f"{number}" * 2000 for number in range(7))))
    assert [(item.grade, item.clips) for item in told.grades] == [("A", 2), ("C", 1)]
    assert (told.page, told.corrections) == ("voices/ns/a/u/corpus/report.html", 2)
    assert [len(sentence) for sentence in told.advice] == [1024] * 5
    assert dataset.status(report(page="")).page is None


def test_the_sentence_names_what_was_dropped_and_the_report() -> None:
    sentence = dataset.summary(report())
    assert sentence.startswith("3 clips from 2 recordings, 40 s kept, 21 s dropped (Silence 10 s, Music 10 s, Und")
    assert sentence.endswith("; the report is voices/ns/a/u/corpus/report.html")


@hypothesis.given(parts_s=strategies.lists(SECONDS, min_size=1, max_size=20))
def test_whole_seconds_add_up_and_are_less_than_one_away(parts_s: list[float]) -> None:
    total_s = round(math.fsum(parts_s))
    whole = dataset.whole_seconds(parts_s, total_s)
    assert sum(whole) == total_s
    assert all(abs(count - part_s) < 1 for count, part_s in zip(whole, parts_s, strict=True))
