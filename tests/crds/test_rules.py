"""Every rule of the schemas, accepted and refused by a real API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Document = dict[str, Any]
Offer = Callable[[Document], str]
Change = Callable[[Document, str, Any], Document]
Keep = Callable[[Document], Any]

S3 = "spec.dataset.source.s3"
CHECKPOINT = {
    "step": 1000,
    "attempt": 1,
    "createdAt": "2026-01-01T00:00:00Z",
    "manifestSha256": "0" * 64,
    "sizeBytes": 1,
}
OWN_BUCKET = {"prefix": "a/", "endpoint": "https://s3.example.com", "bucket": "mine", "secretName": "my-keys"}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "tapes", "subPath": "1/a"}}

ACCEPTED = [
    ("spec.suspend", True),
    ("metadata.name", "a" * 40),
    ("spec.speakers", [{"name": "柯林", "prefix": "a/b"}, {"name": "Second.Voice-2"}]),
    (S3, OWN_BUCKET),
    (S3, OWN_BUCKET | {"region": "eu-west-1"}),
    ("spec.dataset.source", VOLUME),
    (f"{S3}.prefix", "a..b/c"),
    ("spec.model.sources", {"recogniser": "store:./whisper", "textEncoder": "hub:org/bert@main", "style": "none"}),
    ("spec.training.maxSteps", 200_000),
    ("spec.training.learningRate", "0.00005"),
    ("spec.training.resources", {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"ephemeral-storage": "10Gi"}}),
    ("spec.training.placement.gpu", {"resourceName": "nvidia.com/mig-1g.10gb", "count": 1}),
    ("spec.training.placement.gpu", {"count": 0}),
    ("spec.training.placement.tolerations", [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]),
    ("spec.serving", {"replicas": 0, "placement": {"nodeSelector": {"zone": "a"}, "runtimeClassName": "nvidia"}}),
    ("spec.promotedStep", 12000),  # on creation: it waits for the step to appear
]
REFUSED = [
    ("metadata.name", "a" * 41, "at most 40 characters"),
    ("metadata.name", "1a", "starting with a letter"),
    ("metadata.name", "a.b", "lower-case letters, digits and '-'"),
    ("spec.speakers", [], "at least 1 items"),
    ("spec.speakers", [{"name": "A"}, {"name": "A"}], "Duplicate value"),
    ("spec.speakers", [{"name": "a/b"}], "should match"),
    ("spec.speakers", [{"name": "A", "prefix": "../x"}], "must be relative"),
    ("spec.language", "en", "Unsupported value"),
    (f"{S3}.prefix", "/a", "must be relative"),
    (f"{S3}.prefix", "a/../b", "must be relative"),
    (f"{S3}.prefix", "..", "must be relative"),
    (S3, {"prefix": "a/", "bucket": "mine"}, "endpoint, bucket and secretName go together"),
    (S3, {"prefix": "a/", "region": "eu-west-1"}, "region goes with a bucket of its own"),
    (S3, None, "s3 must be given when type is S3"),
    ("spec.dataset.source.persistentVolumeClaim", {"claimName": "tapes"}, "persistentVolumeClaim must be given when"),
    ("spec.dataset.source", {"type": "HTTP"}, "Unsupported value"),
    ("spec.model.preset", "huge", "Unsupported value"),
    ("spec.model.sources", {"recogniser": "whisper-base"}, "should match"),
    ("spec.model.sources", {"recogniser": "store:/etc"}, "should match"),
    ("spec.model.sources", {"recogniser": "bundled"}, "should match"),
    ("spec.model.sources", {"style": "store:a/../../b"}, "must not contain '..'"),
    ("spec.training.maxSteps", 200_001, "at most 200, so that status can list every step"),
    ("spec.training.maxSteps", 0, "greater than or equal to 1"),
    ("spec.training.learningRate", "0.0", "should match"),
    ("spec.training.resources", {"limits": {"nvidia.com/gpu": 1}}, "GPUs are set in placement.gpu"),
    ("spec.training.resources", {"limits": {"memory": "4 GB"}}, "should match"),
    ("spec.training.placement.gpu", {"resourceName": "nvidia.com/mig-1g.10gb", "count": 2}, "count must be at most 1"),
    ("spec.training.terminationGracePeriodSeconds", 5, "greater than or equal to 10"),
    ("spec.audition.texts", [{"name": "a", "text": "好", "speaker": "Nobody"}], "only speakers that are listed"),
    ("spec.serving.replicas", -1, "greater than or equal to 0"),
    ("spec.promotedStep", 0, "greater than or equal to 1"),
    ("spec.promotedStepp", 1, 'unknown field "spec.promotedStepp"'),
]
FROZEN = [
    ({"dataset": {"source": {"s3": {"prefix": "other/"}}}}, "spec.dataset is frozen"),
    ({"speakers": [{"name": "Other"}]}, "spec.speakers is frozen"),
    ({"model": {"preset": "tiny"}}, "spec.model is frozen"),
    ({"training": {"seed": 1}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"batchFrames": 1000}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"learningRate": "0.0001"}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"precision": "BF16"}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"profile": "as-original"}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
]
ALWAYS_FREE = [
    {"suspend": True},
    {"training": {"maxSteps": 30000}},
    {"training": {"checkpoint": {"intervalSteps": 500}}},
    {"training": {"placement": {"gpu": {"count": 2}}}},
    {"serving": {"replicas": 3}},
    {"audition": {"texts": []}},
]


def test_the_example_is_accepted(offer: Offer, voice_model: Document) -> None:
    assert offer(voice_model) == ""


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_a_voice_model_may_say(offer: Offer, change: Change, voice_model: Document, path: str, value: Any) -> None:
    assert offer(change(voice_model, path, value)) == ""


@pytest.mark.parametrize(("path", "value", "why"), REFUSED)
def test_a_voice_model_is_refused_with_the_reason(
    offer: Offer, change: Change, voice_model: Document, path: str, value: Any, why: str
) -> None:
    assert why in offer(change(voice_model, path, value))


def test_promoting_a_step_that_is_not_listed_is_refused_with_our_sentence(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    sentence = "promotedStep must be the step of a checkpoint listed in status.checkpoints"
    assert sentence in voice.patch({"spec": {"promotedStep": 99}})
    assert voice.patch({"status": {"checkpoints": [CHECKPOINT]}}, "status") == ""
    assert sentence in voice.patch({"spec": {"promotedStep": 99}})
    assert voice.patch({"spec": {"promotedStep": 1000}}) == ""


def test_a_promoted_step_that_leaves_the_list_blocks_no_status_write(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"checkpoints": [CHECKPOINT]}}, "status") == ""
    assert voice.patch({"spec": {"promotedStep": 1000}}) == ""
    assert voice.patch({"status": {"checkpoints": []}}, "status") == ""
    assert voice.patch({"spec": {"serving": {"replicas": 2}}}) == ""
    assert voice.patch({"spec": {"promotedStep": None}}) == ""


def test_a_voice_created_with_a_step_waits_and_is_not_refused(
    keep: Keep, change: Change, voice_model: Document
) -> None:
    voice = keep(change(voice_model, "spec.promotedStep", 12000))
    assert voice.patch({"status": {"latestStep": 1}}, "status") == ""


@pytest.mark.parametrize(("patch", "why"), FROZEN)
def test_inputs_are_frozen_once_training_has_begun(
    keep: Keep, voice_model: Document, patch: Document, why: str
) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"training": {"startTime": "2026-01-01T00:00:00Z"}}}, "status") == ""
    assert why in voice.patch({"spec": patch})


@pytest.mark.parametrize("patch", [patch for patch, _ in FROZEN])
def test_inputs_are_free_before_training_has_begun(keep: Keep, voice_model: Document, patch: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"training": {"attempt": 1}}}, "status") == ""
    assert voice.patch({"spec": patch}) == ""


@pytest.mark.parametrize("patch", ALWAYS_FREE)
def test_the_rest_may_change_at_any_time(keep: Keep, voice_model: Document, patch: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"training": {"startTime": "2026-01-01T00:00:00Z"}}}, "status") == ""
    assert voice.patch({"spec": patch}) == ""


def test_max_steps_may_only_grow(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"spec": {"training": {"maxSteps": 20001}}}) == ""
    assert "training.maxSteps may only grow" in voice.patch({"spec": {"training": {"maxSteps": 20000}}})


def test_kubectl_scale_works_on_a_voice_that_says_nothing_of_replicas(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    selector = "kelong.dev/owner=khazix"
    serving = {"replicas": 0, "readyReplicas": 0, "updatedReplicas": 0, "selector": selector}
    assert voice.patch({"status": {"serving": serving}}, "status") == ""
    voice.kubectl("scale", voice.name, "--replicas=3")
    assert voice.kubectl("get", voice.name, "-o=jsonpath={.spec.serving.replicas}") == "3"
    scale = voice.kubectl("get", voice.name, "--subresource=scale", "-o=jsonpath={.spec.replicas} {.status.selector}")
    assert scale == f"3 {selector}"


def test_the_columns_show_status_step_and_promotion(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    ready = {"type": "Ready", "status": "False", "reason": "Training", "message": ""}
    ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    training = {"currentStep": 4200, "device": "NVIDIA-GeForce-RTX-4090", "nodeName": "gpu-1"}
    assert voice.patch({"status": {"conditions": [ready], "training": training}}, "status") == ""
    heading, row = voice.kubectl("get", "vmodel", "-o=wide").splitlines()
    assert heading.split() == ["NAME", "STATUS", "STEP", "MAX", "PROMOTED", "READY", "GPU", "NODE", "AGE"]
    assert row.split()[:6] == ["khazix", "Training", "4200", "20000", "NVIDIA-GeForce-RTX-4090", "gpu-1"]
    assert voice.kubectl("get", "voice", "-o=name").strip() == "voicemodel.kelong.dev/khazix"
