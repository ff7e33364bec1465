from __future__ import annotations

import pathlib
import urllib.parse

import pytest
from kelong_contract import environment, names, store

BUCKET = {
    names.ENV_STORE_URL: "s3://kelong",
    names.ENV_STORE_ENDPOINT: "http://minio:9000",
    names.ENV_STORE_ACCESS_KEY: "access",
    names.ENV_STORE_SECRET_KEY: "very-secret",
}


def test_a_bucket_and_a_folder_are_both_stores(tmp_path: pathlib.Path) -> None:
    bucket = environment.read(BUCKET).open_store()
    assert isinstance(bucket, store.BucketStore) and bucket.bucket == "kelong"
    folder = environment.read({names.ENV_STORE_URL: f"file://{tmp_path}"}).open_store()
    assert isinstance(folder, store.FolderStore) and folder.root == tmp_path


def test_every_fault_of_the_environment_is_named_at_once() -> None:
    with pytest.raises(environment.BadEnvironment) as error:
        environment.read({names.ENV_STORE_URL: "s3://kelong", names.ENV_THREADS: "many", names.ENV_METRICS_PORT: "-1"})
    for name in (names.ENV_STORE_ENDPOINT, names.ENV_STORE_ACCESS_KEY, names.ENV_THREADS, names.ENV_METRICS_PORT):
        assert name in str(error.value)


def test_secrets_are_never_printed() -> None:
    assert "very-secret" not in repr(environment.read(BUCKET))


def test_a_foreign_source_needs_its_own_keys() -> None:
    with pytest.raises(environment.BadEnvironment, match=names.ENV_SOURCE_ACCESS_KEY):
        environment.read(BUCKET).open_source("http://elsewhere:9000", "theirs", "us-east-1")


def test_a_foreign_source_has_a_region_of_its_own() -> None:
    more = {names.ENV_STORE_REGION: "eu-west-1"}
    more |= {names.ENV_SOURCE_ACCESS_KEY: "theirs", names.ENV_SOURCE_SECRET_KEY: "secret"}
    own = environment.read(BUCKET | more)
    assert region_of(own.open_store()) == "eu-west-1"
    assert region_of(own.open_source("http://elsewhere:9000", "theirs", "cn-north-1")) == "cn-north-1"


def region_of(place: store.Store) -> str:
    """The region that requests are signed for, as a presigned address shows it."""
    assert isinstance(place, store.BucketStore)
    address = place._client.presigned_get_object(place.bucket, "key")
    return urllib.parse.unquote(address).split("X-Amz-Credential=")[1].split("/")[2]


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_threads_follow_the_cgroups_limit(tmp_path: pathlib.Path, files: dict[str, str], threads: int) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert environment.available_threads(tmp_path) == threads


@pytest.mark.parametrize("files", [{}, {"cpu.max": "max 100000"}, {"cpu/cpu.cfs_quota_us": "-1"}])
def test_without_a_limit_every_usable_cpu_counts(tmp_path: pathlib.Path, files: dict[str, str]) -> None:
    import os

    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert environment.available_threads(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "4294967296\n"}, 4 << 30),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "4294967296\n"}, 4 << 30),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_the_memory_there_is_is_the_cgroups_limit(tmp_path: pathlib.Path, files: dict[str, str], limit: int) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert environment.memory_limit_bytes(tmp_path) == limit


def test_the_end_of_a_line_is_no_part_of_a_key() -> None:
    ends = {names.ENV_STORE_ACCESS_KEY: "access\n", names.ENV_STORE_SECRET_KEY: " very-secret\r\n"}
    theirs = {names.ENV_SOURCE_ACCESS_KEY: "theirs\n", names.ENV_SOURCE_SECRET_KEY: "hidden\n"}
    found = environment.read(BUCKET | ends | theirs)
    assert found.keys == environment.Keys(access_key="access", secret_key="very-secret")
    assert found.source_keys == environment.Keys(access_key="theirs", secret_key="hidden")


def test_a_key_of_blanks_is_missing() -> None:
    with pytest.raises(environment.BadEnvironment, match=names.ENV_STORE_SECRET_KEY):
        environment.read(BUCKET | {names.ENV_STORE_SECRET_KEY: " \n"})
