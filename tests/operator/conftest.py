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
from kelong_contract import codec, layout, manifests, names, orders, store
from kelong_operator import settings

ROOT = pathlib.Path(__file__).parent.parent.parent
PATIENCE_S = 60.0
CONFIGURATION: dict[str, Any] = {
    "store": {"endpoint": "http://store.invalid:9000", "bucket": "kelong", "secretName": "kelong-store"},
    "images": {"trainer": "trainer:test", "inference": "inference:test"},
    "presets": {
        name: {
            "sources": {"recogniser": "store:whisper-base"},
            "training": {"gpuCount": 1, "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}},
            "serving": {"gpuCount": 0},
        }
        for name in settings.PRESETS
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
def permit(api_server: apiserver.ApiServer) -> Callable[..., None]:
    """Binds what the chart, with these values, allows the operator to the user it works as here."""
    binaries.ensure({"helm"})

    def bind(user: str, *values: str) -> None:
        chart = [str(binaries.path("helm")), "template", user, str(ROOT / "charts" / "kelong"), "--namespace=default"]
        flags = ["--kube-version=1.34.4", "--set=minio.enabled=true", "--show-only=templates/rbac.yaml"]
        rendered = subprocess.run([*chart, *flags, *values], capture_output=True, text=True, check=True).stdout
        for document in yaml.safe_load_all(rendered):
            if document is None or document["kind"] == "ServiceAccount":
                continue
            if document["kind"].endswith("Binding"):
                document["subjects"] = [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]
            done = api_server.kubectl("apply", "-f", "-", given=json.dumps(document))
            assert done.returncode == 0, done.stderr

    return bind


@pytest.fixture(scope="session")
def permissions(permit: Callable[..., None]) -> None:
    """The permissions of an operator that watches all namespaces."""
    permit("operator")


@pytest.fixture
def cluster(api_server: apiserver.ApiServer) -> Iterator[Cluster]:
    """A fresh namespace, with Pod Security `restricted` enforced."""
    namespace = f"tests-{uuid.uuid4().hex[:8]}"
    made = Cluster(server=api_server, namespace="default")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    own = Cluster(server=api_server, namespace=namespace)
    yield own
    own.kubectl("delete", "voicemodels,synthesisjobs", "--all", "--timeout=20s")


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
def launch(cluster: Cluster, permissions: None, tmp_path: pathlib.Path) -> Iterator[Callable[..., Operator]]:
    """Starts the operator as its pod would, in all but the image. Its log must be free of faults of its own."""
    launched: list[Operator] = []

    def start(changes: dict[str, Any], variables: dict[str, str], user: str = "operator") -> Operator:
        configuration = tmp_path / "config.yaml"
        store_of = CONFIGURATION["store"] | changes.get("store", {})
        configuration.write_text(yaml.safe_dump(CONFIGURATION | changes | {"store": store_of}))
        health, metrics = apiserver.free_ports(2)
        environment = {
            "KUBECONFIG": str(cluster.server.kubeconfig(user)),
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            names.ENV_METRICS_PORT: str(metrics),
            names.ENV_POD_NAMESPACE: "default",
            names.ENV_POD_NAME: f"operator-{uuid.uuid4().hex[:6]}",
        }
        command = [sys.executable, "-m", "kelong_operator", f"--config={configuration}", f"--health-port={health}"]
        running = Operator(command=command, environment=environment | variables, log=tmp_path / "operator.log")
        running.start()
        launched.append(running)
        return running

    yield start
    for running in launched:
        if running.process is not None and running.process.poll() is None:
            running.stop()
        log = running.log.read_text()
        assert not re.search(r"Traceback|a fault in the operator|Forbidden|forbidden", log), log[-6000:]


@pytest.fixture
def operator(launch: Callable[..., Operator], kept: store.FolderStore) -> Operator:
    """The operator with its store in a folder."""
    return launch({}, {names.ENV_STORE_URL: f"file://{kept.root}"})


@pytest.fixture
def voice() -> dict[str, Any]:
    """The example VoiceModel, small."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "voicemodel-tiny.yaml").read_text())
    return document


class Trainer:
    """Leaves in the store what a trainer leaves."""

    def __init__(self, cluster: Cluster, kept: store.Store) -> None:
        self.cluster = cluster
        self.kept = kept

    def order(self, attempt: int = 1, voice: str = "khazix") -> orders.TrainingOrder:
        found = self.cluster.get("configmap", f"{voice}-train-{attempt}-order")
        return codec.loads(orders.TrainingOrder, found["data"][names.ORDER_FILE].encode(), "order")

    def says(self, step: int, **fields: Any) -> None:
        order = self.order(fields.pop("job", 1))
        progress = manifests.Progress(
            attempt=1,
            order_digest=codec.digest(order),
            updated_at=f"2026-01-01T00:{step // 60 % 60:02d}:{step % 60:02d}+00:00",
            device="cpu",
            step=step,
            max_steps=order.training.max_steps,
            **({"stage": "train", "started_at": "2026-01-01T00:00:00+00:00"} | fields),
        )
        self.kept.put(layout.progress(order.voice.place()), codec.dumps(progress))

    def saves(self, step: int, content: bytes = b"weights") -> None:
        order = self.order()
        place = order.voice.place()
        key = layout.checkpoint_file(place, step, 1, "generator.safetensors")
        self.kept.put(key, content)
        file = manifests.StoredFile(
            name="generator.safetensors", key=key, sha256=store.digest_bytes(content), size_bytes=len(content)
        )
        manifest = manifests.CheckpointManifest(
            voice=order.voice,
            step=step,
            attempt=1,
            created_at="2026-01-01T00:00:00+00:00",
            order_digest=codec.digest(order),
            corpus_digest="c",
            preset="tiny",
            speakers={"Khazix": 0},
            listed=True,
            files=(file,),
        )
        self.kept.put(layout.checkpoint_manifest(place, step), codec.dumps(manifest))

    def judges(self, step: int, manifest_sha256: str = "", **figures: float) -> None:
        """Writes the audition report of a step, by default of the step as it is now."""
        place = self.order().voice.place()
        data = self.kept.get(layout.checkpoint_manifest(place, step))
        report = manifests.AuditionReport(
            step=step,
            attempt=1,
            manifest_sha256=manifest_sha256 or store.digest_bytes(data),
            auditions=(),
            figures=manifests.Figures(**figures),
        )
        self.kept.put(layout.audition_report(place, step), codec.dumps(report))


@pytest.fixture
def trainer(cluster: Cluster, kept: store.FolderStore) -> Trainer:
    return Trainer(cluster, kept)
