"""One writer at a time: every trainer process takes a number in the store, and only the highest one counts.

A pod that lost its node may go on for a while beside its successor. The successor's number is higher, so the old one
sees it before it commits anything and stops.
"""

from __future__ import annotations

import json
import logging

from kelong_contract import layout
from kelong_contract.patience import PatientStore
from kelong_contract.store import AlreadyExists, Store

log = logging.getLogger(__name__)


class Lease:
    """The attempt that this process took."""

    def __init__(self, store: PatientStore, place: layout.Voice, attempt: int) -> None:
        self._store, self._place = store, place
        self.attempt = attempt
        self._lost = False

    def lost(self) -> bool:
        """Whether a newer attempt exists. Once true it stays true."""
        return self._look(self._store)

    def commit(self, key: str, data: bytes) -> bool:
        """Write an object unless a newer attempt exists; whether it was written.

        While the store is away every try looks again: an outage lasts long enough for a successor to begin.
        """

        def attempt(store: Store) -> bool:
            if self._look(store):
                return False
            store.put(key, data, "application/json")
            return True

        return self._store.together(attempt)

    def _look(self, store: Store) -> bool:
        self._lost = self._lost or _newest(store, self._place) > self.attempt
        return self._lost


def take(store: PatientStore, place: layout.Voice, holder: str) -> Lease:
    """Take the next attempt; `holder` (the pod's name) is written into it for whoever looks."""
    attempt = _newest(store, place)
    while True:
        attempt += 1
        try:
            store.create(layout.lease(place, attempt), json.dumps({"holder": holder}).encode())
        except AlreadyExists:
            continue
        log.info("this is attempt %d", attempt)
        return Lease(store, place, attempt)


def _newest(store: Store, place: layout.Voice) -> int:
    numbers = (layout.lease_number(place, item.key) for item in store.list(layout.leases(place)))
    return max((number for number in numbers if number is not None), default=0)
