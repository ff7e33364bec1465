"""A VoiceModel's life at a real API server; the tests play the trainer, the controllers and the kubelet."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from kelong_contract import layout, manifests, names, orders, store

FAILED_JOB = {
    "startTime": "2026-01-01T00:00:00Z",
    "failed": 1,
    "conditions": [
        {
            "type": kind,
            "status": "True",
            "reason": "PodFailurePolicy",
            "message": "Container trainer for pod ns/p failed with exit code 65 matching FailJob rule at index 0",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "lastProbeTime": "2026-01-01T00:00:00Z",
        }
        for kind in ("FailureTarget", "Failed")
    ],
}


def listed_steps(cluster: Any) -> list[int]:
    return [item["step"] for item in cluster.get("voicemodel", "khazix").get("status", {}).get("checkpoints", [])]


def servers_are_ready(cluster: Any) -> None:
    """Play the Deployment controller: as many servers as wished for, all of the newest template."""
    found = cluster.get("deployment", "khazix")
    wished = found["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), wished)
    cluster.set_status("deployment", "khazix", counts | {"observedGeneration": found["metadata"]["generation"]})


def metrics(operator: Any) -> str:
    """What the operator's metrics endpoint answers."""
    port = operator.environment[names.ENV_METRICS_PORT]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def begin(cluster: Any, voice: dict[str, Any]) -> None:
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")


def test_the_training_pod_passes_pod_security_restricted(cluster: Any, operator: Any, voice: dict[str, Any]) -> None:
    begin(cluster, voice)
    job = cluster.get("job", "khazix-train-1")
    template = job["spec"]["template"]
    labels = {"metadata": {"name": "pod", "labels": template["metadata"]["labels"]}}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]} | labels
    assert "created" in cluster.kubectl("create", "--dry-run=server", "-f", "-", given=pod)
    limits = template["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"


def test_from_apply_to_a_promoted_step_and_back(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    begin(cluster, voice)
    trainer.says(60)
    trainer.saves(50)
    trainer.saves(100, b"other weights")
    cluster.eventually(lambda: listed_steps(cluster) == [50, 100], "both checkpoints in status")
    refusal = cluster.server.kubectl(
        f"--namespace={cluster.namespace}",
        "patch",
        "vmodel",
        "khazix",
        "--type=merge",
        '-p={"spec":{"promotedStep":99}}',
    )
    assert "promotedStep must be the step of a checkpoint listed in status.checkpoints" in refusal.stderr
    for step in (50, 100, 50):
        cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", f'-p={{"spec":{{"promotedStep":{step}}}}}')

        def rolled_out(step: int = step) -> bool:
            found = cluster.get("deployment", "khazix")
            return found is not None and found["metadata"]["annotations"][names.ANNOTATION_STEP] == str(step)

        cluster.eventually(rolled_out, f"a Deployment of step {step}")
        servers_are_ready(cluster)

        def promoted(step: int = step) -> bool:
            return cluster.get("voicemodel", "khazix")["status"].get("promotedStep") == step

        cluster.eventually(promoted, f"status.promotedStep {step}")
    assert cluster.get("voicemodel", "khazix")["status"]["serving"]["previousStep"] == 100
    assert cluster.get("service", "khazix")["spec"]["ports"][0]["port"] == names.PORT_SERVER
    cluster.kubectl("scale", "voicemodel/khazix", "--replicas=2")
    cluster.eventually(lambda: cluster.get("deployment", "khazix")["spec"]["replicas"] == 2, "two servers")
    row = cluster.kubectl("get", "voicemodels").splitlines()[1].split()
    assert row[:6] == ["khazix", "Serving", "60", "300", "50", "1"]
    reasons = {event["reason"] for event in cluster.all("events")}
    assert {"PromotionStarted", "Promoted"} <= reasons


def test_an_operator_that_is_killed_in_between_loses_and_doubles_nothing(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    begin(cluster, voice)
    operator.kill()
    trainer.says(60)
    trainer.saves(50)
    uid = cluster.get("job", "khazix-train-1")["metadata"]["uid"]
    operator.start()
    cluster.eventually(lambda: listed_steps(cluster) == [50], "the checkpoint in status")
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"promotedStep":50}}')
    cluster.eventually(lambda: cluster.get("deployment", "khazix"), "the Deployment")
    servers_are_ready(cluster)
    cluster.eventually_says("voicemodel", "khazix", "Promoted", "Serving")
    operator.kill()
    operator.start()
    time.sleep(5)
    assert [job["metadata"]["uid"] for job in cluster.all("jobs")] == [uid]
    assert len(cluster.all("deployments")) == 1
    assert cluster.condition("voicemodel", "khazix", "Promoted")["reason"] == "Serving"


def test_an_operator_with_nothing_to_do_writes_nothing(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    begin(cluster, voice)
    trainer.says(60)
    trainer.saves(50)
    cluster.eventually(lambda: listed_steps(cluster) == [50], "the checkpoint in status")
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"promotedStep":50}}')
    cluster.eventually(lambda: cluster.get("deployment", "khazix"), "the Deployment")
    servers_are_ready(cluster)
    cluster.eventually_says("voicemodel", "khazix", "Promoted", "Serving")

    def versions() -> list[str]:
        kinds = ("voicemodels", "deployments", "services", "jobs", "configmaps")
        return [item["metadata"]["resourceVersion"] for kind in kinds for item in cluster.all(kind)]

    def writes() -> list[str]:
        return [line for line in metrics(operator).splitlines() if line.startswith("kelong_api_writes_total")]

    time.sleep(1)
    before = versions(), writes()
    assert any('kind="Deployment",verb="apply"' in line for line in before[1])
    time.sleep(4)
    assert (versions(), writes()) == before


