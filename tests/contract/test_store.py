"""The same promises, kept by the folder and by a real MinIO server."""

from __future__ import annotations

import contextlib
import itertools
import logging
import pathlib
import resource
import socket
import threading
import traceback
from collections.abc import Iterator

import pytest
from kelong_contract import patience, store


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that says the same to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed: the test is over
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond that: writing fails for real, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_put_can_be_read_back(any_store: store.Store) -> None:
    any_store.put("voices/a/one.json", b"first")
    any_store.put("voices/a/one.json", b"second")
    assert any_store.get("voices/a/one.json") == b"second"


def test_a_missing_object_is_named(any_store: store.Store, tmp_path: pathlib.Path) -> None:
    with pytest.raises(store.NoSuchObject, match=r"nothing/here\.bin"):
        any_store.get("nothing/here.bin")
    with pytest.raises(store.NoSuchObject, match=r"nothing/here\.bin"):
        any_store.get_file("nothing/here.bin", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not any_store.exists("nothing/here.bin")


def test_only_one_of_many_creators_wins(any_store: store.Store) -> None:
    won: list[int] = []
    lost: list[int] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        start.wait()
        try:
            any_store.create("leases/1", str(number).encode())
            won.append(number)
        except store.AlreadyExists:
            lost.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(lost) == 7
    assert any_store.get("leases/1") == str(won[0]).encode()


def test_a_second_create_fails_and_changes_nothing(any_store: store.Store) -> None:
    any_store.create("leases/7", b"mine")
    with pytest.raises(store.AlreadyExists, match="leases/7"):
        any_store.create("leases/7", b"theirs")
    assert any_store.get("leases/7") == b"mine"


def test_files_travel_whole(any_store: store.Store, tmp_path: pathlib.Path) -> None:
    content = bytes(itertools.islice(itertools.cycle(range(256)), 6 * store.CHUNK_BYTES + 17))
    (tmp_path / "big.bin").write_bytes(content)
    any_store.put_file("tensors/big.bin", tmp_path / "big.bin")
    any_store.get_file("tensors/big.bin", tmp_path / "back" / "big.bin")
    assert store.digest_file(tmp_path / "back" / "big.bin") == store.digest_bytes(content)


def test_a_listing_holds_what_starts_with_the_prefix_in_key_order(any_store: store.Store) -> None:
    for key in ("a/2.json", "a/10.json", "a/b/1.json", "ab/1.json", "b/1.json"):
        any_store.put(key, key.encode())
    assert [item.key for item in any_store.list("a/")] == ["a/10.json", "a/2.json", "a/b/1.json"]
    assert [item.key for item in any_store.list("a/b")] == ["a/b/1.json"]
    assert [item.size_bytes for item in any_store.list("b/")] == [8]
    assert list(any_store.list("nowhere/")) == []


def test_the_listing_digest_follows_content(any_store: store.Store) -> None:
    any_store.put("recordings/one.wav", b"1111")
    before = store.digest_listing(any_store.list("recordings/"))
    assert store.digest_listing(any_store.list("recordings/")) == before
    any_store.put("recordings/one.wav", b"2222")
    changed = store.digest_listing(any_store.list("recordings/"))
    any_store.put("recordings/two.wav", b"1")
    assert len({before, changed, store.digest_listing(any_store.list("recordings/"))}) == 3


def test_delete_is_final_and_may_be_repeated(any_store: store.Store) -> None:
    any_store.put("a/x", b"x")
    any_store.delete("a/x")
    any_store.delete("a/x")
    assert not any_store.exists("a/x")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/../b", "..", "a/./b", "a/"])
def test_a_key_that_leaves_its_place_is_refused(any_store: store.Store, key: str) -> None:
    with pytest.raises(store.StoreError, match="not a store key"):
        any_store.put(key, b"")


def test_a_store_that_is_away_is_said_to_be_unavailable() -> None:
    away = store.open_bucket(endpoint="http://127.0.0.1:9", bucket="away", access_key="a", secret_key="secret-key")
    for attempt in (lambda: away.get("k"), lambda: away.put("k", b""), lambda: away.create("k", b"")):
        with pytest.raises(store.StoreUnavailable, match="'k'"):
            attempt()
    with pytest.raises(store.StoreUnavailable):
        list(away.list("k"))


def test_neither_errors_nor_the_log_show_how_a_request_was_signed(caplog: pytest.LogCaptureFixture) -> None:
    with answering(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /?X-Amz-Signature=abc\r\n\r\n") as elsewhere:
        for endpoint in ("http://127.0.0.1:9", elsewhere):
            kept = store.open_bucket(endpoint=endpoint, bucket="away", access_key="ACCESSKEY", secret_key="SECRETKEY")
            with caplog.at_level(logging.INFO), pytest.raises(store.StoreError, match="'leases/1'") as error:
                kept.create("leases/1", b"mine")
            shown = "".join(traceback.format_exception(error.value)) + caplog.text
            for secret in ("X-Amz", "ACCESSKEY", "SECRETKEY"):
                assert secret not in shown


def test_an_unreachable_stores_error_says_why_and_nothing_of_the_url() -> None:
    away = store.open_bucket(endpoint="http://127.0.0.1:9", bucket="away", access_key="a", secret_key="secret-key")
    with pytest.raises(store.StoreUnavailable, match="Connection refused") as error:
        away.get("k")
    assert "url" not in str(error.value)


def test_a_local_disk_that_takes_no_more_is_not_the_stores_fault(
    any_store: store.Store, tmp_path: pathlib.Path
) -> None:
    any_store.put("tensors/big.bin", bytes(2 * store.CHUNK_BYTES))
    patient = patience.PatientStore(any_store, threading.Event())
    with largest_file(store.CHUNK_BYTES), pytest.raises(store.LocalDiskError) as error:
        patient.get_file("tensors/big.bin", tmp_path / "big.bin")
    assert "'tensors/big.bin': a file of this machine" in str(error.value) and "File too large" in str(error.value)
    assert not (tmp_path / "big.bin").exists()


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    kept = store.FolderStore(tmp_path / "file" / "store")
    for attempt in (lambda: kept.put("k", b""), lambda: kept.create("k", b"")):
        with pytest.raises(store.LocalDiskError, match=r"'k': a file of this machine .* cannot be read or written"):
            attempt()


def test_what_could_not_be_written_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    kept = store.FolderStore(tmp_path / "store")
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(2 * store.CHUNK_BYTES))
    for attempt in (
        lambda: kept.put("k", big.read_bytes()),
        lambda: kept.put_file("k", big),
        lambda: kept.create("k", big.read_bytes()),
    ):
        with largest_file(store.CHUNK_BYTES), pytest.raises(store.LocalDiskError):
            attempt()
    assert [path for path in kept.root.rglob("*") if path.is_file()] == []


def test_an_object_that_cannot_be_read_is_said_in_a_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "k").symlink_to("k")  # leads nowhere for everybody, root too
    with pytest.raises(store.LocalDiskError, match=r"'k': a file of this machine .* cannot be read or written"):
        store.FolderStore(tmp_path).get("k")


