"""One look at one resource: observe, decide, apply. Runs in a worker thread."""

from __future__ import annotations

import datetime
import logging
import time
from typing import Any

from kelong_contract import codec, conditions, names, resources, store, synthesis_jobs
from kelong_contract.resources import VoiceModelStatus
from kelong_contract.synthesis_jobs import SynthesisJobStatus

from kelong_operator import cluster, observe, refusal, synthesis_job, voice_model
from kelong_operator.apply import Applier
from kelong_operator.cluster import Cluster, Document
from kelong_operator.observe import Observer
from kelong_operator.plan import Plan
from kelong_operator.settings import Settings
from kelong_operator.telemetry import Telemetry
from kelong_operator.workqueue import Failed, Key

log = logging.getLogger(__name__)


class Reconciler:
    """Makes the cluster agree with a resource."""

    def __init__(
        self, settings: Settings, at: Cluster, observer: Observer, applier: Applier, counted: Telemetry
    ) -> None:
        self._settings = settings
        self._cluster = at
        self._observer = observer
        self._applier = applier
        self._counted = counted

    def reconcile(self, key: Key) -> float | None:
        """Deal with one key; returns in how many seconds to look again. Raises Failed when it should be tried again."""
        begun, result = time.monotonic(), "error"
        try:
            again_in_s = self._look(key)
            result = "success"
            return again_in_s
        except cluster.NotFound as error:
            result = "gone"  # its namespace goes, or a child went between two calls: the next look will tell
            raise Failed(str(error)) from error
        except store.NoSuchObject as error:
            result = "gone"  # a step was deleted just before it was pinned
            raise Failed(str(error)) from error
        except (cluster.Unavailable, store.StoreUnavailable) as error:
            result = "unavailable"
            raise Failed(str(error)) from error
        except (cluster.ApiError, store.StoreError) as error:
            result = "refused"
            raise Failed(str(error)) from error
        finally:
            self._counted.reconciled(key.kind, result, time.monotonic() - begun)

    def _look(self, key: Key) -> float | None:
        document = self._cluster.find(key.kind, key.namespace, key.name)
        if document is None or "deletionTimestamp" in document["metadata"]:
            self._counted.stands(key.kind, key.namespace, key.name, None)
            return None  # the owner references see to the children; what is in the store stays
        now = _now()
        plan = self._decide(key, document, now)
        owner = observe.owner_of(key.kind, document)
        try:
            self._applier.carry_out(owner, document, plan, now)
        except (cluster.Unavailable, cluster.NotFound, store.StoreUnavailable, store.NoSuchObject):
            raise
        except store.StoreError as error:
            why = f"no step is rolled out while it cannot be pinned in the store: {error}"
            self._say_refused(key, document, why, now, conditions.STORAGE_UNAVAILABLE)
            raise
        except cluster.ApiError as error:
            if error.status in (400, 403, 422):
                self._say_refused(key, document, str(error), now, conditions.CLUSTER_REFUSED)
            raise
        summary = conditions.find(plan.status.conditions, conditions.READY)
        self._counted.stands(key.kind, key.namespace, key.name, summary.reason if summary is not None else "Unknown")
        return plan.again_in_s

    def _decide(self, key: Key, document: Document, now: str) -> Plan[Any]:
        try:
            if key.kind == names.VOICE_MODEL:
                return voice_model.decide(self._observer.voice(document), self._settings, now)
            return synthesis_job.decide(self._observer.synthesis(document), self._settings, now)
        except codec.Malformed as error:  # a schema newer than this operator
            return self._refusal(key, document, str(error), now, conditions.INVALID_SPEC)

    def _say_refused(self, key: Key, document: Document, why: str, now: str, reason: str) -> None:
        """The API server takes no child of ours (a policy, a quota), or the store no pins: tell the user."""
        plan = self._refusal(key, document, why, now, reason)
        self._applier.carry_out(observe.owner_of(key.kind, document), document, plan, now)

    def _refusal(self, key: Key, document: Document, why: str, now: str, reason: str) -> Plan[Any]:
        owner, status = observe.owner_of(key.kind, document), document.get("status")
        if key.kind == names.VOICE_MODEL:
            return refusal.refuse(owner, _voice_status(status), why, self._settings, now, reason)
        return refusal.refuse(owner, _synthesis_status(status), why, self._settings, now, reason)


def _voice_status(document: Any) -> VoiceModelStatus:
    """The status as far as it can be read; an unreadable one is written anew from what is found."""
    try:
        return resources.voice_model_status(document)
    except codec.Malformed as error:
        log.warning("a status is written anew: %s", error)
        return VoiceModelStatus()


def _synthesis_status(document: Any) -> SynthesisJobStatus:
    try:
        return synthesis_jobs.synthesis_job_status(document)
    except codec.Malformed as error:
        log.warning("a status is written anew: %s", error)
        return SynthesisJobStatus()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
