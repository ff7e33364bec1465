"""Run programs, say what happens, and turn failures into sentences; every other module here calls it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TAIL_LINES = 25


class ClusterError(Exception):
    """Something a person can act on: the text is the whole message."""


def say(sentence: str) -> None:
    """Write one progress line to the terminal."""
    print(f"[{time.strftime('%H:%M:%S')}] {sentence}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its output; with `check`, a failure raises with the end of that output."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env=None if environment is None else {**os.environ, **environment},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f"{_words(argv)} did not end within {timeout_s:.0f} s") from late
    if check and done.returncode != 0:
        raise ClusterError(f"{_words(argv)} ended with code {done.returncode}:\n{_tail(done.stdout + done.stderr)}")
    return done


def run_logged(
    argv: Sequence[str | Path], log: Path, *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run a long program with its output in a file; a failure raises with the end of that file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env=None if environment is None else {**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise ClusterError(
            f"{_words(argv)} ended with code {done.returncode}; the whole output is in {log}:\n"
            + _tail(log.read_text(errors="replace"))
        )


def wait_until(question: Callable[[], bool], *, what: str, timeout_s: float, log: Path | None = None) -> None:
    """Ask until the answer is yes; afterwards the error names what was waited for and the end of its log."""
    deadline = time.monotonic() + timeout_s
    while not question():
        if time.monotonic() > deadline:
            tail = f"; the end of {log}:\n{_tail(log.read_text(errors='replace'))}" if log and log.exists() else ""
            raise ClusterError(f"{what} did not happen within {timeout_s:.0f} s{tail}")
        time.sleep(0.2)


def _words(argv: Sequence[str | Path]) -> str:
    text = " ".join(str(word) for word in argv)
    return text if len(text) <= 300 else text[:297] + "..."


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
