"""A real Prometheus that scrapes pods with the usual annotations, on any cluster that kubectl reaches.

Debian builds its Prometheus without discovery through Kubernetes: the targets come from a file that is kept up to date.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kelong_cluster import commands, host

_PORT = 19090
_SCRAPE_INTERVAL = "2s"
_LOOK_INTERVAL_S = 3.0
_ANNOTATION = "prometheus.io"


@contextlib.contextmanager
def running(kubectl_argv: Sequence[str], enter: Sequence[str], folder: Path) -> Iterator[tuple[str, int]]:
    """Prometheus behind the command prefix `enter`, with its files in `folder`; yields its address there."""
    if host.find("prometheus") is None:
        host.install(["prometheus"])
    home = folder / "prometheus"
    home.mkdir(parents=True, exist_ok=True)
    with (
        api_server(kubectl_argv) as proxy,
        _targets(kubectl_argv, proxy, home / "targets.json") as targets,
        (home / "log").open("wb") as log,
    ):
        scrape = {"job_name": "pods", "file_sd_configs": [{"files": [str(targets)]}]}
        settings = {"global": {"scrape_interval": _SCRAPE_INTERVAL}, "scrape_configs": [scrape]}
        (home / "settings.yaml").write_text(json.dumps(settings))  # JSON is YAML too
        argv = [
            *host.ending_with_caller(),
            *enter,
            host.program("prometheus"),
            f"--config.file={home / 'settings.yaml'}",
        ]
        argv += [f"--storage.tsdb.path={home / 'data'}", f"--web.listen-address=127.0.0.1:{_PORT}"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        with _ended(process):
            yield "127.0.0.1", _PORT


def is_ready(address: str) -> bool:
    """Whether it answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def targets_of(pods: list[dict[str, Any]], proxy: str) -> list[dict[str, Any]]:
    """What to scrape, each pod through the API server's pod proxy: pod addresses need no route here."""
    found = []
    for pod in pods:
        metadata = pod["metadata"]
        annotations = metadata.get("annotations", {})
        if annotations.get(f"{_ANNOTATION}/scrape") == "true" and pod["status"].get("phase") == "Running":
            port, path = annotations[f"{_ANNOTATION}/port"], annotations.get(f"{_ANNOTATION}/path", "/metrics")
            where = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{port}/proxy{path}"
            labels = {"__metrics_path__": where, "namespace": metadata["namespace"], "pod": metadata["name"]}
            found.append({"targets": [proxy], "labels": labels})
    return found


@contextlib.contextmanager
def _targets(kubectl_argv: Sequence[str], proxy: str, file: Path) -> Iterator[Path]:
    """A file of targets that follows the cluster's pods until the block ends."""
    ending = threading.Event()

    def follow() -> None:
        while True:
            listed = commands.run([*kubectl_argv, "get", "pods", "--all-namespaces", "-o", "json"], check=False).stdout
            if listed:  # else the API server is busy: the targets of the last look stay
                new = file.with_suffix(".new")
                new.write_text(json.dumps(targets_of(json.loads(listed)["items"], proxy)))
                new.rename(file)
            if ending.wait(_LOOK_INTERVAL_S):
                return

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield file
    finally:
        ending.set()
        thread.join()


@contextlib.contextmanager
def api_server(kubectl_argv: Sequence[str]) -> Iterator[str]:
    """The API server without credentials, on a local port of the network where kubectl runs."""
    argv = [*host.ending_with_caller(), *kubectl_argv, "proxy", "--port=0"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with _ended(process):
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"127\.0\.0\.1:\d+", said)
        if address is None:
            raise commands.ClusterError(f"kubectl proxy said {said!r} instead of an address")
        yield address.group()


@contextlib.contextmanager
def _ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.terminate()
