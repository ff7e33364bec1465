"""What the API server says about Jobs, pods and Deployments, as values."""

from __future__ import annotations

from typing import Any

import pytest
from kelong_operator import views

OWNER = {
    "apiVersion": "kelong.dev/v1alpha1",
    "kind": "VoiceModel",
    "name": "khazix",
    "uid": "uid-1",
    "controller": True,
}


def pod(**status: Any) -> dict[str, Any]:
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}}
    return {"metadata": metadata, "spec": {"nodeName": "gpu-1"}, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return pod(containerStatuses=[{"state": {"waiting": {"reason": reason, "message": message}}} | more])


def ended(code: int, **more: Any) -> dict[str, Any]:
    return pod(phase="Failed", containerStatuses=[{"state": {"terminated": {"exitCode": code} | more}}])


UNSCHEDULABLE = pod(
    conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]
)
CRASHED = {
    "lastState": {"terminated": {"exitCode": 65, "reason": "Error", "message": "ChecksumMismatch: another SHA-256"}}
}
RUNNING = {"state": {"running": {}}, "ready": False, "restartCount": 3}


@pytest.mark.parametrize(
    ("document", "reason", "part"),
    [
        (UNSCHEDULABLE, "Unschedulable", "0/1 nodes"),
        (waiting("CreateContainerConfigError", 'secret "s" not found'), "SecretMissing", 'secret "s" not found'),
        (waiting("CreateContainerConfigError", "runAsNonRoot"), "PodRefused", "runAsNonRoot"),
        (waiting("ImagePullBackOff", "no such image"), "ImagePullFailed", "no such image"),
        (waiting("CrashLoopBackOff", "", **CRASHED), "ChecksumMismatch", "exit code 65 (Error): another SHA-256"),
        (pod(containerStatuses=[RUNNING | CRASHED]), "ChecksumMismatch", "another SHA-256"),
        (ended(65, message="StepNotFound: there is no step 5"), "StepNotFound", "exit code 65 (Error): there is no"),
        (ended(64, message="GPUUnusable: no driver"), "GPUUnusable", "no driver"),
        (ended(1, message="ValueError: of a program's log"), "PodFailed", "ValueError: of a program's log"),
        (ended(137, reason="OOMKilled"), "OutOfMemory", "exit code 137 (OOMKilled)"),
        (ended(64, message="the driver is too old\n"), "PodFailed", "exit code 64 (Error): the driver is too old"),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "PodFailed", "Evicted: low on memory"),
    ],
)
def test_a_pods_trouble_is_named_in_its_own_words(document: dict[str, Any], reason: str, part: str) -> None:
    trouble = views.pod_of(document).trouble
    assert trouble is not None
    assert trouble.reason == reason
    assert part in trouble.message


@pytest.mark.parametrize(
    "document", [pod(), waiting("ContainerCreating"), waiting("PodInitializing"), ended(0), ended(75)]
)
def test_a_pod_on_its_way_has_no_trouble(document: dict[str, Any]) -> None:
    assert views.pod_of(document).trouble is None


def test_a_server_that_crashes_again_and_again_is_told_with_one_reason_throughout() -> None:
    crashed = {"state": CRASHED["lastState"], "ready": False, "restartCount": 2}
    turns = [pod(containerStatuses=[item]) for item in (RUNNING | CRASHED, crashed)]
    turns.append(waiting("CrashLoopBackOff", "back-off 40s", **CRASHED))
    assert len({views.pod_of(turn).trouble for turn in turns}) == 1
    over_it = RUNNING | CRASHED | {"ready": True}
    assert views.pod_of(pod(containerStatuses=[over_it])).trouble is None


def deployment(*turned: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "d"}, "spec": {}, "status": {"conditions": list(turned)}}


def test_a_deployment_tells_why_its_pods_cannot_be_made() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    assert views.deployment_of(deployment(failure), "uid-1").refusal == "exceeded quota"
    assert views.deployment_of(deployment(failure | {"status": "False"}), "uid-1").refusal is None
    assert views.deployment_of(deployment(), "uid-1").refusal is None


def test_a_deployment_tells_that_it_takes_too_long() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    assert views.deployment_of(deployment(late), "uid-1").deadline_message == "timed out"
    assert (
        views.deployment_of(deployment(late | {"reason": "NewReplicaSetAvailable"}), "uid-1").deadline_message is None
    )


def job(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    basic = {"name": "j", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [OWNER]}
    return {"metadata": basic | metadata, "spec": {}, "status": status}


def test_a_job_knows_for_which_exit_code_it_gave_up() -> None:
    message = "Container trainer for pod ns/p failed with exit code 65 matching FailJob rule at index 0"
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": message}
    view = views.job_of(job({"conditions": [failed]}), "uid-1")
    assert (view.failed, view.finished, view.failure_exit_code, view.owned) == (True, True, 65, True)
    assert not views.job_of(job({"conditions": [failed | {"status": "False"}]}), "uid-2").finished


def test_a_terminating_pod_keeps_its_job_busy() -> None:
    assert views.job_of(job({"active": 0, "terminating": 1}), "uid-1").busy_pods == 1
    assert views.job_of(job({"active": 0, "terminating": None}), "uid-1").busy_pods == 0


def test_a_job_of_a_namesake_or_one_on_its_way_out_is_leaving() -> None:
    labels = {"kelong.dev/kind": "VoiceModel", "kelong.dev/owner": "khazix"}
    before = OWNER | {"uid": "uid-0"}
    other = before | {"name": "somebody-else"}
    assert views.job_of(job({}, labels=labels, ownerReferences=[before]), "uid-1").leaving
    assert not views.job_of(job({}, labels=labels, ownerReferences=[before]), "uid-0").leaving
    assert not views.job_of(job({}, labels=labels, ownerReferences=[other]), "uid-1").leaving
    assert not views.job_of(job({}, labels=labels, ownerReferences=[]), "uid-1").leaving
    assert views.job_of(job({}, ownerReferences=[], deletionTimestamp="2026-01-01T00:00:00Z"), "uid-1").leaving
