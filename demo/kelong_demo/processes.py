"""Runs a program of ours as a child that ends with us: asked politely first, and never left behind."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

# What a pod gives its programs between SIGTERM and SIGKILL.
GRACE_S = 120.0


@contextlib.contextmanager
def running(
    module: str, arguments: list[str], environment: Mapping[str, str], log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module` while the block runs; output goes to `log`, or where ours goes.

    It has a session of its own: Ctrl-C reaches us alone, and we pass it on as the SIGTERM that a pod would get.
    """
    command = [sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield child
    finally:
        end(child)


def end(child: subprocess.Popen[bytes]) -> int:
    """Ask the child to end, wait, and return its exit code; one that takes longer than its grace is killed."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        return child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, to be shown with what went wrong."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
