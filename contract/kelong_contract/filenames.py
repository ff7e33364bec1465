r"""Names of files that are not UTF-8, read as what they were meant to be, and found again by that.

A store's keys are text, Linux's file names are bytes: a zip from Windows in China that is unpacked without care leaves
names in GBK. Such a name is read as GB 18030; one that is not that either is spelled with `\xe9` for each odd byte.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator

_SPELLED = re.compile(rb"\\x([0-9a-f]{2})")


def is_text(name: str) -> bool:
    """Whether a name, or a path, as the system gives it is UTF-8."""
    return name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name)


def key(root: pathlib.Path, path: pathlib.Path) -> str:
    """The key of a path below `root`, its parts joined by `/`: text, whatever the bytes of its names are."""
    relative = path.relative_to(root)
    if is_text(plain := relative.as_posix()):
        return plain
    parts: list[str] = []
    folder = root
    for name in relative.parts:
        parts.append(_readable(folder, name))
        folder = folder / name
    return "/".join(parts)


def find(root: pathlib.Path, key: str) -> pathlib.Path:
    """Where the file of a key lies, or is to be made if there is none; the inverse of `key`."""
    plain = root / key
    if (key.isascii() and "\\x" not in key) or os.path.lexists(plain):
        return plain
    path = root
    for part in key.split("/"):
        spellings = (path / name for name in _spellings(part))
        path = next((there for there in spellings if os.path.lexists(there)), path / part)
    return path


def _readable(folder: pathlib.Path, name: str) -> str:
    """A name as text that `find` takes back to this very name."""
    if is_text(name):
        return name
    raw = os.fsencode(name)
    spelled = raw.decode("utf-8", "backslashreplace")
    try:
        guess = raw.decode("gb18030")
    except UnicodeDecodeError:
        return spelled
    is_found_by = guess.encode("gb18030") == raw and "/" not in guess and not os.path.lexists(folder / guess)
    return guess if is_found_by else spelled


def _spellings(part: str) -> Iterator[str]:
    """What a part of a key may be called on the disk, the likeliest first."""
    yield part
    yield os.fsdecode(part.encode("gb18030"))
    yield os.fsdecode(_SPELLED.sub(lambda found: bytes((int(found[1], 16),)), part.encode()))