def test_a_full_disk_is_called_full(tmp_path: pathlib.Path) -> None:
    kept = store.FolderStore(tmp_path / "store")
    kept.put("k", b"content")
    (tmp_path / "copy.part").symlink_to("/dev/full")  # where the copy is written until it is whole
    with pytest.raises(store.LocalDiskError, match="'k': the disk of this machine is full; free some space"):
        kept.get_file("k", tmp_path / "copy")


def test_wrong_keys_are_refused_without_showing_them(minio_address: str) -> None:
    wrong = store.open_bucket(endpoint=minio_address, bucket="tests", access_key="someone", secret_key="not-the-key")
    with pytest.raises(store.StoreError, match="InvalidAccessKeyId") as refusal:
        wrong.get("k")
    assert "not-the-key" not in str(refusal.value)


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://minio", "http://", "http://minio/path"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(store.StoreError, match="not of the form"):
        store.open_bucket(endpoint=endpoint, bucket="tests", access_key="a", secret_key="b")


@pytest.mark.parametrize("bucket", ["", "b", "Tests", "a/b", "-ab"])
def test_a_bucket_that_cannot_be_one_is_refused(bucket: str) -> None:
    with pytest.raises(store.StoreError, match="not a bucket name"):
        store.open_bucket(endpoint="http://minio:9000", bucket=bucket, access_key="a", secret_key="b")
