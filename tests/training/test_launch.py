"""A pod's first process passes a stop on, and waits for whoever still saves."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import time

import pytest
from kelong_contract import names

POD = pathlib.Path(__file__).with_name("one_pod.py")
PATIENCE_S = 60.0


def run(leaving_s: float, asked_at: str, *behaviours: str) -> tuple[int, float]:
    """The exit code of a pod, and how long it took."""
    began = time.monotonic()
    command = [sys.executable, str(POD), str(leaving_s), asked_at, *behaviours]
    code = subprocess.run(command, timeout=PATIENCE_S, check=False).returncode
    return code, time.monotonic() - began


def leader(saved: pathlib.Path, ready: pathlib.Path, takes_s: float) -> str:
    """A rank that takes its time to save once it is asked to stop."""
    return (
        "import pathlib, signal, sys, threading; asked = threading.Event(); "
        "signal.signal(signal.SIGTERM, lambda *_: asked.set()); "
        f"pathlib.Path({str(ready)!r}).touch(); asked.wait(); threading.Event().wait({takes_s}); "
        f"pathlib.Path({str(saved)!r}).touch(); sys.exit({names.EXIT_SAVED})"
    )


def follower(ready: pathlib.Path, code: int) -> str:
    """A rank that ends as soon as the leader listens."""
    return (
        "import pathlib, sys, time\n"
        f"while not pathlib.Path({str(ready)!r}).exists(): time.sleep(0.01)\n"
        f"sys.exit({code})"
    )


def test_a_rank_that_has_stopped_gives_the_one_that_still_saves_all_its_time(tmp_path: pathlib.Path) -> None:
    saved, ready = tmp_path / "saved", tmp_path / "ready"
    code, _ = run(0.1, "never", leader(saved, ready, 1.0), follower(ready, names.EXIT_SAVED))
    assert code == names.EXIT_SAVED
    assert saved.exists(), "it was killed while it saved"


def test_a_rank_that_has_failed_does_not_wait_for_one_that_hangs(tmp_path: pathlib.Path) -> None:
    saved, ready = tmp_path / "saved", tmp_path / "ready"
    code, took_s = run(0.1, "never", leader(saved, ready, 2 * PATIENCE_S), follower(ready, names.EXIT_BAD_DATA))
    assert code == names.EXIT_BAD_DATA
    assert took_s < PATIENCE_S and not saved.exists()


@pytest.mark.parametrize("asked_at", ["before", "during"])
def test_a_stop_that_comes_while_the_ranks_are_started_is_not_lost(asked_at: str) -> None:
    waits = f"import threading; threading.Event().wait({PATIENCE_S})"
    code, took_s = run(PATIENCE_S, asked_at, waits, waits)
    assert code == names.EXIT_SAVED
    assert took_s < PATIENCE_S / 2


def test_a_rank_that_dies_of_a_signal_nobody_passed_on_is_a_failure() -> None:
    code, _ = run(0.1, "never", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert code == 128 + signal.SIGTERM
