"""How well recordings were prepared, held against what is known of them. Pure: truth and corpus in, figures out.

A recording of the corpus is that of the take whose name its key ends with.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from corpus import spans, truth
from kelong_contract import corpora, orders

# The truth is known to a frame of 12.5 ms: a cut that is nearer to an edge is at the edge.
EDGE_S = 0.0125
LEAST_GAP_S = 0.12
KEPT_EDGE_S = 0.4
# A breath is found when half of it is, and a found one is right when half of it is a breath.
MATCH_SHARE = 0.5
# People inhale right before they speak (about 20 to 200 ms); a breath that is further from speech leads nothing.
LEADS_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long clips are. `possible` are those of recordings that can be cut into nothing but clips of the aim."""

    clips: int
    in_aim: int
    possible: int
    possible_in_aim: int
    outside: int
    shortest_s: float
    longest_s: float


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """Where clips begin and end. Of the breaths, `leading` begin a clip, `trailing` end one, `whole` are in one."""

    cuts: int
    words_cut: int
    breaths_cut: int
    breaths: int
    whole: int
    leading: int
    trailing: int


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Seconds of the speaker's own speech: spoken, in clips, and lost by reason."""

    spoken_s: float
    kept_s: float
    lost_s: Mapping[str, float]

    @property
    def share(self) -> float:
        """What is kept of what was spoken."""
        return self.kept_s / self.spoken_s if self.spoken_s else 1.0


@dataclass(frozen=True, kw_only=True)
class Voices:
    """Seconds of another speaker's speech: spoken, rejected as such, still in clips; and own seconds rejected so."""

    other_s: float
    found_s: float
    own_rejected_s: float
    other_kept_s: float

    @property
    def recall(self) -> float:
        """What was rejected of the other's speech."""
        return self.found_s / self.other_s if self.other_s else 1.0

    @property
    def precision(self) -> float:
        """What is really the other's of all speech that was rejected as such."""
        rejected_s = self.found_s + self.own_rejected_s
        return self.found_s / rejected_s if rejected_s else 1.0