def test_what_somebody_changes_on_the_servers_is_set_right(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    begin(cluster, voice)
    trainer.saves(50)
    cluster.eventually(lambda: listed_steps(cluster) == [50], "the checkpoint in status")
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"promotedStep":50}}')
    cluster.eventually(lambda: cluster.get("deployment", "khazix"), "the Deployment")
    cluster.kubectl("scale", "deployment/khazix", "--replicas=5")
    cluster.eventually(lambda: cluster.get("deployment", "khazix")["spec"]["replicas"] == 1, "one server as wished")
    selector = cluster.get("service", "khazix")["spec"]["selector"]
    wrong = json.dumps({"spec": {"selector": dict.fromkeys(selector, "another")}})
    cluster.kubectl("patch", "service", "khazix", "--type=merge", f"-p={wrong}")
    cluster.eventually(
        lambda: cluster.get("service", "khazix")["spec"]["selector"] == selector, "the Service selects the servers"
    )


def test_bad_data_is_told_and_not_tried_again_until_suspend_is_toggled(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    begin(cluster, voice)
    problem = manifests.Problem(reason="TooFewClips", message="no recording below recordings/x/khazix/ can be used")
    trainer.says(0, stage="slice", started_at=None, problem=problem)
    cluster.set_status("job", "khazix-train-1", FAILED_JOB)
    said = cluster.eventually_says("voicemodel", "khazix", "DatasetReady", "TooFewClips")
    assert said["message"] == problem.message
    time.sleep(3)
    assert [job["metadata"]["name"] for job in cluster.all("jobs")] == ["khazix-train-1"]
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"suspend":true}}')
    cluster.eventually(lambda: cluster.all("jobs") == [], "the failed Job is removed")
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"suspend":false}}')
    cluster.eventually(lambda: cluster.get("job", "khazix-train-2"), "the next attempt")
    assert trainer.order(2).training.max_steps == 300


def test_new_recordings_after_bad_data_start_the_next_attempt(
    cluster: Any, operator: Any, voice: dict[str, Any], kept: store.FolderStore
) -> None:
    kept.put(f"recordings/{cluster.namespace}/khazix/a.wav", b"noise")
    begin(cluster, voice)
    cluster.set_status("job", "khazix-train-1", FAILED_JOB)
    cluster.eventually_says("voicemodel", "khazix", "Ready", "DatasetInvalid")
    kept.put(f"recordings/{cluster.namespace}/khazix/b.wav", b"speech")
    cluster.eventually(lambda: cluster.get("job", "khazix-train-2"), "the next attempt")


def test_a_model_that_is_uploaded_after_it_was_missed_starts_the_next_attempt(
    cluster: Any, operator: Any, voice: dict[str, Any], kept: store.FolderStore
) -> None:
    kept.put(f"recordings/{cluster.namespace}/khazix/a.wav", b"speech")
    begin(cluster, voice)
    text = json.dumps(FAILED_JOB).replace("exit code 65", "exit code 64")
    cluster.set_status("job", "khazix-train-1", json.loads(text))
    cluster.eventually_says("voicemodel", "khazix", "Ready", "TrainingFailed")
    kept.put("models/another/model.bin", b"not named by the order")
    time.sleep(3)
    assert cluster.get("job", "khazix-train-2") is None
    kept.put("models/whisper-base/model.bin", b"weights")
    cluster.eventually(lambda: cluster.get("job", "khazix-train-2"), "the next attempt")


