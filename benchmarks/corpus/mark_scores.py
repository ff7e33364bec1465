"""How right the pauses and breaths are that clips are marked with, held against the truth. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from corpus import scores, spans, truth
from kelong_contract import corpora

# The least length of each kind of pause, as corpora.Mark has it.
PAUSES: Final = (("sp4", 0.9), ("sp3", 0.4), ("sp2", 0.18), ("sp1", 0.06))
LEAST_S: Final = 0.06
# A pause this near to a border between two kinds may be told for either.
NEAR_S: Final = 0.03


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Pauses between characters and breaths inside clips: how many there are, are marked, and with the right length."""

    pauses: int
    pauses_found: int
    pauses_alike: int
    breaths: int
    breaths_found: int
    breath_marks: int
    breath_marks_wrong: int


def marks(takes: Iterable[truth.Take], corpus: corpora.Corpus) -> Marks:
    """The marks of the clips of these takes; a pause that holds more than silence is judged by its breath alone."""
    pauses = pauses_found = alike = breaths = breaths_found = reported = wrong = 0
    for take in takes:
        planted = truth.planted(take, "breath")
        for clip in scores.of_take(corpus, take).clips:
            silent = [mark for mark in clip.marks if mark.kind.startswith("sp")]
            breathed = [mark for mark in clip.marks if mark.kind.startswith("br")]
            for gap in _gaps(take, clip):
                match = spans.matched([gap], silent, scores.MATCH_SHARE)[0]
                pauses += 1
                pauses_found += match is not None
                alike += match is not None and silent[match].kind in _kinds(gap.duration_s)
            inside = [item for item in planted if spans.shared_s(item, clip) >= item.end_s - item.start_s]
            matches = spans.matched(inside, breathed, scores.MATCH_SHARE)
            found = sum(match is not None for match in matches)
            breaths, breaths_found = breaths + len(inside), breaths_found + found
            reported, wrong = reported + len(breathed), wrong + len(breathed) - found
    return Marks(
        pauses=pauses,
        pauses_found=pauses_found,
        pauses_alike=alike,
        breaths=breaths,
        breaths_found=breaths_found,
        breath_marks=reported,
        breath_marks_wrong=wrong,
    )


def _gaps(take: truth.Take, clip: spans.Timed) -> Iterator[truth.Span]:
    """Silence of at least LEAST_S between two characters of a clip."""
    inside = [one for one in truth.characters(take) if clip.start_s <= one.start_s and one.end_s <= clip.end_s]
    for left, right in itertools.pairwise(inside):
        gap = truth.Span(start_s=left.end_s, end_s=right.start_s)
        if gap.duration_s >= LEAST_S and not spans.overlap_s((gap,), take.planted):
            yield gap


def _kinds(duration_s: float) -> set[str]:
    """What a pause of that length may be called."""
    return {_kind(duration_s - NEAR_S), _kind(duration_s), _kind(duration_s + NEAR_S)}


def _kind(duration_s: float) -> str:
    return next((kind for kind, least_s in PAUSES if duration_s >= least_s), "")