@dataclass(frozen=True, kw_only=True)
class Breaths:
    """Breaths planted and found; `false_alarms` by what is really there.

    Inhales are followed by speech: `planted` and `found` are those that speech follows within LEADS_S, the others are
    counted apart as `stray`. Reporting either kind is right.
    """

    planted: int
    found: int
    stray: int
    stray_found: int
    reported: int
    false_alarms: Mapping[str, int]
    non_breaths: Mapping[str, int]

    @property
    def recall(self) -> float:
        """What was found of what was planted."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """What is right of what was reported."""
        wrong = sum(self.false_alarms.values())
        return 1 - wrong / self.reported if self.reported else 1.0


def of_take(corpus: corpora.Corpus, take: truth.Take) -> corpora.Corpus:
    """What the corpus has of one take."""

    def mine(key: str) -> bool:
        return name_of(key) == take.name

    return corpora.Corpus(
        stage=corpus.stage,
        speakers=corpus.speakers,
        recordings=tuple(item for item in corpus.recordings if mine(item.key)),
        listenings=tuple(item for item in corpus.listenings if mine(item.key)),
        transcripts=tuple(item for item in corpus.transcripts if mine(item.key)),
        clips=tuple(sorted((item for item in corpus.clips if mine(item.recording)), key=lambda item: item.start_s)),
        rejections=tuple(item for item in corpus.rejections if mine(item.recording)),
    )


def name_of(key: str) -> str:
    """The take that a recording of the corpus is."""
    return PurePosixPath(key).stem


def lengths(takes: Iterable[truth.Take], corpus: corpora.Corpus, bounds: orders.Slicing) -> Lengths:
    """How long the clips of these takes are."""
    durations: list[float] = []
    possible: list[float] = []
    for take in takes:
        mine = [clip.duration_s for clip in of_take(corpus, take).clips]
        durations += mine
        possible += mine if can_be_aimed(take, bounds) else []

    def aimed(found: list[float]) -> int:
        return sum(bounds.aim_min_s <= round(duration_s, 3) <= bounds.aim_max_s for duration_s in found)

    return Lengths(
        clips=len(durations),
        in_aim=aimed(durations),
        possible=len(possible),
        possible_in_aim=aimed(possible),
        outside=sum(not bounds.min_s <= round(duration_s, 3) <= bounds.max_s for duration_s in durations),
        shortest_s=min(durations, default=0.0),
        longest_s=max(durations, default=0.0),
    )


def can_be_aimed(take: truth.Take, bounds: orders.Slicing) -> bool:
    """Whether its pauses allow that every clip is of the aimed length and no speech is lost."""
    joined: list[truth.Span] = []
    for stretch in truth.stretches(take):
        if joined and stretch.start_s - joined[-1].end_s < LEAST_GAP_S:
            joined[-1] = truth.Span(start_s=joined[-1].start_s, end_s=stretch.end_s)
        else:
            joined.append(stretch)
    if not joined:
        return False
    ends = [0.0, *(stretch.end_s for stretch in joined)]
    starts = [*(stretch.start_s for stretch in joined), take.duration_s]
    edges_s = [min(KEPT_EDGE_S, (start_s - end_s) / 2) for end_s, start_s in zip(ends, starts, strict=True)]
    reached = [True] + [False] * len(joined)
    for last in range(len(joined)):
        for first in range(last + 1):
            span_s = joined[last].end_s - joined[first].start_s
            most_s = span_s + edges_s[first] + edges_s[last + 1]
            fits = span_s <= bounds.aim_max_s and most_s >= bounds.aim_min_s
            reached[last + 1] = reached[last + 1] or (fits and reached[first])
    return reached[-1]


def cuts(takes: Iterable[truth.Take], corpus: corpora.Corpus) -> Cuts:
    """Where the clips of these takes begin and end, those among them that were cut and rejected afterwards."""
    count = words = breaths = planted_count = whole = leading = trailing = 0
    for take in takes:
        mine = of_take(corpus, take)
        pieces: list[spans.Timed] = [*mine.clips, *(item for item in mine.rejections if item.sha256)]
        places = sorted({edge for piece in pieces for edge in (piece.start_s, piece.end_s)})
        planted = truth.planted(take, "breath")
        count += len(places)
        words += sum(_inside(place, truth.stretches(take)) for place in places)
        breaths += sum(_inside(place, planted) for place in places)
        planted_count += len(planted)
        stretches = truth.stretches(take)
        for breath in planted:
            whole += any(_holds(piece, breath) for piece in pieces)
            leading += any(_leads(breath, piece, stretches) for piece in pieces)
            trailing += any(_trails(breath, piece, stretches) for piece in pieces)
    return Cuts(
        cuts=count,
        words_cut=words,
        breaths_cut=breaths,
        breaths=planted_count,
        whole=whole,
        leading=leading,
        trailing=trailing,
    )


def kept(takes: Iterable[truth.Take], corpus: corpora.Corpus) -> Kept:
    """What became of the speaker's own speech."""
    spoken_s = kept_s = 0.0
    lost_s: dict[str, float] = collections.defaultdict(float)
    for take in takes:
        mine, spoken = of_take(corpus, take), truth.stretches(take, truth.OWN)
        spoken_s += spans.total_s(spoken)
        kept_s += spans.overlap_s(spoken, mine.clips)
        for rejection in mine.rejections:
            lost_s[rejection.reason] += spans.overlap_s(spoken, (rejection,))
    return Kept(spoken_s=spoken_s, kept_s=kept_s, lost_s={reason: lost for reason, lost in lost_s.items() if lost})


def voices(takes: Iterable[truth.Take], corpus: corpora.Corpus) -> Voices:
    """How well another speaker's speech was told from the own."""
    other_s = found_s = own_s = kept_s = 0.0
    for take in takes:
        mine = of_take(corpus, take)
        other, own = truth.stretches(take, truth.OTHER), truth.stretches(take, truth.OWN)
        rejected = [item for item in mine.rejections if item.reason == "OtherSpeaker"]
        other_s += spans.total_s(other)
        found_s += spans.overlap_s(other, rejected)
        own_s += spans.overlap_s(own, rejected)
        kept_s += spans.overlap_s(other, mine.clips)
    return Voices(other_s=other_s, found_s=found_s, own_rejected_s=own_s, other_kept_s=kept_s)


