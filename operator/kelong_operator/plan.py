"""What deciding returns: things to do in order, the status to write, events to post, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kelong_contract.conditions import Event, Finding

Status = TypeVar("Status")


@dataclass(frozen=True, kw_only=True)
class Create:
    """Make an object that is never changed again; one that exists already is as good."""

    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Apply:
    """Make an object be as the body says (server-side apply)."""

    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Suspend:
    """Pause a Job, or let it go on."""

    job: str
    suspended: bool


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Remove an object. With a uid only that very object is meant."""

    kind: str
    name: str
    uid: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Write down which steps training must keep. Nothing after it is done if the step that `must_exist` is gone then.

    Training deletes a manifest first and looks at the pins afterwards, so a manifest that is there after pinning stays.
    """

    steps: tuple[int, ...]
    must_exist: int | None


Action = Create | Apply | Suspend | Delete | Pin


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[Status]):
    """What to do about one resource: actions first, then status, then events. `again_in_s` is the next look."""

    status: Status
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    again_in_s: float


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What one side of a VoiceModel (training, serving) wants done, and what it found."""

    findings: tuple[Finding, ...]
    actions: tuple[Action, ...] = ()
    again_in_s: float
