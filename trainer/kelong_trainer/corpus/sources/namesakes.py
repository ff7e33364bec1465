"""Finds the files that a list names at places where they do not lie, by their names and the folders they share.

The original's `esd.list` holds that tool's own paths (`./Data/mei/wavs/0.wav`), wherever its files were copied since.
Pure: paths and keys in, keys out.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable


def find(paths: Iterable[str], keys: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """The key that each path means, for those that can mean one only.

    A path means the file of its name, and of several the one whose folders agree furthest from the end. Files in
    `taken` are named by a path that is right. Of two paths that would mean the same file the better fit has it; where
    both fit alike neither does.
    """
    by_name: dict[str, list[str]] = collections.defaultdict(list)
    for key in keys:
        by_name[key.rpartition("/")[2]].append(key)
    fits: dict[str, list[tuple[int, str]]] = collections.defaultdict(list)
    for path in dict.fromkeys(paths):
        parts = path.replace("\\", "/").split("/")
        best = _only_best([(_shared(parts, key.split("/")), key) for key in by_name.get(parts[-1], ())])
        if best is not None and best[1] not in taken:
            fits[best[1]].append((best[0], path))
    chosen = ((key, _only_best(fitting)) for key, fitting in fits.items())
    return {best[1]: key for key, best in chosen if best is not None}


def _only_best(scored: list[tuple[int, str]]) -> tuple[int, str] | None:
    """The pair with the highest score, None if two have it."""
    highest = max((score for score, _ in scored), default=0)
    best = [pair for pair in scored if pair[0] == highest]
    return best[0] if len(best) == 1 else None


def _shared(path: list[str], key: list[str]) -> int:
    """How many parts are the same, counted from the end."""
    count = 0
    for one, other in zip(reversed(path), reversed(key), strict=False):
        if one != other:
            break
        count += 1
    return count
