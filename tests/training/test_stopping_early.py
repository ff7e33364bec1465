"""The trainer as a pod starts it, asked to stop while it is still being imported."""

from __future__ import annotations

import pathlib
import re
import signal
import subprocess
import time

from kelong_contract import names

START_TIMEOUT_S = 60.0


def handles_sigterm(process: subprocess.Popen[str]) -> bool:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def has_loaded_torch(process: subprocess.Popen[str]) -> bool:
    return "libtorch" in pathlib.Path(f"/proc/{process.pid}/maps").read_text()


def test_a_stop_before_anything_began_ends_the_trainer_at_once(bench) -> None:
    process = bench.start(bench.order())
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        loaded = has_loaded_torch(process)  # before the handler is looked for: a handler that is late is not excused
        if handles_sigterm(process):
            break
        time.sleep(0.002)
    assert not loaded, "SIGTERM was not handled yet when torch had been loaded"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=2)
    assert process.returncode == names.EXIT_SAVED
    assert said == "kelong-trainer: stopped: asked to stop before anything began\n"
    assert list(bench.store.list("voices/default/mei/1/leases/")) == []


def test_a_stop_while_torch_is_imported_ends_the_trainer_at_once(bench) -> None:
    process = bench.start(bench.order())
    deadline = time.monotonic() + START_TIMEOUT_S
    while not has_loaded_torch(process):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)  # until its libraries are mapped no handler can run
    assert process.returncode == names.EXIT_SAVED
    assert said == "kelong-trainer: stopped: asked to stop before anything began\n"
