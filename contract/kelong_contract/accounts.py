"""Where every second of every recording went. Checked after each stage that cuts, and before anything is published."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from dataclasses import dataclass

from kelong_contract import corpora

# Times are samples divided by a rate: they meet to the last bit but for rounding of the division.
TOLERANCE_S = 1e-6


class Unbalanced(Exception):
    """Seconds that are nowhere, or in two places; the message names each recording and where."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of one recording: seconds in clips, and seconds rejected by reason."""

    recording: str
    duration_s: float
    kept_s: float
    rejected_s: dict[str, float]


def balance(corpus: corpora.Corpus) -> tuple[Account, ...]:
    """An account of each recording, in their order; raises Unbalanced naming every gap and overlap."""
    clips: dict[str, list[corpora.Clip]] = collections.defaultdict(list)
    rejections: dict[str, list[corpora.Rejection]] = collections.defaultdict(list)
    for clip in corpus.clips:
        clips[clip.recording].append(clip)
    for rejection in corpus.rejections:
        rejections[rejection.recording].append(rejection)
    faults: list[str] = []
    accounts = []
    known = {recording.key for recording in corpus.recordings}
    faults += [f"{key} is in no recording" for key in sorted({*clips, *rejections} - known)]
    for recording in corpus.recordings:
        mine, lost = clips[recording.key], rejections[recording.key]
        spans = [*((clip.start_s, clip.end_s) for clip in mine), *((item.start_s, item.end_s) for item in lost)]
        faults += _faults(recording, spans)
        rejected: dict[str, float] = collections.defaultdict(float)
        for item in lost:
            rejected[item.reason] += item.duration_s
        accounts.append(
            Account(
                recording=recording.key,
                duration_s=recording.duration_s,
                kept_s=sum(clip.duration_s for clip in mine),
                rejected_s=dict(rejected),
            )
        )
    if faults:
        raise Unbalanced("; ".join(faults))
    return tuple(accounts)


def _faults(recording: corpora.Recording, spans: Iterable[tuple[float, float]]) -> list[str]:
    faults, position = [], 0.0
    for start_s, end_s in sorted(spans):
        if start_s > position + TOLERANCE_S:
            faults.append(f"{recording.key}: {position:.3f} s to {start_s:.3f} s are in no clip and no rejection")
        elif start_s < position - TOLERANCE_S:
            faults.append(f"{recording.key}: {start_s:.3f} s to {min(position, end_s):.3f} s are counted twice")
        position = max(position, end_s)
    if abs(recording.duration_s - position) > TOLERANCE_S:
        faults.append(f"{recording.key} is {recording.duration_s:.3f} s long, {position:.3f} s of it are accounted for")
    return faults
