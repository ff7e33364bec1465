"""A node that ends, however it ends, leaves nothing of itself on the machine."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

import programs
import pytest
from kelong_cluster import commands, namespaces

pytestmark = pytest.mark.cluster


@pytest.fixture(autouse=True)
def own_cache(machine: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of its own, beside the one that other tests use."""
    monkeypatch.setenv("KELONG_CACHE", str(tmp_path))


def begin(kind: str) -> tuple[subprocess.Popen[str], int]:
    """Another process that starts a node with something in it, and the process id of that something."""
    program = programs.text(programs.begin_node, str(pathlib.Path(__file__).parent), kind)
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout:
        return starter, int(starter.stdout.readline())


def runs(pid: int) -> bool:
    """Whether a process is there and not only waiting to be buried."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def groups() -> list[pathlib.Path]:
    return [*pathlib.Path("/sys/fs/cgroup").glob(f"**/{namespaces.cgroup()}")]


def test_a_killed_test_run_takes_its_node_along_and_the_rest_is_swept() -> None:
    starter, inside = begin("attached")
    assert namespaces.find() is not None and runs(inside) and groups()
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    commands.wait_until(lambda: namespaces.find() is None and not runs(inside), what="the node's end", timeout_s=20)
    namespaces.sweep()
    assert not groups() and not namespaces.run_folder().exists()


def test_a_node_left_running_outlives_its_starter_and_ends_when_told() -> None:
    starter, inside = begin("detached")
    starter.wait()
    found = namespaces.find()
    assert found is not None and not found.dies_with_caller and runs(inside)
    namespaces.destroy(found)
    namespaces.sweep()
    assert not runs(inside) and namespaces.find() is None
    assert not groups() and not namespaces.run_folder().exists()
    assert str(namespaces.run_folder()) not in pathlib.Path("/proc/self/mountinfo").read_text()
