"""A store that waits: while the real one is away every call tries again, so that an outage costs time, not training."""

from __future__ import annotations

import logging
import pathlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from kelong_contract.store import Store, StoredObject, StoreUnavailable

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
AFTER_STOP_S = 60.0  # how long we still try once asked to stop; below the default grace period of 120 s


class PatientStore:
    """A Store over another that repeats what failed with StoreUnavailable; any other error passes through.

    Waits grow exponentially with jitter and have no end while the process may run. Once `stopping` is set they are
    short, and after `AFTER_STOP_S` the error is raised.
    """

    def __init__(self, store: Store, stopping: threading.Event) -> None:
        self._store = store
        self._stopping = stopping
        self._jitter = random.Random()  # spreads the calls of many pods; nothing that is trained depends on it

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """See Store.put."""
        self._insist(lambda: self._store.put(key, data, content_type))

    def put_file(self, key: str, path: pathlib.Path, content_type: str = "application/octet-stream") -> None:
        """See Store.put_file."""
        self._insist(lambda: self._store.put_file(key, path, content_type))

    def create(self, key: str, data: bytes) -> None:
        """See Store.create. A creation whose answer was lost is reported as AlreadyExists by the next try."""
        self._insist(lambda: self._store.create(key, data))

    def get(self, key: str) -> bytes:
        """See Store.get."""
        return self._insist(lambda: self._store.get(key))

    def get_file(self, key: str, path: pathlib.Path) -> None:
        """See Store.get_file."""
        self._insist(lambda: self._store.get_file(key, path))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See Store.list. The listing is complete before the first object is given out."""
        return iter(self._insist(lambda: tuple(self._store.list(prefix))))

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self._insist(lambda: self._store.exists(key))

    def delete(self, key: str) -> None:
        """See Store.delete."""
        self._insist(lambda: self._store.delete(key))

    def _insist(self, call: Callable[[], T]) -> T:
        wait_s, stop_seen_at = FIRST_WAIT_S, None
        while True:
            try:
                return call()
            except StoreUnavailable as error:
                if self._stopping.is_set():
                    stop_seen_at = stop_seen_at or time.monotonic()
                    if time.monotonic() - stop_seen_at > AFTER_STOP_S:
                        raise
                    wait_s = min(wait_s, 2.0)
                pause_s = wait_s * self._jitter.uniform(0.5, 1.0)
                log.warning("the store is away (%s); trying again in %.1f s", error, pause_s)
            if self._stopping.is_set():
                time.sleep(pause_s)
            else:
                self._stopping.wait(pause_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
