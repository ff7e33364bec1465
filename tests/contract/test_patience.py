"""A store that is away costs time, and at the end one grace period, however many calls are still to be made."""

from __future__ import annotations

import logging
import pathlib
import threading
import time

import pytest
from kelong_contract import patience, store


@pytest.fixture
def away() -> store.BucketStore:
    """A store at an address where nobody listens."""
    return store.open_bucket(endpoint="http://127.0.0.1:9", bucket="away", access_key="ACCESSKEY", secret_key="SECRET")


def test_all_calls_of_a_process_share_one_time_after_the_stop(
    away: store.BucketStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "AFTER_STOP_S", 1.0)
    stopping = threading.Event()
    stopping.set()
    first, second = patience.PatientStore(away, stopping), patience.PatientStore(away, stopping)
    with pytest.raises(store.StoreUnavailable):
        first.put("checkpoint", b"")
    assert "trying again" in caplog.text
    caplog.clear()
    for late in (lambda: first.put("losses", b""), lambda: second.put("progress", b"")):
        with pytest.raises(store.StoreUnavailable):
            late()
    assert "trying again" not in caplog.text


def test_the_time_begins_with_the_first_call_after_the_stop_also_when_it_succeeds(
    away: store.BucketStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(patience, "AFTER_STOP_S", 0.2)
    stopping = threading.Event()
    stopping.set()
    patience.PatientStore(store.FolderStore(tmp_path), stopping).put("checkpoint", b"")
    time.sleep(0.3)
    with pytest.raises(store.StoreUnavailable):
        patience.PatientStore(away, stopping).put("progress", b"")
    assert "trying again" not in caplog.text


def test_waiting_shows_no_key_in_the_log(
    away: store.BucketStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "AFTER_STOP_S", 0.3)
    stopping = threading.Event()
    stopping.set()
    with caplog.at_level(logging.INFO), pytest.raises(store.StoreUnavailable):
        patience.PatientStore(away, stopping).create("leases/1", b"")
    assert "the store is away ('leases/1': the store cannot be reached" in caplog.text
    assert "ACCESSKEY" not in caplog.text and "X-Amz" not in caplog.text
