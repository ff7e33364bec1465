"""Doing: a plan's actions, then status, then events. The only writer."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

from kelong_contract import codec, layout, names, store
from kelong_contract.conditions import Event
from kelong_contract.manifests import Pins

from kelong_operator import cluster, order_book, rules, telemetry, views
from kelong_operator.cluster import Cluster, Document
from kelong_operator.plan import Action, Apply, Create, Delete, Pin, Plan, Suspend
from kelong_operator.views import Owner

Status = TypeVar("Status")
HTTP_UNPROCESSABLE = 422  # as the API server would say it: asking again does not help
log = logging.getLogger(__name__)


class Applier:
    """Writes to the API server, and counts what it writes; to the store it writes nothing but pins."""

    def __init__(self, to: Cluster, kept: store.Store, counted: telemetry.Telemetry) -> None:
        self._cluster = to
        self._store = kept
        self._counted = counted

    def carry_out(self, owner: Owner, document: Document, plan: Plan[Status], now: str) -> None:
        """Do what the plan says; raises cluster.ApiError or store.StoreError at the first thing that fails."""
        for action in plan.actions:
            self._do(owner, action)
        wanted = codec.encode(plan.status, codec.camel_case, drop_none=True)
        patch = rules.merge_patch(document.get("status", {}), wanted)
        if patch:
            self._cluster.merge(owner.kind, owner.namespace, owner.name, {"status": patch}, part="status")
            self._counted.wrote(owner.kind, "status")
        for event in plan.events:
            self._post(owner, event, now)

    def _do(self, owner: Owner, action: Action) -> None:
        if isinstance(action, Create):
            self._create(owner, action.body)
        elif isinstance(action, Apply):
            self._apply(owner, action.body)
        elif isinstance(action, Suspend):
            patch = {"spec": {"suspend": action.suspended}}
            self._cluster.merge("Job", owner.namespace, action.job, patch)
            self._counted.wrote("Job", "patch")
            log.info("%s %s/%s: Job %s suspend=%s", *_key(owner), action.job, action.suspended)
        elif isinstance(action, Delete):
            self._cluster.delete(action.kind, owner.namespace, action.name, action.uid)
            self._counted.wrote(action.kind, "delete")
            log.info("%s %s/%s: %s %s deleted", *_key(owner), action.kind, action.name)
        elif isinstance(action, Pin):
            self._pin(owner, action)

    def _pin(self, owner: Owner, pin: Pin) -> None:
        place = order_book.voice_name(owner).place()
        self._store.put(layout.pins(place), codec.dumps(Pins(steps=pin.steps)), "application/json")
        log.info("%s %s/%s: steps %s are pinned", *_key(owner), ", ".join(map(str, pin.steps)) or "(none)")
        if pin.must_exist is not None:
            self._store.get(layout.checkpoint_manifest(place, pin.must_exist))  # gone meanwhile: look again

    def _apply(self, owner: Owner, body: Mapping[str, Any]) -> None:
        """Server-side apply, unless the object is so already.

        It is marked with the body's digest, by which a field that is no longer wanted is noticed; every other field
        is compared, so that what somebody has changed by hand is set right.
        """
        kind, metadata = body["kind"], body["metadata"]
        marks = metadata.get("annotations", {}) | {names.ANNOTATION_APPLIED_HASH: codec.digest(body)}
        wanted = {**body, "metadata": metadata | {"annotations": marks}}
        found = self._cluster.find(kind, owner.namespace, metadata["name"])
        if found is not None and rules.holds(found, wanted):
            return
        self._cluster.apply(kind, owner.namespace, metadata["name"], wanted)
        self._counted.wrote(kind, "apply")

    def _create(self, owner: Owner, body: Mapping[str, Any]) -> None:
        kind, name = body["kind"], body["metadata"]["name"]
        try:
            self._cluster.create(kind, owner.namespace, body)
        except cluster.AlreadyExists:
            found = self._cluster.get(kind, owner.namespace, name)
            if kind != "ConfigMap":
                if views.is_owned(found, owner.uid):
                    return  # an earlier pass made it, and was cut off before it could say so
                message = f"the {kind} {name} exists and belongs to something else; delete it, or rename this"
                raise cluster.ApiError(HTTP_UNPROCESSABLE, f"{message} {owner.kind}") from None
            if found.get("data") == body["data"]:
                return
            # The order of a Job that was never made, from before the spec was changed.
            self._cluster.delete(kind, owner.namespace, name)
            self._cluster.create(kind, owner.namespace, body)
        self._counted.wrote(kind, "create")
        log.info("%s %s/%s: %s %s created", *_key(owner), kind, name)

    def _post(self, owner: Owner, event: Event, now: str) -> None:
        """An event about the resource. It is an account, not a state: one that cannot be posted stops nothing."""
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{owner.name}.{secrets.token_hex(8)}", "namespace": owner.namespace},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": owner.kind,
                "namespace": owner.namespace,
                "name": owner.name,
                "uid": owner.uid,
            },
            "type": event.kind,
            "reason": event.reason,
            "message": event.message[:1024],
            "source": {"component": names.FIELD_MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._cluster.create("Event", owner.namespace, body)
            self._counted.wrote("Event", "create")
        except cluster.ApiError as error:
            log.warning("%s %s/%s: the event %s is not posted: %s", *_key(owner), event.reason, error)


def _key(owner: Owner) -> tuple[str, str, str]:
    return owner.kind, owner.namespace, owner.name
