"""The API server, as plain JSON: the one place that talks to it through the kubernetes client (kopf only watches).

Calls block and have timeouts; they run in the worker threads. Objects are the API server's own dicts, because the
operator writes server-side apply patches and merge patches, which typed models only get in the way of.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import kubernetes.client
import kubernetes.config
import urllib3
from kelong_contract import names

Document = dict[str, Any]

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0


class ApiError(Exception):
    """The API server refused; the message says what was asked and why not."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ApiError):
    """The object (or its namespace) does not exist."""


class AlreadyExists(ApiError):
    """The name is taken, or somebody else has changed the object meanwhile."""


class Unavailable(ApiError):
    """The API server cannot be reached or is too busy; trying again helps."""


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind lie in the API."""

    base: str
    plural: str


_OWN = f"/apis/{names.GROUP}/{names.VERSION}"
KINDS = {
    "ConfigMap": Kind("/api/v1", "configmaps"),
    "Deployment": Kind("/apis/apps/v1", "deployments"),
    "Event": Kind("/api/v1", "events"),
    "Job": Kind("/apis/batch/v1", "jobs"),
    "Lease": Kind("/apis/coordination.k8s.io/v1", "leases"),
    "Pod": Kind("/api/v1", "pods"),
    "Service": Kind("/api/v1", "services"),
    names.VOICE_MODEL: Kind(_OWN, names.VOICE_MODELS),
    names.SYNTHESIS_JOB: Kind(_OWN, names.SYNTHESIS_JOBS),
}


class Cluster:
    """A connection to one API server."""

    def __init__(self, client: kubernetes.client.ApiClient) -> None:
        self._client = client

    def serves_our_kinds(self) -> bool:
        """Whether the CustomResourceDefinitions are there."""
        try:
            listed = self._call("GET", _OWN)["resources"]
        except NotFound:
            return False
        return {names.VOICE_MODELS, names.SYNTHESIS_JOBS} <= {item["name"] for item in listed}

    def get(self, kind: str, namespace: str, name: str) -> Document:
        """One object; raises NotFound."""
        return self._call("GET", _path(kind, namespace, name))

    def find(self, kind: str, namespace: str, name: str) -> Document | None:
        """One object, None if it does not exist."""
        try:
            return self.get(kind, namespace, name)
        except NotFound:
            return None

    def list(self, kind: str, namespace: str, selector: str = "", fields: str = "") -> list[Document]:
        """All objects of a kind in a namespace, with these labels and field values."""
        query = {"labelSelector": selector} if selector else {}
        query |= {"fieldSelector": fields} if fields else {}
        items: list[Document] = self._call("GET", _path(kind, namespace), query=query)["items"]
        return items

    def create(self, kind: str, namespace: str, body: Mapping[str, Any]) -> Document:
        """Make an object; raises AlreadyExists."""
        return self._call("POST", _path(kind, namespace), body=body)

    def replace(self, kind: str, namespace: str, name: str, body: Mapping[str, Any]) -> Document:
        """Write an object whole; with a resourceVersion in it, raises AlreadyExists if somebody else was faster."""
        return self._call("PUT", _path(kind, namespace, name), body=body)

    def apply(self, kind: str, namespace: str, name: str, body: Mapping[str, Any]) -> Document:
        """Server-side apply, as the operator's field manager."""
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        path = _path(kind, namespace, name)
        return self._call("PATCH", path, query=query, body=body, content="application/apply-patch+yaml")

    def merge(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any], part: str = "") -> Document:
        """JSON merge patch of an object, or of a part of it such as `status`."""
        path = _path(kind, namespace, name) + (f"/{part}" if part else "")
        query = {"fieldManager": names.FIELD_MANAGER}
        return self._call("PATCH", path, query=query, body=patch, content="application/merge-patch+json")

    def delete(self, kind: str, namespace: str, name: str, uid: str | None = None) -> None:
        """Remove an object and, in the background, what it owns. One that is gone already is no error."""
        body: Document = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            self._call("DELETE", _path(kind, namespace, name), body=body)
        except (NotFound, AlreadyExists):
            return  # gone, or the name belongs to another object by now

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Document:
        headers = {"Accept": "application/json", "Content-Type": content}
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        request = self._client.param_serialize(
            method, target, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
            data: bytes = answer.read()  # type: ignore[no-untyped-call]
        except (urllib3.exceptions.HTTPError, kubernetes.client.ApiException) as error:
            raise Unavailable(0, f"{method} {path}: the API server cannot be reached: {error}") from error
        if answer.status >= 400:
            raise _refusal(answer.status, f"{method} {path}", data)
        document: Document = json.loads(data)
        return document


def connect() -> Cluster:
    """The cluster this pod runs in, or the one the kubeconfig names."""
    try:
        kubernetes.config.load_incluster_config()  # type: ignore[no-untyped-call]
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()  # type: ignore[no-untyped-call]
    configuration = kubernetes.client.Configuration.get_default_copy()
    configuration.retries = False  # the queue tries again, with patience
    return Cluster(kubernetes.client.ApiClient(configuration))


def _path(kind: str, namespace: str, name: str = "") -> str:
    place = KINDS[kind]
    path = f"{place.base}/namespaces/{namespace}/{place.plural}"
    return f"{path}/{name}" if name else path


def _refusal(status: int, asked: str, data: bytes) -> ApiError:
    try:
        told = json.loads(data).get("message", "")
    except ValueError:
        told = data[:200].decode(errors="replace")
    message = f"{asked}: {status} {told}"
    if status == 404:
        return NotFound(status, message)
    if status == 409:
        return AlreadyExists(status, message)
    return Unavailable(status, message) if status == 429 or status >= 500 else ApiError(status, message)
