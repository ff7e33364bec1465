"""A bare control plane on the loopback address: etcd and kube-apiserver, with no node and no controllers.

What the API server itself decides (schemas, rules, permissions, server-side apply) is tested against it; it needs no
root and starts in seconds. Tests play the controllers and the kubelet by writing statuses.
"""

from __future__ import annotations

import contextlib
import pathlib
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from kelong_cluster import binaries

ADMIN_TOKEN = "admin-of-the-tests"
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ApiServer:
    """A running API server. `tokens` maps further user names to their tokens; they may do nothing until bound."""

    address: str
    folder: pathlib.Path
    tokens: dict[str, str]

    def kubeconfig(self, user: str = "admin") -> pathlib.Path:
        """A kubeconfig of that user."""
        token = ADMIN_TOKEN if user == "admin" else self.tokens[user]
        authority = str(self.folder / "certificates" / "apiserver.crt")
        path = self.folder / f"{user}.kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            "clusters": [{"name": "tests", "cluster": {"server": self.address, "certificate-authority": authority}}],
            "users": [{"name": user, "user": {"token": token}}],
        }
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path

    def kubectl(
        self, *arguments: str, given: str | None = None, user: str = "admin"
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as that user; the caller looks at the result."""
        command = [str(binaries.path("kubectl")), f"--kubeconfig={self.kubeconfig(user)}", *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def running(folder: pathlib.Path, users: tuple[str, ...] = ()) -> Iterator[ApiServer]:
    """An API server over an empty etcd; both end with the block."""
    binaries.ensure({"kubernetes", "etcd"})
    tokens = {user: f"token-of-{user}" for user in users}
    etcd_port, peer_port, port = free_ports(3)
    server = ApiServer(address=f"https://127.0.0.1:{port}", folder=folder, tokens=tokens)
    with (
        _program(folder, "etcd", _etcd_flags(folder, etcd_port, peer_port)) as etcd,
        _program(folder, "kube-apiserver", _server_flags(server, etcd_port, port)) as api,
    ):
        _wait(server, etcd, api)
        yield server


def _etcd_flags(folder: pathlib.Path, port: int, peer_port: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def _server_flags(server: ApiServer, etcd_port: int, port: int) -> list[str]:
    tokens = server.folder / "tokens.csv"
    rows = [f'{ADMIN_TOKEN},admin,admin,"system:masters"']
    rows += [f"{token},{user},{user}" for user, token in server.tokens.items()]
    tokens.write_text("\n".join(rows) + "\n")
    key = server.folder / "service-account.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={server.folder / 'certificates'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",  # there is no controller that would make the accounts
        "--watch-cache=true",
    ]


@contextlib.contextmanager
def _program(folder: pathlib.Path, name: str, flags: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(binaries.path(name)), *flags], stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: ApiServer, *processes: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}; see {server.folder}")
        with contextlib.suppress(OSError):
            authority = ssl.create_default_context(cafile=str(server.folder / "certificates" / "apiserver.crt"))
            request = urllib.request.Request(
                f"{server.address}/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
            )
            with urllib.request.urlopen(request, timeout=2, context=authority) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.2)
    raise RuntimeError(f"the API server was not ready after {_START_TIMEOUT_S:.0f} s; see {server.folder}")


def free_ports(count: int) -> list[int]:
    """So many different TCP ports of the loopback address that nobody listens on right now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
