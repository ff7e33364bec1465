"""A stop is heard at any moment of the start, and leaves no lease behind that the next operator would wait for."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import names, store

# What happens in the operator's process at a moment that cannot be hit from outside.
STOPPED_WHILE_WAITING = """
from kelong_operator import cluster
cluster.Cluster.serves_our_kinds = lambda self: os.kill(os.getpid(), signal.SIGTERM) and True
"""
STOPPED_BEFORE_KOPF_LISTENS = """
import kopf
watch = kopf.run
kopf.run = lambda **options: os.kill(os.getpid(), signal.SIGTERM) or watch(**options)
"""
DOOR = "from kelong_operator import __main__\nsys.exit(__main__.main(sys.argv[1:], os.environ))"


def test_a_stop_is_heard_while_the_operator_is_imported(tmp_path: pathlib.Path) -> None:
    slow = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n"
    (tmp_path / "kopf.py").write_text(slow)
    done = subprocess.run(
        [sys.executable, "-m", "kelong_operator"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("moment", [STOPPED_WHILE_WAITING, STOPPED_BEFORE_KOPF_LISTENS])
def test_a_stop_before_the_watching_gives_the_lease_back(
    cluster: Any, launch: Callable[..., Any], kept: store.FolderStore, moment: str
) -> None:
    operator = launch({}, {names.ENV_STORE_URL: f"file://{kept.root}"})
    operator.stop()
    operator.command[1:3] = ["-c", f"import os, signal, sys\n{moment}\n{DOOR}"]
    operator.start()
    assert operator.process.wait(timeout=30) == 0
    found = cluster.server.kubectl("--namespace=default", "get", "lease", "kelong-operator", "-o=json")
    spec = json.loads(found.stdout)["spec"]
    assert (spec.get("holderIdentity", ""), spec["leaseDurationSeconds"]) == ("", 1)
