"""The CustomResourceDefinitions as documents, and a way to offer resources to the real API server."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kelong_cluster import apiserver

ROOT = pathlib.Path(__file__).parent.parent.parent
Offer = Callable[[dict[str, Any]], str]


def load(path: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return document


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one field set, or removed where the value is None. Numbers in the path index lists."""
    whole = copy.deepcopy(document)
    *parents, last = path.split(".")
    place: Any = whole
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    if value is None:
        place.pop(last)
    elif last.isdigit():
        place[int(last)] = value
    else:
        place[last] = value
    return whole


@pytest.fixture
def offer(api_server: apiserver.ApiServer) -> Offer:
    """Offers a resource for creation without keeping it; '' where it is accepted, the refusal otherwise."""

    def dry_run(document: dict[str, Any]) -> str:
        done = api_server.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(document))
        return "" if done.returncode == 0 else done.stderr

    return dry_run


@pytest.fixture
def change() -> Callable[[dict[str, Any], str, Any], dict[str, Any]]:
    return changed


@dataclasses.dataclass(frozen=True)
class Stored:
    """A resource that the API server keeps. Each method returns '' or the refusal."""

    server: apiserver.ApiServer
    namespace: str
    name: str

    def patch(self, patch: dict[str, Any], part: str = "") -> str:
        flags = [f"--subresource={part}"] if part else []
        what = ["patch", self.name, "--type=merge", "-p", json.dumps(patch), *flags]
        done = self.server.kubectl(f"--namespace={self.namespace}", *what)
        return "" if done.returncode == 0 else done.stderr

    def kubectl(self, *arguments: str) -> str:
        done = self.server.kubectl(f"--namespace={self.namespace}", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def keep(api_server: apiserver.ApiServer) -> Callable[[dict[str, Any]], Stored]:
    """Creates a resource, as `kubectl apply` does, in a namespace of its own."""
    namespace = f"rules-{uuid.uuid4().hex[:8]}"
    made = api_server.kubectl("create", "namespace", namespace)
    assert made.returncode == 0, made.stderr

    def create(document: dict[str, Any]) -> Stored:
        done = api_server.kubectl(f"--namespace={namespace}", "apply", "-f", "-", given=json.dumps(document))
        assert done.returncode == 0, done.stderr
        return Stored(api_server, namespace, f"{document['kind'].lower()}/{document['metadata']['name']}")

    return create


@pytest.fixture
def voice_model() -> dict[str, Any]:
    return load("examples/voicemodel.yaml")


@pytest.fixture
def synthesis_job() -> dict[str, Any]:
    return load("examples/synthesisjob.yaml")
