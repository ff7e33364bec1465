"""A real Prometheus that finds pods by the usual annotations, on any cluster that kubectl reaches."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kelong_cluster import commands, host

_PORT = 19090
_SCRAPE_INTERVAL = "2s"


@contextlib.contextmanager
def running(kubectl_argv: Sequence[str], enter: Sequence[str], folder: Path) -> Iterator[tuple[str, int]]:
    """Prometheus behind the command prefix `enter`, with its files in `folder`; yields its address there."""
    if host.find("prometheus") is None:
        host.install(["prometheus"])
    home = folder / "prometheus"
    home.mkdir(parents=True, exist_ok=True)
    with _proxy(kubectl_argv) as proxy, (home / "log").open("wb") as log:
        (home / "settings.yaml").write_text(json.dumps(_settings(proxy)))  # JSON is YAML too
        argv = [*enter, host.program("prometheus"), f"--config.file={home / 'settings.yaml'}"]
        argv += [f"--storage.tsdb.path={home / 'data'}", f"--web.listen-address=127.0.0.1:{_PORT}"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        with _ended(process):
            yield "127.0.0.1", _PORT


@contextlib.contextmanager
def _proxy(kubectl_argv: Sequence[str]) -> Iterator[str]:
    """The API server without credentials, on a local port of the network where kubectl runs."""
    argv = [*kubectl_argv, "proxy", "--port=0"]
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


def _settings(proxy: str) -> dict[str, Any]:
    """Every pod with the annotation, scraped through the API server's pod proxy: pod addresses need no route here."""
    meta = "__meta_kubernetes_pod"
    annotation = f"{meta}_annotation_prometheus_io"
    path = "/api/v1/namespaces/$1/pods/$2:$3/proxy$4"
    scrape = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod", "api_server": f"http://{proxy}"}],
        "relabel_configs": [
            {"source_labels": [f"{annotation}_scrape"], "regex": "true", "action": "keep"},
            {"source_labels": [f"{meta}_phase"], "regex": "Running", "action": "keep"},
            # Discovery makes one target per declared port, all alike after this: Prometheus keeps one of them.
            {
                "source_labels": [f"{meta.removesuffix('_pod')}_namespace", f"{meta}_name", f"{annotation}_port",
                                  f"{annotation}_path"],
                "regex": "([^;]+);([^;]+);([^;]+);([^;]+)",
                "replacement": path,
                "target_label": "__metrics_path__",
            },
            {
                "source_labels": [f"{meta.removesuffix('_pod')}_namespace", f"{meta}_name", f"{annotation}_port",
                                  f"{annotation}_path"],
                "regex": "([^;]+);([^;]+);([^;]+);",
                "replacement": path.replace("$4", "/metrics"),
                "target_label": "__metrics_path__",
            },
            {"target_label": "__address__", "replacement": proxy},
            {"source_labels": [f"{meta.removesuffix('_pod')}_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{meta}_name"], "target_label": "pod"},
        ],
    }  # fmt: skip
    return {"global": {"scrape_interval": _SCRAPE_INTERVAL}, "scrape_configs": [scrape]}
