"""The cluster itself: what the other tests here take for granted."""

from __future__ import annotations

import json
import pathlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pods
import programs
import pytest
from kelong_cluster import commands, handle

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def namespace(cluster: handle.Cluster) -> Iterator[str]:
    """A namespace under Pod Security `restricted`."""
    name = "kelong-node-test"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=true")


def answers(ask: Callable[[], object]) -> bool:
    """Whether a question gets through."""
    try:
        ask()
    except OSError:
        return False
    return True


def test_every_node_is_ready_and_one_has_gpus(cluster: handle.Cluster) -> None:
    nodes = cluster.get("nodes")["items"]
    ready = [condition["status"] for node in nodes for condition in node["status"]["conditions"]
             if condition["type"] == "Ready"]  # fmt: skip
    assert ready and set(ready) == {"True"}
    assert any(int(node["status"]["allocatable"].get(cluster.gpu_resource, 0)) > 0 for node in nodes)


def test_a_job_with_a_gpu_runs_without_rights_and_finds_the_api_by_name(
    cluster: handle.Cluster, namespace: str
) -> None:
    limits = {"cpu": "500m", "memory": "128Mi", cluster.gpu_resource: "1"}
    spec = pods.spec(cluster, "-c", programs.text(programs.look_around), resources={"limits": limits})
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "look"}, "spec": {"template": {"spec": spec}}}
    cluster.apply(job, namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "job/look", "--for=condition=Complete", "--timeout=120s")
    address, user, answer = cluster.kubectl("--namespace", namespace, "logs", "job/look").stdout.split()
    service = cluster.get("--namespace", "default", "service/kubernetes")
    assert (address, user, answer) == (service["spec"]["clusterIP"], "65532", "200")


def test_pod_security_refuses_root(cluster: handle.Cluster, namespace: str) -> None:
    spec = pods.spec(cluster, "-c", "pass", securityContext=pods.RESTRICTED | {"runAsNonRoot": False, "runAsUser": 0})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": spec}
    with pytest.raises(commands.ClusterError, match="violates PodSecurity"):
        cluster.apply(pod, namespace=namespace)


def test_a_service_leads_to_its_pods_from_here_and_from_a_pod_to_itself(
    cluster: handle.Cluster, namespace: str
) -> None:
    probe = {"httpGet": {"path": "/inner", "port": 8080}, "periodSeconds": 1}
    spec = pods.spec(
        cluster, "-c", programs.text(programs.tell_names), ports=[{"containerPort": 8080}], readinessProbe=probe
    )
    metadata = {"name": "echo", "labels": {"app": "echo"}}
    service = {"selector": {"app": "echo"}, "ports": [{"port": 8080}]}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": service},
        namespace=namespace,
    )
    cluster.kubectl("--namespace", namespace, "wait", "pod/echo", "--for=condition=Ready", "--timeout=60s")
    with cluster.forward(namespace, "service/echo", 8080) as address:

        def ask() -> bytes:
            with urllib.request.urlopen(f"http://{address}/", timeout=30) as answer:
                return bytes(answer.read())

        # A ready pod is a service's after kube-proxy's next round, about a second later.
        commands.wait_until(lambda: answers(ask), what="an answer through the service", timeout_s=30)
        assert [ask() for _ in range(3)] == [b"echo echo "] * 3


def test_a_port_that_nobody_serves_is_refused_through_a_forward(cluster: handle.Cluster, namespace: str) -> None:
    cluster.kubectl("--namespace", namespace, "wait", "pod/echo", "--for=condition=Ready", "--timeout=60s")
    with cluster.forward(namespace, "pod/echo", 8099) as address, pytest.raises((OSError, urllib.error.URLError)):
        urllib.request.urlopen(f"http://{address}/", timeout=30)


def test_prometheus_scrapes_annotated_pods(cluster: handle.Cluster, namespace: str, tmp_path: pathlib.Path) -> None:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "measured", "annotations": annotations},
        "spec": pods.spec(cluster, "-c", programs.text(programs.give_metrics)),
    }
    cluster.apply(pod, namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "pod/measured", "--for=condition=Ready", "--timeout=60s")
    with cluster.prometheus(tmp_path) as address:

        def scraped() -> list[str]:
            with urllib.request.urlopen(f"http://{address}/api/v1/query?query=up", timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
            return [series["value"][1] for series in found if series["metric"].get("pod") == "measured"]

        commands.wait_until(lambda: scraped() == ["1"], what="a scrape of the annotated pod", timeout_s=60)
        assert scraped() == ["1"], "the pod was scraped once and then no more"


def test_a_killed_program_is_one_that_crashed(cluster: handle.Cluster, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "crashing"},
        "spec": pods.spec(cluster, "-m", "http.server", "8080"),
    }
    cluster.apply(pod, namespace=namespace)
    cluster.kubectl("--namespace", namespace, "wait", "pod/crashing", "--for=condition=Ready", "--timeout=60s")
    cluster.kill(namespace, "crashing", "http.server")
    phase = "--for=jsonpath={.status.phase}=Failed" if cluster.spaces else "--for=delete"
    assert cluster.kubectl("--namespace", namespace, "wait", "pod/crashing", phase, "--timeout=30s")
