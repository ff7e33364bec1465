"""Training in several pods at a real API server; the tests play the Job controller and the kubelet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kelong_contract import names


@pytest.fixture
def pair(cluster: Any, operator: Any, voice: dict[str, Any]) -> dict[str, Any]:
    """The Job of a voice that two workers train, as the API server took it."""
    voice["spec"]["training"]["workers"] = 2
    cluster.apply(voice)
    found: dict[str, Any] = cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    return found


def run(cluster: Any, job: dict[str, Any], index: int, phase: str = "Running", **status: Any) -> None:
    """Play the Job controller and the kubelet for one worker."""
    template, name = job["spec"]["template"], f"khazix-train-1-{index}"
    labels = template["metadata"]["labels"] | {names.LABEL_WORKER_INDEX: str(index)}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": template["spec"] | {"nodeName": f"node-{index}"},
    }
    cluster.kubectl("create", "-f", "-", given=pod)
    cluster.set_status("pod", name, {"phase": phase} | status)


def condition_message(cluster: Any, kind: str) -> str:
    """What the voice's condition of that type says, or nothing while there is none."""
    found = cluster.get("voicemodel", "khazix").get("status", {}).get("conditions", [])
    return next((item["message"] for item in found if item["type"] == kind), "")


def test_the_api_server_takes_the_job_and_its_meeting_point(cluster: Any, pair: dict[str, Any]) -> None:
    spec = pair["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    meeting = cluster.get("service", "khazix-train")
    assert meeting["spec"]["clusterIP"] == "None"
    variables = {item["name"]: item.get("value") for item in spec["template"]["spec"]["containers"][0]["env"]}
    address = f"khazix-train-1-0.khazix-train.{cluster.namespace}.svc:29400"
    assert variables[names.ENV_RENDEZVOUS] == address


def test_the_first_workers_node_and_the_others_trouble_reach_status(
    cluster: Any, pair: dict[str, Any], trainer: Any
) -> None:
    trainer.says(10)
    run(cluster, pair, 1)
    run(cluster, pair, 0)
    # The first pod alone makes it Running: the words about the second come with a later look.
    cluster.eventually(
        lambda: condition_message(cluster, "Trained").endswith("on node node-0, 2 of 2 workers have come"),
        "the message that both workers have come",
    )
    assert cluster.get("voicemodel", "khazix")["status"]["training"]["nodeName"] == "node-0"
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": None, "finishedAt": None}}
    container = {"name": "trainer", "image": "i", "imageID": "i", "restartCount": 0, "ready": False, "state": ended}
    cluster.set_status("pod", "khazix-train-1-1", {"phase": "Failed", "containerStatuses": [container]})
    condition = cluster.eventually_says("voicemodel", "khazix", "Trained", "OutOfMemory")
    assert "khazix-train-1-1" in condition["message"]


def test_a_meeting_point_that_somebody_removed_comes_back(cluster: Any, pair: dict[str, Any]) -> None:
    cluster.kubectl("delete", "service", "khazix-train")
    cluster.eventually(lambda: cluster.get("service", "khazix-train"), "the Service again")


def test_a_service_of_somebody_else_is_left_alone(cluster: Any, operator: Any, voice: dict[str, Any]) -> None:
    ports = [{"name": "http", "port": 80}]
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "khazix-train"}, "spec": {"ports": ports}}
    cluster.apply(foreign)
    voice["spec"]["training"]["workers"] = 2
    cluster.apply(voice)
    condition = cluster.eventually_says("voicemodel", "khazix", "Trained", "NameConflict")
    assert "the Service khazix-train exists" in condition["message"]
    assert cluster.get("job", "khazix-train-1") is None
    assert cluster.get("service", "khazix-train")["spec"]["ports"][0]["port"] == 80


def test_the_number_of_workers_counts_until_training_has_begun(
    cluster: Any, pair: dict[str, Any], trainer: Any
) -> None:
    trainer.says(1)
    cluster.eventually(
        lambda: cluster.get("voicemodel", "khazix")["status"].get("training", {}).get("startTime"), "the start"
    )
    patch = json.dumps({"spec": {"training": {"workers": 3}}})
    flags = ("patch", "vmodel", "khazix", "--type=merge", "-p", patch)
    refused = cluster.server.kubectl(f"--namespace={cluster.namespace}", *flags)
    assert "are frozen since training has begun" in refused.stderr