def test_a_changed_interval_replaces_the_job_with_its_own_order(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    begin(cluster, voice)
    cluster.set_status("job", "khazix-train-1", {"active": 1, "startTime": "2026-01-01T00:00:00Z"})
    patch = '-p={"spec":{"training":{"checkpoint":{"intervalSteps":20}}}}'
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", patch)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1")["spec"]["suspend"], "the Job is suspended")
    time.sleep(1.5)
    assert cluster.get("job", "khazix-train-2") is None  # the pod still saves
    cluster.set_status("job", "khazix-train-1", {"active": 0})
    cluster.eventually(lambda: cluster.get("job", "khazix-train-2"), "the next attempt")
    assert cluster.get("job", "khazix-train-1") is None
    assert trainer.order(2).training.interval_steps == 20


def test_a_checkpoint_that_was_tampered_with_is_not_served(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any, kept: store.FolderStore
) -> None:
    begin(cluster, voice)
    trainer.saves(50)
    trainer.saves(100)
    cluster.eventually(lambda: listed_steps(cluster) == [50, 100], "the checkpoints in status")
    trainer.saves(50, b"weights of somebody else")
    place = trainer.order().voice.place()
    kept.put(layout.checkpoint_file(place, 100, 1, "generator.safetensors"), b"short")
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"promotedStep":50}}')
    said = cluster.eventually_says("voicemodel", "khazix", "Promoted", "ChecksumMismatch")
    assert "manifest has changed since it was listed" in said["message"]
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"promotedStep":100}}')

    def told() -> bool:
        return (
            "has 5 bytes in the store, expected 7" in cluster.condition("voicemodel", "khazix", "Promoted")["message"]
        )

    cluster.eventually(told, "the generator's size in the message")
    assert cluster.get("deployment", "khazix") is None


def test_a_voice_can_be_deleted_while_the_operator_is_away(cluster: Any, operator: Any, voice: dict[str, Any]) -> None:
    begin(cluster, voice)
    operator.kill()
    found = cluster.get("voicemodel", "khazix")
    assert "finalizers" not in found["metadata"]
    job = cluster.get("job", "khazix-train-1")
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (found["metadata"]["uid"], True)
    cluster.kubectl("delete", "voicemodel", "khazix", "--timeout=10s")
    assert cluster.get("voicemodel", "khazix") is None


def test_health_and_metrics_answer(cluster: Any, operator: Any, voice: dict[str, Any]) -> None:
    begin(cluster, voice)
    cluster.eventually_says("voicemodel", "khazix", "Ready", "Pending")
    health = operator.command[-1].removeprefix("--health-port=")
    with urllib.request.urlopen(f"http://127.0.0.1:{health}/healthz", timeout=5) as answer:
        assert answer.read() == b"ok\n"
    text = metrics(operator)
    assert 'kelong_reconciles_total{kind="VoiceModel",result="success"}' in text
    assert 'kelong_resources{kind="VoiceModel",reason="Pending"}' in text
    assert 'kelong_api_writes_total{kind="Job",verb="create"} 1.0' in text


def test_a_second_operator_waits_for_the_first(cluster: Any, operator: Any, voice: dict[str, Any]) -> None:
    begin(cluster, voice)
    lease = cluster.server.kubectl("--namespace=default", "get", "lease", "kelong-operator", "-o=json")
    assert json.loads(lease.stdout)["spec"]["holderIdentity"] == operator.environment[names.ENV_POD_NAME]
    assert operator.stop() == 0
    lease = cluster.server.kubectl("--namespace=default", "get", "lease", "kelong-operator", "-o=json")
    assert json.loads(lease.stdout)["spec"].get("holderIdentity", "") == ""


def test_an_unreadable_word_of_the_trainer_does_not_keep_the_next_one_from_starting(
    cluster: Any, operator: Any, voice: dict[str, Any], kept: store.FolderStore
) -> None:
    cluster.apply(voice | {"spec": voice["spec"] | {"suspend": True}})
    uid = cluster.get("voicemodel", "khazix")["metadata"]["uid"]
    place = orders.VoiceName(namespace=cluster.namespace, name="khazix", uid=uid).place()
    for key in (layout.progress(place), layout.corpus_report(place)):
        kept.put(key, b"{")
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    cluster.eventually_says("voicemodel", "khazix", "StorageAvailable", "Reachable")


def test_a_job_of_somebody_elses_is_neither_taken_for_ours_nor_touched(
    cluster: Any, operator: Any, voice: dict[str, Any]
) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "khazix-train-1"}}
    cluster.apply(job | {"spec": {"suspend": True, "template": {"spec": pod}}})
    cluster.apply(voice)
    found = cluster.eventually_says("voicemodel", "khazix", "Ready", "ClusterRefused")
    assert "the Job khazix-train-1 exists and belongs to something else" in found["message"]
    cluster.kubectl("delete", "job", "khazix-train-1")
    cluster.eventually_says("voicemodel", "khazix", "Trained", "Scheduling")
