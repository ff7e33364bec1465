"""A store that waits: while the real one is away every call tries again, so that an outage costs time, not training."""

from __future__ import annotations

import logging
import pathlib
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TypeVar

from kelong_contract.store import Store, StoredObject, StoreUnavailable

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
AFTER_STOP_S = 60.0  # how long we still try once asked to stop; below the default grace period of 120 s

# When the stores of this process give up, by the event that asks it to stop: saving takes several calls at the end, and
# the grace period is for all of them together.
_give_up_at: weakref.WeakKeyDictionary[threading.Event, float] = weakref.WeakKeyDictionary()


class PatientStore:
    """A Store over another that repeats what failed with StoreUnavailable; any other error passes through.

    Waits grow exponentially with jitter and have no end while the process may run. Once a call sees that `stopping` is
    set they are short, and `AFTER_STOP_S` after that moment every store with this event raises its errors at once.
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

    def together(self, calls: Callable[[Store], T]) -> T:
        """Several calls that belong together, on the store that does not wait: each try makes all of them again."""
        return self._insist(lambda: calls(self._store))

    def _insist(self, call: Callable[[], T]) -> T:
        wait_s = FIRST_WAIT_S
        self._note_stop()  # also before a call that succeeds
        while True:
            try:
                return call()
            except StoreUnavailable as error:
                self._note_stop()
                if self._is_over():
                    raise
                if self._stopping.is_set():
                    wait_s = min(wait_s, 2.0)
                pause_s = wait_s * self._jitter.uniform(0.5, 1.0)
                log.warning("the store is away (%s); trying again in %.1f s", error, pause_s)
            if self._stopping.is_set():
                time.sleep(pause_s)
            else:
                self._stopping.wait(pause_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _note_stop(self) -> None:
        """Let the time that is left begin, if we were asked to stop and no call has seen it before."""
        if self._stopping.is_set():
            _give_up_at.setdefault(self._stopping, time.monotonic() + AFTER_STOP_S)

    def _is_over(self) -> bool:
        """Whether the time that is left to a process that was asked to stop is used up."""
        give_up_at_s = _give_up_at.get(self._stopping)
        return give_up_at_s is not None and time.monotonic() >= give_up_at_s
