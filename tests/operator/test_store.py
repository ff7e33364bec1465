"""A store that is away costs time and nothing else; the store here is a real MinIO server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from kelong_contract import names, store


def test_a_voice_waits_for_a_bucket_that_is_not_there_yet(
    cluster: Any, launch: Callable[..., Any], voice: dict[str, Any], minio_address: str
) -> None:
    bucket = f"tests-{uuid.uuid4().hex[:12]}"
    keys = {names.ENV_STORE_ACCESS_KEY: "kelong-tests", names.ENV_STORE_SECRET_KEY: "kelong-tests-secret"}
    launch({"store": {"endpoint": minio_address, "bucket": bucket}}, keys)
    cluster.apply(voice)
    said = cluster.eventually_says("voicemodel", "khazix", "Ready", "StorageUnavailable")
    assert "NoSuchBucket" in said["message"]
    assert cluster.all("jobs") == []
    opened = store.open_bucket(
        endpoint=minio_address,
        bucket=bucket,
        access_key=keys[names.ENV_STORE_ACCESS_KEY],
        secret_key=keys[names.ENV_STORE_SECRET_KEY],
    )
    opened.make_bucket()
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    assert cluster.condition("voicemodel", "khazix", "StorageAvailable")["status"] == "True"


def test_the_bucket_for_trying_out_is_made_by_the_operator(
    cluster: Any, launch: Callable[..., Any], voice: dict[str, Any], minio_address: str
) -> None:
    keys = {names.ENV_STORE_ACCESS_KEY: "kelong-tests", names.ENV_STORE_SECRET_KEY: "kelong-tests-secret"}
    bucket = f"tests-{uuid.uuid4().hex[:12]}"
    launch({"store": {"endpoint": minio_address, "bucket": bucket, "createBucket": True}}, keys)
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")


def test_a_store_that_does_not_answer_is_named(cluster: Any, launch: Callable[..., Any], voice: dict[str, Any]) -> None:
    keys = {names.ENV_STORE_ACCESS_KEY: "a", names.ENV_STORE_SECRET_KEY: "b"}
    launch({"store": {"endpoint": "http://127.0.0.1:9"}}, keys)
    cluster.apply(voice)
    said = cluster.eventually_says("voicemodel", "khazix", "StorageAvailable", "StorageUnavailable")
    assert "cannot be reached" in said["message"]
