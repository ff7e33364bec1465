"""One operator works at a time: a Lease in the operator's namespace, taken before anything else and renewed for ever.

Children have fixed names and every write is idempotent, so two operators would not break anything for a moment; the
Lease keeps them from working against each other for longer. An operator that loses it ends.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from kelong_contract import names

from kelong_operator import cluster, rules
from kelong_operator.cluster import Cluster, Document

NAME = "kelong-operator"
log = logging.getLogger(__name__)


class Lease:
    """The right to work, for `seconds` at a time."""

    def __init__(self, at: Cluster, namespace: str, holder: str, seconds: float) -> None:
        self._cluster = at
        self._namespace = namespace
        self._holder = holder
        self._seconds = seconds
        self._ended = threading.Event()

    def wait(self) -> None:
        """Wait until the lease is ours."""
        said = ""
        while (holder := self._try()) != self._holder:
            if holder != said:
                log.info("%s holds the lease; waiting", holder)
                said = holder
            time.sleep(self._seconds / 5)

    def keep(self, lost: Callable[[], None]) -> None:
        """Renew the lease in a thread of its own; `lost` is called once it is no longer ours."""
        threading.Thread(target=self._renew, args=(lost,), name="lease", daemon=True).start()

    def release(self) -> None:
        """Let the next one begin at once. Failing at that costs only the lease's time."""
        self._ended.set()
        try:
            document = self._cluster.get("Lease", self._namespace, NAME)
            if document["spec"].get("holderIdentity") == self._holder:
                document["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._cluster.replace("Lease", self._namespace, NAME, document)
        except cluster.ApiError as error:
            log.info("the lease is not released: %s", error)

    def _renew(self, lost: Callable[[], None]) -> None:
        held_until = time.monotonic() + self._seconds
        while not self._ended.wait(self._seconds / 3):
            holder = self._try()
            if holder == self._holder:
                held_until = time.monotonic() + self._seconds
            elif holder or time.monotonic() > held_until:
                log.error("the lease is lost: %s", f"{holder} has it" if holder else "it could not be renewed in time")
                lost()
                return

    def _try(self) -> str:
        """Take or renew the lease; returns who holds it, '' if that cannot be found out."""
        try:
            document = self._cluster.find("Lease", self._namespace, NAME)
            if document is None:
                self._cluster.create("Lease", self._namespace, self._fresh())
                return self._holder
            holder = document["spec"].get("holderIdentity") or ""
            if holder not in ("", self._holder) and not _has_run_out(document):
                return str(holder)
            document["spec"] |= self._spec() if holder != self._holder else {"renewTime": _now()}
            self._cluster.replace("Lease", self._namespace, NAME, document)
            return self._holder
        except cluster.AlreadyExists:
            return ""  # somebody was faster
        except cluster.ApiError as error:
            log.warning("the lease cannot be looked at: %s", error)
            return ""

    def _fresh(self) -> Document:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": NAME,
                "namespace": self._namespace,
                "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY},
            },
            "spec": self._spec(),
        }

    def _spec(self) -> dict[str, Any]:
        now = _now()
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": max(1, round(self._seconds)),
            "acquireTime": now,
            "renewTime": now,
        }


def _has_run_out(document: Document) -> bool:
    renewed = rules.moment(document["spec"].get("renewTime"))
    if renewed is None:
        return True
    lasts = datetime.timedelta(seconds=document["spec"].get("leaseDurationSeconds", 0))
    return datetime.datetime.now(datetime.UTC) > renewed + lasts


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
