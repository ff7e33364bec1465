"""A voice that begins with another one's step, and what the judges say of a voice's steps, at a real API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kelong_contract import codec, layout, manifests, store


@pytest.fixture
def heir(voice: dict[str, Any]) -> dict[str, Any]:
    """A voice that shall begin with step 50 of `khazix`."""
    document = copy.deepcopy(voice)
    document["metadata"]["name"] = "heir"
    document["spec"]["training"]["init"] = {"from": "VoiceModel", "voiceModel": {"name": "khazix", "step": 50}}
    return document


def pinned(kept: store.Store, place: layout.Voice) -> tuple[int, ...]:
    key = layout.pins(place)
    return codec.loads(manifests.Pins, kept.get(key), key).steps if kept.exists(key) else ()


def test_a_voice_waits_for_the_step_it_begins_with_and_keeps_it_from_going(
    cluster: Any, operator: Any, voice: dict[str, Any], heir: dict[str, Any], trainer: Any, kept: store.FolderStore
) -> None:
    cluster.apply(heir)
    cluster.eventually_says("voicemodel", "heir", "Trained", "ModelNotReady")
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    place = trainer.order().voice.place()
    cluster.eventually(lambda: pinned(kept, place) == (50,), "the step to be kept before it exists")
    cluster.eventually_says("voicemodel", "heir", "Trained", "StepNotFound")
    assert cluster.get("job", "heir-train-1") is None
    trainer.saves(50)
    cluster.eventually(lambda: cluster.get("job", "heir-train-1"), "the heir's Job")
    begun = trainer.order(voice="heir").init.voice_model
    uid = cluster.get("voicemodel", "khazix")["metadata"]["uid"]
    assert (begun.voice.uid, begun.voice.name, begun.step) == (uid, "khazix", 50)

    def remembered() -> bool:
        status = cluster.get("voicemodel", "heir")["status"]
        return status["training"].get("init") == {"name": "khazix", "uid": uid, "step": 50}

    cluster.eventually(remembered, "what it begins with in status")


def test_figures_reach_status_and_the_best_step_its_column(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    trainer.says(160)
    for step in (50, 100, 150):
        trainer.saves(step)

    def told() -> dict[int, dict[str, str]]:
        status = cluster.get("voicemodel", "khazix").get("status", {})
        steps = {item["step"]: item.get("metrics", []) for item in status.get("checkpoints", [])}
        return {step: {item["name"]: item["value"] for item in found} for step, found in steps.items()}

    def best() -> int | None:
        return cluster.get("voicemodel", "khazix").get("status", {}).get("bestStep")

    trainer.judges(50, cer=0.5, similarity=0.71234567)
    trainer.judges(100, dnsmos=3.0)
    trainer.judges(150, manifest_sha256="0" * 64, cer=0.1)  # of a step that has been made again since
    cluster.eventually(lambda: best() == 50, "the best step")
    expected = {50: {"cer": "0.5", "similarity": "0.7123"}, 100: {"dnsmos": "3"}, 150: {}}
    assert cluster.eventually(lambda: told() == expected, "the figures")
    trainer.judges(150, cer=0.25)
    cluster.eventually(lambda: best() == 150, "a better step")
    heading, row = cluster.kubectl("get", "vmodel", "-o=wide").splitlines()
    assert row[heading.index("BEST") :].startswith("150")


def test_a_report_that_cannot_be_read_costs_its_figures_and_nothing_else(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any, kept: store.FolderStore
) -> None:
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    trainer.says(60)
    trainer.saves(50)
    kept.put(layout.audition_report(trainer.order().voice.place(), 50), b"not JSON")
    condition = cluster.eventually_says("voicemodel", "khazix", "CheckpointAvailable", "Uploaded")
    assert condition["message"] == "step 50 is the newest of 1"
