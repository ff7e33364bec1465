"""The trainer as a pod starts it, asked to stop before anything began."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from kelong_contract import names

Stop = Callable[[subprocess.Popen[str]], str]
SAID = "kelong-trainer: stopped: asked to stop before anything began\n"


def test_a_stop_before_anything_began_ends_the_trainer_at_once(bench, stop_early: Stop) -> None:
    process = bench.start(bench.order())
    assert stop_early(process) == SAID
    assert process.returncode == names.EXIT_SAVED
    assert list(bench.store.list("voices/default/mei/1/leases/")) == []


def test_a_stop_while_torch_is_imported_ends_the_trainer_at_once(bench, stop_in_imports: Stop) -> None:
    process = bench.start(bench.order())
    assert stop_in_imports(process) == SAID
    assert process.returncode == names.EXIT_SAVED
