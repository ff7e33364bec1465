"""Small rules that deciding shares: times, durations, merge patches, the status of checkpoints."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from kelong_contract.resources import CheckpointStatus

from kelong_operator import quantity

POD_PATIENCE = datetime.timedelta(seconds=30)
MOST_CHECKPOINTS = 256  # a 257th entry would make the API server refuse every status write


def moment(text: str | None) -> datetime.datetime | None:
    """An RFC 3339 time with its zone; None if there is none or it is not one."""
    if text is None:
        return None
    try:
        parsed = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=datetime.UTC)


def utc(text: str | None) -> str | None:
    """The time as the API server writes it, in UTC and whole seconds."""
    parsed = moment(text)
    return parsed.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if parsed is not None else None


def duration(seconds: float) -> str:
    """Seconds in the unit a person would use."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def waiting_for_pod(job: str, start_time: str | None, now: str) -> str:
    """What to say of a Job without a pod. Why one cannot be made is in the Job's events only."""
    due, looked = moment(start_time), moment(now)
    if due is None or looked is None or looked - due < POD_PATIENCE:
        return f"the Job {job} waits for its pod"
    causes = "a quota, a missing PriorityClass or RuntimeClass"
    return f"the Job {job} has no pod; its events, in `kubectl describe job {job}`, tell why ({causes})"


def between_pods(pod: str) -> str:
    """What to say of a Job whose pod has ended without trouble and that is not over."""
    return f"pod {pod} was stopped; the next pod goes on from what is saved"


def merge_patch(old: Any, new: Any) -> Any:
    """The JSON merge patch from one object to another; {} where they are equal."""
    patch = {}
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        both = isinstance(before, Mapping) and isinstance(after, Mapping)
        patch[key] = merge_patch(before, after) if both else after
    return patch


def holds(live: Any, wanted: Any) -> bool:
    """Whether an object of the API server says all that the wanted one says; what else it says does not matter."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return all(holds(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        return len(live) == len(wanted) and all(map(holds, live, wanted))
    if live is None:
        return not wanted  # the API server leaves out what is empty
    amount = quantity.parse(wanted) if isinstance(wanted, str) else None
    return bool(live == wanted) or (amount is not None and amount == quantity.parse(live))


def listed(checkpoints: Iterable[CheckpointStatus], pinned: Iterable[int | None]) -> tuple[CheckpointStatus, ...]:
    """The checkpoints that status has room for: the pinned ones first, then the newest; by step."""
    wanted = set(pinned)
    ranked = sorted(checkpoints, key=lambda item: (item.step in wanted, item.step), reverse=True)
    return tuple(sorted(ranked[:MOST_CHECKPOINTS], key=lambda item: item.step))
