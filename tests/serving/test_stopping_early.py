"""The server and the batch door as pods start them, asked to stop before anything began."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kelong_contract import codec, names, orders

Stop = Callable[[subprocess.Popen[str]], str]
Start = Callable[[], subprocess.Popen[str]]
SAID = "kelong_inference: stopped: asked to stop before anything began\n"


@pytest.fixture(params=["server", "batch"])
def door(request: pytest.FixtureRequest, published: Any, tmp_path: pathlib.Path) -> Iterator[tuple[Start, int]]:
    """Starts one of the two doors; and the exit code with which it should end."""
    if request.param == "server":
        order, code, words = published.serving_order(), names.EXIT_DONE, ["--host", "127.0.0.1", "--port", "0"]
    else:
        line = orders.Item(id="a", text="你好。")
        order = published.synthesis_order(orders.SynthesisInput(type="Inline", items=(line,)))
        code, words = names.EXIT_SAVED, ["batch"]
    path = tmp_path / "order.json"
    path.write_bytes(codec.dumps(order))
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "kelong_inference", *words, "--order", str(path)]
        variables = os.environ | published.variables | {"OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True))
        return started[0]

    yield start, code
    for process in started:
        process.kill()  # only what a failed test left behind still runs
        process.communicate()


def test_a_stop_before_anything_began_ends_the_program_at_once(door: tuple[Start, int], stop_early: Stop) -> None:
    start, code = door
    process = start()
    assert stop_early(process) == SAID
    assert process.returncode == code


def test_a_stop_while_torch_is_imported_ends_the_program_at_once(
    door: tuple[Start, int], stop_in_imports: Stop
) -> None:
    start, code = door
    process = start()
    assert stop_in_imports(process) == SAID
    assert process.returncode == code
