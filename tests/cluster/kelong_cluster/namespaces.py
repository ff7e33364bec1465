"""The namespaces that hold a node: processes, mounts and network of its own, so that ending one process ends it all.

The kernel kills every process of a process namespace when its first one ends, drops the mounts with the mount
namespace's last process, and the links and packet filters with the network namespace. What is left is files and control
groups, which `sweep` removes: also after a crash, since nothing here needs a memory of what was started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kelong_cluster import cache, commands, host

NODE_ADDRESS = "10.200.0.1"
_REAPER = Path(__file__).with_name("reaper.py")
_CONTROLLERS = {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"}  # what the kubelet asks for
_CLONE_NEWNET = 0x40000000
_ATTACHED, _DETACHED = "attached", "detached"  # marks on the command line: whether the node dies with its starter
_MADE = "made-folders"


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """A living set of namespaces, by the process that made them."""

    pid: int
    dies_with_caller: bool
    started: list[subprocess.Popen[bytes]] = field(default_factory=list, compare=False)  # by this process

    def start(self, argv: list[str], log: Path, *, folder: Path, environment: dict[str, str]) -> None:
        """Start a program inside all three, which it does not outlive, with its output in a file."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*self.enter, *argv],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)

    @property
    def enter_network(self) -> list[str]:
        """The command prefix that runs a program in the node's network, with the host's files and processes."""
        return [host.program("nsenter"), f"--net=/proc/{self.pid}/ns/net"]

    @property
    def enter(self) -> list[str]:
        """The command prefix that runs a program inside all three."""
        space = f"/proc/{self.pid}/ns"
        # The process that unshares stays outside its own process namespace; only its children are in.
        return [*self.enter_network, f"--mount={space}/mnt", f"--pid={space}/pid_for_children"]

    def connect(self, address: tuple[str, int], timeout_s: float | None = None) -> socket.socket:
        """A TCP connection made inside the node's network; a socket stays where it was made."""
        made: list[socket.socket] = []
        failed: list[OSError] = []

        def inside() -> None:
            try:
                _set_network(self.pid)
                made.append(socket.create_connection(address, timeout=timeout_s))
            except OSError as fault:
                failed.append(fault)

        # The namespace belongs to the thread: one that ends with it leaves the caller's alone.
        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]


def cgroup() -> str:
    """The name of the control group under which the node's pods are; nodes of other caches have others."""
    return f"kelong-{cache.digest_of_text(str(cache.root()))}"


def run_folder() -> Path:
    """Where a living node keeps its state; removed with it."""
    return cache.root() / "node" / "run"


def create(*, dies_with_caller: bool) -> Namespaces:
    """Make the namespaces, with a way for packets inside and none out."""
    unshare = [host.program("unshare"), "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    watched = host.ending_with_caller() if dies_with_caller else []
    process = subprocess.Popen(
        [*watched, *unshare, sys.executable, str(_REAPER), _ATTACHED if dies_with_caller else _DETACHED, run_folder()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    commands.wait_until(lambda: bool(_children(process.pid)), what="a new process namespace", timeout_s=20)
    spaces = Namespaces(pid=process.pid, dies_with_caller=dies_with_caller, started=[process])
    _arrange_mounts(spaces)
    _arrange_network(spaces)
    return spaces


def find() -> Namespaces | None:
    """The living node's namespaces, whoever started it."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # processes end while one looks
            program, *rest = (folder / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
            if Path(program).name == "unshare" and rest[-1:] == [str(run_folder())]:
                return Namespaces(pid=int(folder.name), dies_with_caller=_ATTACHED in rest)
    return None


def destroy(spaces: Namespaces) -> None:
    """Kill the first process, and with it every other one; return when the last is gone."""
    for child in _children(spaces.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    for process in reversed(spaces.started):
        process.wait()
    # unshare(1) ends when the first process has been buried, which the kernel does after all others.
    commands.wait_until(lambda: not _alive(spaces.pid), what="the end of the node's processes", timeout_s=60)


def sweep() -> None:
    """Remove what a node leaves behind once its processes are gone: control groups, mount points and files."""
    for hierarchy in _hierarchies():
        _remove_cgroup(hierarchy / cgroup())
    made = run_folder() / _MADE
    for place in made.read_text().splitlines() if made.exists() else ():
        with contextlib.suppress(OSError):  # somebody else uses it by now
            Path(place).rmdir()
    deadline = time.monotonic() + 30
    while run_folder().exists():  # mounts of a dead namespace go a moment after it
        shutil.rmtree(run_folder(), ignore_errors=time.monotonic() < deadline)


def make_cgroup() -> None:
    """The control group in all hierarchies under which the kubelet keeps its pods."""
    for hierarchy in _hierarchies():
        offered, passed_on = hierarchy / "cgroup.controllers", hierarchy / "cgroup.subtree_control"
        if offered.exists():  # version 2: a group has only the controllers that its parent passes on
            for name in sorted(_CONTROLLERS & set(offered.read_text().split()) - set(passed_on.read_text().split())):
                passed_on.write_text(f"+{name}")
        (hierarchy / cgroup()).mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            file = hierarchy / name
            if file.exists() and (hierarchy / cgroup() / name).exists():  # version 1 gives a new group an empty set
                (hierarchy / cgroup() / name).write_text(file.read_text())


def _hierarchies() -> Iterator[Path]:
    """Each mounted control group hierarchy: one on version 2, one per controller on version 1."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            yield Path(target)


def _remove_cgroup(group: Path) -> None:
    if not group.exists():
        return
    for folder, _, _ in os.walk(group, topdown=False):
        deadline = time.monotonic() + 20
        while Path(folder).exists():
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                break
            except OSError:  # the last process's exit is still being booked
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _arrange_mounts(spaces: Namespaces) -> None:
    """Give the node folders of its own where its programs have fixed places."""
    disk = run_folder() / "disk"
    own = ["/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers"]
    steps = ["mount --make-rshared /", "mount -t tmpfs -o mode=755 tmpfs /run"]
    (run_folder() / _MADE).write_text("".join(f"{place}\n" for place in own if not Path(place).exists()))
    for place in own:
        Path(place).mkdir(parents=True, exist_ok=True)
        (disk / place.lstrip("/")).mkdir(parents=True)
        steps.append(f"mount --bind '{disk}{place}' {place}")
    commands.run([*spaces.enter, "/bin/sh", "-euc", "\n".join(steps)])


def _arrange_network(spaces: Namespaces) -> None:
    ip = host.program("ip")
    for words in (
        "link set lo up",
        "link add node0 type bridge",  # the dummy type is not in every kernel
        f"address add {NODE_ADDRESS}/32 dev node0",
        "link set node0 up",
        "route add default dev node0",
    ):
        commands.run([*spaces.enter_network, ip, *words.split()])
    # The files under /proc/sys/net are those of the network one is in.
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    commands.run([*spaces.enter, "/bin/sh", "-euc", forward])


def _set_network(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net") as space:
        if libc.setns(space.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "the node's network cannot be entered")


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
