"""Recordings that lie elsewhere than in the store: behind an address, and on a volume."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import pods
from kelong_cluster import handle

NAMESPACE = "default"
_MOUNT = "/shelf"
_PORT = 8080


@contextlib.contextmanager
def served(cluster: handle.Cluster, name: str, file: pathlib.Path) -> Iterator[str]:
    """Yields the address, for pods of the cluster, at which the file can be fetched."""
    with _pod(cluster, name, {"emptyDir": {}}):
        _copy(cluster, [file], name)
        ports = [{"port": _PORT}]
        service = {"kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}
        cluster.apply({"apiVersion": "v1"} | service, namespace=NAMESPACE)
        try:
            yield f"http://{name}.{NAMESPACE}.svc:{_PORT}/{file.name}"
        finally:
            cluster.kubectl("--namespace", NAMESPACE, "delete", f"service/{name}")


@contextlib.contextmanager
def kept(cluster: handle.Cluster, name: str, folder: pathlib.Path, disk: pathlib.Path) -> Iterator[str]:
    """Yields the name of a claim whose volume holds what the folder does.

    The built-in node makes no volumes by itself: there a new folder `disk` of this machine is one.
    """
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    if cluster.spaces is not None:
        disk.mkdir()
        disk.chmod(0o777)  # the pod that fills it is nobody here
        claimed = {"namespace": NAMESPACE, "name": name}
        own = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(disk)}, "claimRef": claimed}
        volume = {"kind": "PersistentVolume", "metadata": {"name": name}}
        volume["spec"] = {"accessModes": ["ReadWriteOnce"]} | own
        cluster.apply({"apiVersion": "v1"} | volume)
        spec |= {"storageClassName": "", "volumeName": name}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
    cluster.apply({"apiVersion": "v1"} | claim, namespace=NAMESPACE)
    try:
        with _pod(cluster, name, {"persistentVolumeClaim": {"claimName": name}}):
            _copy(cluster, sorted(folder.iterdir()), name)
        yield name
    finally:
        # It goes once no pod holds it any more.
        cluster.kubectl("--namespace", NAMESPACE, "delete", f"persistentvolumeclaim/{name}", "--wait=false")


@contextlib.contextmanager
def _pod(cluster: handle.Cluster, name: str, volume: dict[str, Any]) -> Iterator[None]:
    """A pod that serves a volume's files for the length of the block."""
    mounts, ports = [{"name": "shelf", "mountPath": _MOUNT}], [{"containerPort": _PORT}]
    probe = {"httpGet": {"path": "/", "port": _PORT}, "periodSeconds": 1}
    program = ("-m", "http.server", str(_PORT), "--directory", _MOUNT)
    spec = pods.spec(cluster, *program, volumeMounts=mounts, ports=ports, readinessProbe=probe)
    spec["volumes"] = [{"name": "shelf"} | volume]
    metadata = {"name": name, "labels": {"app": name}}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, namespace=NAMESPACE)
    try:
        cluster.kubectl(
            "--namespace", NAMESPACE, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s", timeout_s=130
        )
        yield
    finally:
        cluster.kubectl("--namespace", NAMESPACE, "delete", f"pod/{name}", "--wait=true")


def _copy(cluster: handle.Cluster, paths: Sequence[pathlib.Path], pod: str) -> None:
    for path in paths:
        cluster.kubectl("--namespace", NAMESPACE, "cp", str(path), f"{pod}:{_MOUNT}/{path.name}")
