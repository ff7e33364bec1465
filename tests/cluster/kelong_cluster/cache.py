"""The folder where built programs, images and the node's disk live, named by what they were made from."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from kelong_cluster import commands

_GIB = 1 << 30


def root() -> Path:
    """`$KELONG_CACHE`, else `kelong` in the user's cache folder."""
    named = os.environ.get("KELONG_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().resolve() / "kelong"


def repository() -> Path:
    """The checkout this file belongs to."""
    return Path(__file__).resolve().parents[3]


def cluster_folder() -> Path:
    """`tests/cluster` in the checkout."""
    return Path(__file__).resolve().parents[1]


def digest_of_text(*parts: str) -> str:
    """A short name for a list of texts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(f"{len(part)}:".encode() + part.encode())
    return whole.hexdigest()[:12]


def digest_of_files(paths: Iterable[Path], base: Path) -> str:
    """A short name for the content of files and folders; compiled Python does not count."""
    parts: list[str] = []
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and "__pycache__" not in file.parts:
                parts += [file.relative_to(base).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()]
    return digest_of_text(*parts)


@contextlib.contextmanager
def lock(name: str, *, otherwise: str | None = None) -> Iterator[None]:
    """Hold `name` alone; when it is taken, wait, or raise the sentence `otherwise`."""
    path = root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if otherwise else 0))
        except BlockingIOError as taken:
            raise commands.ClusterError(str(otherwise)) from taken
        yield


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes its name only when the block ends well, so a half-made one is never found."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(path)


def need_free_disk(gib: int, why: str) -> None:
    """Raise when the cache's file system has less than this much room."""
    root().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root()).free
    if free < gib * _GIB:
        raise commands.ClusterError(
            f"{root()} has {free / _GIB:.0f} GiB of free disk, {why} needs {gib} GiB: make room there, "
            "or name a folder on a larger disk in KELONG_CACHE"
        )
