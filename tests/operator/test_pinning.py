"""What serves is pinned in the store before it is rolled out, so that no trainer deletes it meanwhile."""

from __future__ import annotations

import json
import pathlib
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

import kubernetes.client
import minio
import pytest
import yaml
from kelong_contract import codec, layout, manifests, names, orders, store
from kelong_contract.resources import VoiceModelStatus
from kelong_operator import apply, cluster, plan, telemetry, views
from minio.credentials import StaticProvider

ROOT = pathlib.Path(__file__).parent.parent.parent
ROOT_KEYS = ("kelong-tests", "kelong-tests-secret")


def pins(kept: store.Store, place: layout.Voice) -> tuple[int, ...]:
    """The pinned steps, none where nothing is written yet."""
    try:
        key = layout.pins(place)
        return codec.loads(manifests.Pins, kept.get(key), key).steps
    except store.NoSuchObject:
        return ()


def promote(cluster: Any, step: int) -> None:
    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", f'-p={{"spec":{{"promotedStep":{step}}}}}')


def rolled_out(cluster: Any, step: int) -> Callable[[], bool]:
    def look() -> bool:
        found = cluster.get("deployment", "khazix")
        return found is not None and found["metadata"]["annotations"][names.ANNOTATION_STEP] == str(step)

    return look


def test_what_is_rolled_out_and_what_is_spoken_with_is_pinned(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any, kept: store.FolderStore
) -> None:
    voice["spec"]["training"]["checkpoint"]["retention"] = {"keepLast": 1}
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    place = trainer.order().voice.place()
    for step in (50, 100, 150):
        trainer.saves(step)
    cluster.eventually(
        lambda: (cluster.get("voicemodel", "khazix").get("status") or {}).get("latestStep") == 150, "all"
    )
    promote(cluster, 100)
    cluster.eventually(rolled_out(cluster, 100), "a Deployment of step 100")
    assert pins(kept, place) == (100,)
    document = yaml.safe_load((ROOT / "examples" / "synthesisjob.yaml").read_text())
    document["spec"]["step"] = 50
    cluster.apply(document)
    cluster.eventually(lambda: pins(kept, place) == (50, 100), "the step of the SynthesisJob among the pins")
    found = cluster.eventually(lambda: cluster.get("configmap", "welcome-batch-order"), "the order")
    order = codec.loads(orders.SynthesisOrder, found["data"][names.ORDER_FILE].encode(), "order")
    finished = manifests.SynthesisManifest(
        uid=order.uid,
        voice=order.voice,
        step=50,
        total=1,
        items=(manifests.SynthesisedItem(id="a", key="a.wav", sha256="a" * 64, duration_s=1.0),),
        failures=(),
        audio_s=1.0,
        elapsed_s=1.0,
        finished=True,
    )
    kept.put(layout.synthesis_manifest(order.output_prefix, order.uid), codec.dumps(finished))
    cluster.eventually(lambda: pins(kept, place) == (100,), "only what serves is pinned once the SynthesisJob is over")


def test_a_step_that_went_just_before_it_was_pinned_is_not_rolled_out(kept: store.FolderStore) -> None:
    owner = views.Owner(kind=names.VOICE_MODEL, namespace="ns", name="khazix", uid="uid-1", generation=1)
    nowhere = kubernetes.client.Configuration(host="http://127.0.0.1:9")
    applier = apply.Applier(
        cluster.Cluster(kubernetes.client.ApiClient(nowhere)), kept, telemetry.Telemetry()
    )  # whatever came after the pin would fail to reach this API server
    rollout = plan.Apply(body={"kind": "Deployment", "metadata": {"name": "khazix"}})
    wanted = plan.Plan(
        status=VoiceModelStatus(),
        actions=(plan.Pin(steps=(500,), must_exist=500), rollout),
        again_in_s=1.0,
    )
    with pytest.raises(store.NoSuchObject, match=r"checkpoints/500/manifest\.json"):
        applier.carry_out(owner, {}, wanted, "2026-01-02T03:04:05Z")
    assert pins(kept, layout.Voice(namespace="ns", name="khazix", uid="uid-1")) == (500,)


def limited_keys(minio_address: str, bucket: str) -> tuple[dict[str, str], Callable[[], None]]:
    """Keys of a user that reads as the operator's key should, and what lets it write pins as well."""
    address = urllib.parse.urlsplit(minio_address)
    admin = minio.MinioAdmin(endpoint=address.netloc, credentials=StaticProvider(*ROOT_KEYS), secure=False)
    user, secret = f"operator-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    objects = f"arn:aws:s3:::{bucket}"
    reading = [
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [objects]},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": [f"{objects}/voices/*", f"{objects}/synthesis/*"],
        },
    ]
    writing = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": [f"{objects}/voices/*/pins.json"]}

    def allow(statements: list[dict[str, Any]]) -> None:
        admin.policy_add(user, policy={"Version": "2012-10-17", "Statement": statements})

    admin.user_add(user, secret)
    allow(reading)
    admin.policy_set(user, user=user)
    return {names.ENV_STORE_ACCESS_KEY: user, names.ENV_STORE_SECRET_KEY: secret}, lambda: allow([*reading, writing])


def test_a_key_that_may_not_write_pins_is_told_and_nothing_is_rolled_out(
    cluster: Any,
    launch: Callable[..., Any],
    voice: dict[str, Any],
    trainer: Any,
    minio_address: str,
    bucket_store: store.BucketStore,
) -> None:
    keys, allow_pins = limited_keys(minio_address, bucket_store.bucket)
    launch({"store": {"endpoint": minio_address, "bucket": bucket_store.bucket}}, keys)
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    trainer.kept = bucket_store
    trainer.saves(50)
    cluster.eventually_says("voicemodel", "khazix", "CheckpointAvailable", "Uploaded")
    promote(cluster, 50)
    said = cluster.eventually_says("voicemodel", "khazix", "Ready", "StorageUnavailable")
    assert "no step is rolled out while it cannot be pinned" in said["message"]
    assert "pins.json" in said["message"] and "AccessDenied" in said["message"], json.dumps(said)
    assert cluster.get("deployment", "khazix") is None
    allow_pins()
    cluster.eventually(rolled_out(cluster, 50), "a Deployment of step 50")
    assert pins(bucket_store, trainer.order().voice.place()) == (50,)
