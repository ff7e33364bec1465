"""What the node needs from the machine it runs on, and how to get it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

from kelong_cluster import commands

# program -> the Debian package that brings it
_PACKAGES = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "ctr": "containerd",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "runc": "runc",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
_CNI_PACKAGE = "containernetworking-plugins"
_CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def why_not() -> str | None:
    """Why the built-in node cannot run here and what would make it run; None when it can."""
    if not sys.platform.startswith("linux"):
        return "the built-in node needs Linux: name another cluster's context in KELONG_TEST_CONTEXT"
    if os.geteuid() != 0:
        return "the built-in node needs root: run as root, or name another cluster's context in KELONG_TEST_CONTEXT"
    return None


def find(program: str) -> str | None:
    """The path of a program, also where only root's PATH would have it."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_FOLDERS}")


def program(name: str) -> str:
    """The path of a program that must be there."""
    found = find(name)
    if found is None:
        raise commands.ClusterError(f"{name} is not installed: {_advice([_PACKAGES.get(name, name)])}")
    return found


def cni_folder() -> Path:
    """Where the container network plugins lie."""
    for folder in _CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in _CNI_PLUGINS):
            return folder
    raise commands.ClusterError(f"the container network plugins are not installed: {_advice([_CNI_PACKAGE])}")


def prepare() -> None:
    """Install what is missing, on Debian and its relatives as root; elsewhere say what to install."""
    reason = why_not()
    if reason:
        raise commands.ClusterError(reason)
    missing = {package for name, package in _PACKAGES.items() if find(name) is None}
    if not any(all((folder / plugin).exists() for plugin in _CNI_PLUGINS) for folder in _CNI_FOLDERS):
        missing.add(_CNI_PACKAGE)
    if missing:
        install(sorted(missing))
    if find("go") is None:
        raise commands.ClusterError("go is not installed: the node's programs are built with Go 1.26 or newer (go.dev)")


def ending_with_caller() -> list[str]:
    """The command prefix of a program that must not outlive this process, where the kernel can see to that."""
    setpriv = find("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def kill_program(program: str, pod: str) -> None:
    """End a Python program of a pod of the built-in node as a crash would: SIGKILL to its container's first process.

    A pod is known by its host name, which is its own name where nothing else is said.
    """
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # processes end while one looks
            if folder.name.isdigit() and _is_first_of(folder, program, pod):
                os.kill(int(folder.name), signal.SIGKILL)
                return
    raise commands.ClusterError(f"no running {program} belongs to the pod {pod}")


def _is_first_of(folder: Path, program: str, pod: str) -> bool:
    words = (folder / "cmdline").read_bytes().split(b"\0")
    if program.encode() not in words or f"HOSTNAME={pod}".encode() not in (folder / "environ").read_bytes().split(
        b"\0"
    ):
        return False
    ids = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("NSpid:"))
    return ids.split()[-1] == "1"


def install(packages: list[str]) -> None:
    """Install Debian packages."""
    if find("apt-get") is None:
        raise commands.ClusterError(f"this machine lacks {', '.join(packages)}: {_advice(packages)}")
    commands.say(f"installing {', '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    commands.run(["apt-get", "update", "-qq"], environment=quiet)
    commands.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], environment=quiet)


def _advice(packages: list[str]) -> str:
    return f"on Debian 12 or Ubuntu, `apt-get install {' '.join(packages)}`"
