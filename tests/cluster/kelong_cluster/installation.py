"""Kelong on a cluster, installed by its chart with the try-out MinIO; tests and `make cluster` call it."""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kelong_cluster import cache, commands
from kelong_cluster.handle import Cluster
from kelong_contract import store

RELEASE = "kelong"
NAMESPACE = "kelong-system"
BUCKET = "kelong"
SECRET = "kelong-store"
CRDS = ("voicemodels.kelong.dev", "synthesisjobs.kelong.dev")
SMALL: Mapping[str, Any] = {
    "training": {
        "gpuCount": 1,
        "resources": {
            "requests": {"cpu": "200m", "memory": "1Gi", "ephemeral-storage": "500Mi"},
            "limits": {"cpu": "1", "memory": "4Gi", "ephemeral-storage": "5Gi"},
        },
    },
    "serving": {
        "gpuCount": 0,
        "resources": {
            "requests": {"cpu": "100m", "memory": "600Mi", "ephemeral-storage": "200Mi"},
            "limits": {"cpu": "1", "memory": "3Gi", "ephemeral-storage": "2Gi"},
        },
    },
}


def install(cluster: Cluster, namespaces: tuple[str, ...] = ("default",)) -> None:
    """Install or upgrade Kelong for VoiceModels in some namespaces; those it makes enforce Pod Security restricted."""
    for namespace in {NAMESPACE, *namespaces}:
        if cluster.spaces is None and _exists(cluster, "namespace", namespace):
            continue  # somebody else's, not ours to label
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    values = {
        "images": {name: cluster.images[name] for name in ("operator", "trainer", "inference")},
        "minio": {"enabled": True, "image": cluster.images["minio"], "secretNamespaces": list(namespaces)},
        "presets": {"tiny": dict(SMALL)},
        "intervals": {"trainingSeconds": 3, "progressSeconds": 3, "resyncSeconds": 30, "retrySeconds": 3},
        "allowCpuOnGpuNodes": True,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        chart = cache.repository() / "charts" / "kelong"
        where = ("--namespace", NAMESPACE, "--values", file.name)
        cluster.helm("upgrade", "--install", RELEASE, str(chart), *where, "--wait", "--timeout", "5m")


@contextlib.contextmanager
def installed(cluster: Cluster, namespaces: tuple[str, ...]) -> Iterator[None]:
    """Install for the length of the block. On a named cluster everything goes afterwards; the built-in node goes whole.

    A named cluster that has Kelong's CRDs already is refused: taking them away would take somebody's voices.
    """
    if cluster.spaces is not None:
        install(cluster, namespaces)
        yield
        return
    if any(_exists(cluster, "crd", name) for name in CRDS):
        raise commands.ClusterError("this cluster has Kelong's CRDs: the tests need one without Kelong")
    created = [name for name in (NAMESPACE, *namespaces) if not _exists(cluster, "namespace", name)]
    try:
        install(cluster, namespaces)
        yield
    finally:
        cluster.kubectl("delete", "voicemodels,synthesisjobs", "--all", "--all-namespaces", check=False)
        cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", check=False)
        cluster.kubectl("delete", "crds", *CRDS, "--ignore-not-found", check=False)
        for name in created:
            cluster.kubectl("delete", "namespace", name, "--ignore-not-found", check=False)


def _exists(cluster: Cluster, kind: str, name: str) -> bool:
    return bool(cluster.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").stdout.strip())


@contextlib.contextmanager
def open_store(cluster: Cluster) -> Iterator[store.BucketStore]:
    """The installation's store, reached from here with the keys of its Secret."""
    secret = cluster.get("--namespace", NAMESPACE, "secret", SECRET)
    keys = {name: decoded(value) for name, value in secret["data"].items()}
    with cluster.forward(NAMESPACE, f"service/{RELEASE}-minio", 9000) as address:
        opened = store.open_bucket(
            endpoint=f"http://{address}",
            bucket=BUCKET,
            access_key=keys["accessKey"],
            secret_key=keys["secretKey"],
        )
        commands.wait_until(lambda: _answers(opened), what="the operator's making of the bucket", timeout_s=60)
        yield opened


def decoded(value: str) -> str:
    """A value of a Secret, as it was given."""
    return base64.b64decode(value).decode()


def _answers(opened: store.Store) -> bool:
    """Whether the bucket is there: the operator makes that of the try-out MinIO shortly after its start."""
    try:
        list(opened.list("models/"))
    except store.StoreError:
        return False
    return True


def upload(opened: store.Store, folder: Path, prefix: str) -> None:
    """Upload a folder's files below a key prefix."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            opened.put_file(prefix + path.relative_to(folder).as_posix(), path)
