"""A SynthesisJob's life at a real API server; the tests play the batch door."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml
from kelong_contract import codec, layout, manifests, names, orders, store

ROOT = pathlib.Path(__file__).parent.parent.parent
STEP = {"step": 50, "attempt": 1, "createdAt": "2026-01-01T00:00:00Z", "manifestSha256": "a" * 64, "sizeBytes": 1}


@pytest.fixture
def synthesis() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "synthesisjob.yaml").read_text())
    return document


@pytest.fixture
def promoted(cluster: Any, operator: Any, voice: dict[str, Any], kept: store.FolderStore) -> orders.VoiceName:
    """A suspended voice with one checkpoint in the store."""
    cluster.apply(voice | {"spec": voice["spec"] | {"suspend": True}})
    uid = cluster.get("voicemodel", "khazix")["metadata"]["uid"]
    name = orders.VoiceName(namespace=cluster.namespace, name="khazix", uid=uid)
    key = layout.checkpoint_file(name.place(), 50, 1, "generator.safetensors")
    kept.put(key, b"weights")
    file = manifests.StoredFile(
        name="generator.safetensors", key=key, sha256=store.digest_bytes(b"weights"), size_bytes=7
    )
    manifest = manifests.CheckpointManifest(
        voice=name,
        step=50,
        attempt=1,
        created_at="2026-01-01T00:00:00+00:00",
        order_digest="o",
        corpus_digest="c",
        preset="tiny",
        speakers={"Khazix": 0},
        listed=True,
        files=(file,),
    )
    kept.put(layout.checkpoint_manifest(name.place(), 50), codec.dumps(manifest))
    cluster.eventually_says("voicemodel", "khazix", "CheckpointAvailable", "Uploaded")
    return name


def order_of(cluster: Any, name: str = "welcome") -> orders.SynthesisOrder:
    found = cluster.eventually(lambda: cluster.get("configmap", f"{name}-batch-order"), "the order")
    return codec.loads(orders.SynthesisOrder, found["data"][names.ORDER_FILE].encode(), "order")


def record(order: orders.SynthesisOrder, made: int, lost: int, *, finished: bool) -> manifests.SynthesisManifest:
    return manifests.SynthesisManifest(
        uid=order.uid,
        voice=order.voice,
        step=order.step,
        total=12,
        items=tuple(
            manifests.SynthesisedItem(id=f"{index:04d}", key=f"k/{index}", sha256="s", duration_s=1.5)
            for index in range(made)
        ),
        failures=tuple(
            manifests.FailedItem(
                id="0012", line=12, reason="UnspeakableText", message="'\u0416' cannot be said", position=0
            )
            for _ in range(lost)
        ),
        audio_s=1.5 * made,
        elapsed_s=1.0,
        finished=finished,
    )


def test_it_waits_for_a_promoted_step_then_speaks_with_that_one(
    cluster: Any, promoted: orders.VoiceName, synthesis: dict[str, Any], kept: store.FolderStore
) -> None:
    cluster.apply(synthesis)
    said = cluster.eventually_says("synthesisjob", "welcome", "Ready", "ModelNotReady")
    assert "serves no step yet" in said["message"]
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"promotedStep":50}}')
    cluster.eventually(lambda: cluster.get("deployment", "khazix"), "the Deployment")
    generation = cluster.get("deployment", "khazix")["metadata"]["generation"]
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 1)
    cluster.set_status("deployment", "khazix", counts | {"observedGeneration": generation})
    order = order_of(cluster)
    assert (order.voice, order.step, order.settings.length) == (promoted, 50, 1.1)
    assert order.output_prefix == f"synthesis/{cluster.namespace}/welcome/"
    assert [item.id for item in order.input.items] == ["a", "b"]
    assert cluster.get("job", "welcome-batch") is not None
    kept.put(
        layout.synthesis_progress(order.output_prefix, order.uid), codec.dumps(record(order, 5, 0, finished=False))
    )
    cluster.eventually(lambda: cluster.get("sjob", "welcome")["status"].get("progress") == "5/12", "progress")


def test_one_sentence_that_cannot_be_said_is_named_and_the_others_count(
    cluster: Any, promoted: orders.VoiceName, synthesis: dict[str, Any], kept: store.FolderStore
) -> None:
    synthesis["spec"] |= {"step": 50, "input": {"type": "ConfigMap", "configMap": {"name": "lines", "key": "a.txt"}}}
    cluster.apply(synthesis)
    said = cluster.eventually_says("synthesisjob", "welcome", "Ready", "InputInvalid")
    assert said["message"] == "there is no ConfigMap lines in this namespace"
    lines = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lines"}, "data": {"a.txt": "你好\n"}}
    cluster.apply(lines)
    order = order_of(cluster)
    assert order.input.path == f"{names.INPUT_MOUNT}/a.txt"
    kept.put(
        layout.synthesis_manifest(order.output_prefix, order.uid), codec.dumps(record(order, 11, 1, finished=True))
    )
    cluster.kubectl("wait", "synthesisjob/welcome", "--for=condition=Complete", "--timeout=30s")
    status = cluster.get("sjob", "welcome")["status"]
    assert status["items"] == {"total": 12, "succeeded": 11, "failed": 1}
    assert [item["id"] for item in status["failedItems"]] == ["0012"]
    assert status["manifestKey"] == layout.synthesis_manifest(order.output_prefix, order.uid)
    assert cluster.condition("sjob", "welcome", "Complete")["reason"] == "SomeItemsFailed"
    row = cluster.kubectl("get", "synthesisjobs").splitlines()[1].split()
    assert row[:6] == ["welcome", "Complete", "khazix", "50", "12/12", "1"]
