"""Recordings that are there twice, which would be trained on twice, and tested on what was learnt by heart.

Pure: recordings in, keys out.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import NamedTuple

from kelong_contract import corpora


class _Place(NamedTuple):
    """The digest and the key of the file that a recording is or lies in, and from where to where."""

    sha256: str
    key: str
    start_s: float
    end_s: float


def find(recordings: Sequence[corpora.Recording]) -> dict[str, str]:
    """The keys of recordings that repeat another, each with the key of that other, which is used.

    Of several the first by key is used, and before it the first that came with its text. Stretches of files that are
    the same repeat one another where they overlap.
    """
    places = {item.key: _place(item) for item in recordings}
    files = {(place.sha256, place.key) for place in places.values()}
    copies = collections.Counter(sha256 for sha256, _ in files)
    used: dict[str, list[str]] = collections.defaultdict(list)
    repeated: dict[str, str] = {}
    for item in sorted(recordings, key=lambda item: (not item.text, item.key)):
        mine = places[item.key]
        if copies[mine.sha256] == 1:
            continue
        same = (key for key in used[mine.sha256] if _overlap(places[key], mine))
        if (first := next(same, None)) is None:
            used[mine.sha256].append(item.key)
        else:
            repeated[item.key] = first
    return repeated


def _place(recording: corpora.Recording) -> _Place:
    part = recording.part
    if part is None:
        return _Place(recording.sha256, recording.key, 0.0, recording.duration_s)
    return _Place(part.sha256, part.key, part.start_s, part.end_s)


def _overlap(one: _Place, other: _Place) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s
