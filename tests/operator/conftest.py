"""The real operator process at a real API server, with the permissions the chart gives it and a store in a folder."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kelong_cluster import apiserver, binaries
from kelong_contract import names, store

ROOT = pathlib.Path(__file__).parent.parent.parent
PATIENCE_S = 60.0
CONFIGURATION = {
    "store": {"endpoint": "http://store.invalid:9000", "bucket": "kelong", "secretName": "kelong-store"},
    "images": {"trainer": "trainer:test", "inference": "inference:test"},
    "presets": {
        name: {
            "sources": {"recogniser": "store:whisper-base"},
            "training": {"gpuCount": 1, "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}},
            "serving": {"gpuCount": 0},
        }
        for name in ("zh-clap", "tiny")
    },
    "intervals": {"trainingSeconds": 0.5, "progressSeconds": 0.2, "resyncSeconds": 2, "retrySeconds": 0.5},
    "leaseSeconds": 3,
}


@dataclasses.dataclass
class Cluster:
    """One namespace of the API server, seen as its user and its controllers see it."""

    server: apiserver.ApiServer
    namespace: str

    def kubectl(self, *arguments: str, given: Any = None) -> str:
        text = json.dumps(given) if given is not None else None
        done = self.server.kubectl(f"--namespace={self.namespace}", *arguments, given=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, document: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", given=document)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        done = self.server.kubectl(f"--namespace={self.namespace}", "get", kind, name, "-o=json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def all(self, kind: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, "-o=json"))["items"]

    def set_status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

    def condition(self, kind: str, name: str, which: str) -> dict[str, Any] | None:
        found = self.get(kind, name)
        given = (found or {}).get("status", {}).get("conditions", [])
        return next((item for item in given if item["type"] == which), None)

    def eventually(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if (found := look()) is not None and found is not False:
                return found
            time.sleep(0.2)
        raise AssertionError(
            f"not within {PATIENCE_S:.0f} s: {what}\n{self.kubectl('get', 'voicemodels,jobs', '-o=yaml')}"
        )

    def eventually_says(self, kind: str, name: str, which: str, reason: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.condition(kind, name, which)
            return found if found is not None and found["reason"] == reason else None

        return self.eventually(look, f"{which}/{reason} of {kind} {name}")


@pytest.fixture(scope="session")
def permissions(api_server: apiserver.ApiServer) -> None:
    """What the chart allows the operator, bound to the user it works as here."""
    chart = [str(binaries.path("helm")), "template", "kelong", str(ROOT / "charts" / "kelong")]
    values = ["--kube-version=1.34.4", "--set=minio.enabled=true", "--show-only=templates/rbac.yaml"]
    binaries.ensure({"helm"})
    rendered = subprocess.run([*chart, *values], capture_output=True, text=True, check=True).stdout
    for document in yaml.safe_load_all(rendered):
        if document is None or document["kind"] == "ServiceAccount":
            continue
        if document["kind"].endswith("Binding"):
            document["subjects"] = [{"kind": "User", "name": "operator", "apiGroup": "rbac.authorization.k8s.io"}]
        document["metadata"].pop("namespace", None)
        done = api_server.kubectl("apply", "-f", "-", given=json.dumps(document))
        assert done.returncode == 0, done.stderr


@pytest.fixture
def cluster(api_server: apiserver.ApiServer) -> Cluster:
    """A fresh namespace, with Pod Security `restricted` enforced."""
    namespace = f"tests-{uuid.uuid4().hex[:8]}"
    made = Cluster(server=api_server, namespace="default")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    return Cluster(server=api_server, namespace=namespace)


@pytest.fixture
def kept(tmp_path: pathlib.Path) -> store.FolderStore:
    """The store that the operator reads, and the tests write as a trainer would."""
    (tmp_path / "store").mkdir()
    return store.FolderStore(tmp_path / "store")


@dataclasses.dataclass
class Operator:
    """The operator's process, which can be killed and started again."""

    command: list[str]
    environment: dict[str, str]
    log: pathlib.Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)


@pytest.fixture
def operator(
    cluster: Cluster, permissions: None, kept: store.FolderStore, tmp_path: pathlib.Path
) -> Iterator[Operator]:
    """The operator as its pod would run it, in all but the image. Its log must be free of faults of its own."""
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump(CONFIGURATION | {"namespaces": []}))
    health, metrics = apiserver.free_ports(2)
    environment = {
        "KUBECONFIG": str(cluster.server.kubeconfig("operator")),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        names.ENV_STORE_URL: f"file://{kept.root}",
        names.ENV_METRICS_PORT: str(metrics),
        names.ENV_POD_NAMESPACE: "default",
        names.ENV_POD_NAME: f"operator-{uuid.uuid4().hex[:6]}",
    }
    command = [sys.executable, "-m", "kelong_operator", f"--config={configuration}", f"--health-port={health}"]
    running = Operator(command=command, environment=environment, log=tmp_path / "operator.log")
    running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()
        log = running.log.read_text()
        assert not re.search(r"Traceback|a fault in the operator|Forbidden|forbidden", log), log[-6000:]


@pytest.fixture
def voice() -> dict[str, Any]:
    """The example VoiceModel, small."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "voicemodel-tiny.yaml").read_text())
    return document