def breaths(takes: Sequence[truth.Take], reported: Mapping[str, Sequence[spans.Timed]]) -> Breaths:
    """How well breaths were found: `reported` are those of each take by its name."""
    planted = found = stray = stray_found = count = 0
    wrong: collections.Counter[str] = collections.Counter()
    others: collections.Counter[str] = collections.Counter()
    for take in takes:
        mine, true = reported.get(take.name, ()), truth.planted(take, "breath")
        count += len(mine)
        matches = spans.matched(true, mine, MATCH_SHARE)
        starts_s = [stretch.start_s for stretch in truth.stretches(take)]
        for item, match in zip(true, matches, strict=True):
            leads = any(-EDGE_S <= start_s - item.end_s <= LEADS_S for start_s in starts_s)
            planted, found = planted + leads, found + (leads and match is not None)
            stray, stray_found = stray + (not leads), stray_found + (not leads and match is not None)
        right = {match for match in matches if match is not None}
        wrong.update(_what_is_there(take, item) for number, item in enumerate(mine) if number not in right)
        others.update(item.kind for item in take.planted if item.kind != "breath")
    return Breaths(
        planted=planted,
        found=found,
        stray=stray,
        stray_found=stray_found,
        reported=count,
        false_alarms=dict(wrong),
        non_breaths=dict(others),
    )


def unaccounted_s(corpus: corpora.Corpus) -> float:
    """Seconds that are in no clip and no rejection, and seconds that are in two."""
    missing_s = 0.0
    for recording in corpus.recordings:
        pieces: Iterator[corpora.Clip | corpora.Rejection] = iter(
            [
                *(clip for clip in corpus.clips if clip.recording == recording.key),
                *(item for item in corpus.rejections if item.recording == recording.key),
            ]
        )
        position = 0.0
        for piece in sorted(pieces, key=lambda piece: (piece.start_s, piece.end_s)):
            missing_s += abs(piece.start_s - position)
            position = piece.end_s
        missing_s += abs(recording.duration_s - position)
    return missing_s


def caught(trust: Sequence[float], wrong: Sequence[float], review_share: float) -> float:
    """What share of all that is wrong lies in the least trusted part; ties count with their average."""
    total = sum(wrong)
    if not total:
        return 1.0
    left = math.ceil(review_share * len(trust))
    seen = 0.0
    for level in sorted(set(trust)):
        tied = [value for item, value in zip(trust, wrong, strict=True) if item == level]
        taken = min(left, len(tied))
        seen += sum(tied) * taken / len(tied)
        left -= taken
    return seen / total


def _inside(place_s: float, stretches: Iterable[spans.Timed]) -> bool:
    return any(stretch.start_s + EDGE_S < place_s < stretch.end_s - EDGE_S for stretch in stretches)


def _holds(piece: spans.Timed, breath: spans.Timed) -> bool:
    return piece.start_s <= breath.start_s + EDGE_S and breath.end_s - EDGE_S <= piece.end_s


def _leads(breath: spans.Timed, piece: spans.Timed, stretches: Sequence[spans.Timed]) -> bool:
    """Whether a clip begins with a breath: it is inside, and nobody speaks before it there."""
    before = truth.Span(start_s=piece.start_s, end_s=max(piece.start_s, breath.start_s))
    return _holds(piece, breath) and spans.overlap_s(stretches, (before,)) <= EDGE_S


def _trails(breath: spans.Timed, piece: spans.Timed, stretches: Sequence[spans.Timed]) -> bool:
    behind = truth.Span(start_s=min(breath.end_s, piece.end_s), end_s=piece.end_s)
    return _holds(piece, breath) and spans.overlap_s(stretches, (behind,)) <= EDGE_S


def _what_is_there(take: truth.Take, found: spans.Timed) -> str:
    """What somebody really hears where a breath was reported wrongly."""
    shares: dict[str, float] = collections.defaultdict(float)
    for item in take.planted:
        shares[item.kind] += spans.shared_s(found, item)
    shares["speech"] = spans.overlap_s((found,), truth.stretches(take))
    kind = max(shares, key=lambda name: shares[name])
    if not shares[kind]:
        return "nothing"
    return "a breath again, or less than half of one" if kind == "breath" else kind
