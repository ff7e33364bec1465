"""Sums over stretches of time: how much of these lies in those. Pure; what the scores count with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Timed(Protocol):
    """Anything with a start and an end."""

    @property
    def start_s(self) -> float:
        """Where it starts."""

    @property
    def end_s(self) -> float:
        """Where it ends."""


def total_s(spans: Iterable[Timed]) -> float:
    """Seconds in all; what overlaps counts twice."""
    return sum(span.end_s - span.start_s for span in spans)


def shared_s(left: Timed, right: Timed) -> float:
    """Seconds that both hold."""
    return max(0.0, min(left.end_s, right.end_s) - max(left.start_s, right.start_s))


def overlap_s(left: Iterable[Timed], right: Iterable[Timed]) -> float:
    """Seconds of the left that the right hold; neither may overlap among themselves."""
    ordered = sorted(right, key=lambda span: span.start_s)
    found, first = 0.0, 0
    for span in sorted(left, key=lambda span: span.start_s):
        while first < len(ordered) and ordered[first].end_s <= span.start_s:
            first += 1
        index = first
        while index < len(ordered) and ordered[index].start_s < span.end_s:
            found += shared_s(span, ordered[index])
            index += 1
    return found


def matched(wanted: Sequence[Timed], found: Sequence[Timed], least_share: float) -> list[int | None]:
    """For each wanted one the number of the found one that holds at least this share of it; each is used once."""
    free = set(range(len(found)))
    matches: list[int | None] = []
    for want in wanted:
        shared = {number: shared_s(want, found[number]) for number in free}
        best = max(shared, key=lambda number: shared[number], default=None)
        enough = best is not None and shared[best] >= least_share * (want.end_s - want.start_s)
        matches.append(best if enough else None)
        if enough and best is not None:
            free.discard(best)
    return matches
