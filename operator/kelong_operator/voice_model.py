"""Deciding about a VoiceModel: what is observed in, a plan out. Pure; twice is harmless.

Training and serving are two lanes that do not wait for each other: a step may be promoted while training runs, and
training may be suspended while a step serves.
"""

from __future__ import annotations

from typing import Literal

from kelong_contract import conditions, layout
from kelong_contract.conditions import Event, Finding
from kelong_contract.resources import CheckpointStatus, VoiceModelStatus

from kelong_operator import order_book, ranking, refusal, rules, serving, training
from kelong_operator.plan import Lane, Plan
from kelong_operator.settings import Settings
from kelong_operator.views import ObservedVoice, StoreAway, VoiceInStore


def decide(seen: ObservedVoice, settings: Settings, now: str) -> Plan[VoiceModelStatus]:
    """What to do about a VoiceModel. `now` is an RFC 3339 time."""
    try:
        lanes = (training.decide(seen, settings, now), serving.decide(seen, settings))
    except ValueError as error:  # the schema lets through what an order refuses
        return refusal.refuse(seen.owner, seen.status, str(error), settings, now)
    status = _status(seen, lanes, settings, now)
    again_in_s = min(lane.again_in_s for lane in lanes)
    if isinstance(seen.store, StoreAway):
        again_in_s = min(again_in_s, settings.intervals.retry_seconds)
    return Plan(
        status=status,
        actions=tuple(action for lane in lanes for action in lane.actions),
        events=(*_saved(seen.status, status), *conditions.events(seen.status.conditions, status.conditions)),
        again_in_s=again_in_s,
    )


def _saved(before: VoiceModelStatus, after: VoiceModelStatus) -> tuple[Event, ...]:
    """One event for all checkpoints that are new."""
    if after.latest_step is None or after.latest_step <= (before.latest_step or 0):
        return ()
    return (Event(kind="Normal", reason="CheckpointSaved", message=f"step {after.latest_step} can be promoted"),)


def _status(seen: ObservedVoice, lanes: tuple[Lane, Lane], settings: Settings, now: str) -> VoiceModelStatus:
    promoted_step, serving_status = serving.status_of(seen)
    checkpoints, total = _checkpoints(seen, promoted_step, serving_status.previous_step)
    latest = max((item.step for item in checkpoints), default=None)
    findings = (
        *lanes[0].findings,
        _checkpoint_finding(latest, total),
        *lanes[1].findings,
        _storage_finding(seen),
    )
    summary = _summary(seen, {finding.type: finding for finding in findings})
    return VoiceModelStatus(
        observed_generation=seen.owner.generation,
        conditions=conditions.merge(seen.status.conditions, (summary, *findings), seen.owner.generation, now),
        dataset=training.dataset_of(seen),
        training=training.status_of(seen, settings, now),
        checkpoints=checkpoints,
        checkpoints_total=total,
        latest_step=latest,
        best_step=ranking.best_step(checkpoints),
        promoted_step=promoted_step,
        serving=serving_status,
    )


def _checkpoints(
    seen: ObservedVoice, promoted: int | None, previous: int | None
) -> tuple[tuple[CheckpointStatus, ...], int]:
    """`status.checkpoints` and how many there are in all. While the store is away, what was known stays."""
    known = {item.step: item for item in seen.status.checkpoints}
    if not isinstance(seen.store, VoiceInStore):
        return seen.status.checkpoints, seen.status.checkpoints_total or len(known)
    place = order_book.voice_name(seen.owner).place()
    found = [
        CheckpointStatus(
            step=item.step,
            attempt=item.attempt,
            created_at=item.created_at,
            manifest_sha256=item.manifest_sha256,
            size_bytes=item.size_bytes,
            audition_prefix=layout.auditions(place, item.step) if item.has_auditions else None,
            metrics=ranking.told(item.figures),
        )
        for item in seen.store.checkpoints
    ]
    # A broken one keeps its entry: the digest in it is what tells that the manifest has changed.
    found += [known[step] for step in seen.store.broken if step in known]
    pinned = (promoted, previous, seen.spec.promoted_step, ranking.best_step(found), *seen.needed_steps)
    return rules.listed(found, pinned), len(found)


def _checkpoint_finding(latest: int | None, total: int) -> Finding:
    kind = conditions.CHECKPOINT_AVAILABLE
    if latest is None:
        message = "no checkpoint has been saved yet"
        return Finding(type=kind, status="False", reason=conditions.NONE_YET, message=message)
    message = f"step {latest} is the newest of {total}"
    return Finding(type=kind, status="True", reason=conditions.UPLOADED, message=message)


def _storage_finding(seen: ObservedVoice) -> Finding:
    kind = conditions.STORAGE_AVAILABLE
    if isinstance(seen.store, StoreAway):
        reason = conditions.STORAGE_UNAVAILABLE
        return Finding(type=kind, status="False", reason=reason, message=seen.store.message)
    return Finding(type=kind, status="True", reason=conditions.REACHABLE, message="the store answers")


def _summary(seen: ObservedVoice, findings: dict[str, Finding]) -> Finding:
    """Ready, whose reason is the STATUS column: serving where there is something to serve, training otherwise."""
    promoted = findings[conditions.PROMOTED]
    serves = serving.choose(seen).target is not None and seen.spec.serving.replicas > 0
    if not serves:
        return _training_summary(seen, findings)
    available = findings.get(conditions.AVAILABLE)
    if promoted.reason == conditions.NAME_CONFLICT or available is None:
        return _ready("False", conditions.NAME_CONFLICT, promoted.message)
    if available.status == "True":
        if promoted.reason in (conditions.SERVING, conditions.NOT_REQUESTED):
            return _ready("True", conditions.SERVING, promoted.message)
        if promoted.reason == conditions.ROLLING_OUT:
            return _ready("True", conditions.ROLLING_OUT, promoted.message)
        return _ready("False", conditions.DEGRADED, promoted.message)
    if promoted.reason in (conditions.ROLLING_OUT, conditions.SERVING):
        return _ready("False", conditions.ROLLING_OUT, promoted.message)
    return _ready("False", promoted.reason, promoted.message)


def _training_summary(seen: ObservedVoice, findings: dict[str, Finding]) -> Finding:
    trained = findings[conditions.TRAINED]
    dataset, promoted = findings.get(conditions.DATASET_READY), findings[conditions.PROMOTED]
    if trained.status == "True":
        if promoted.reason in (conditions.NOT_REQUESTED, conditions.SCALED_TO_ZERO):
            return _ready("True", conditions.TRAINED_REASON, trained.message)
        return _ready("False", promoted.reason, promoted.message)
    if dataset is not None and dataset.status == "False" and dataset.reason != conditions.PREPARING:
        return _ready("False", conditions.DATASET_INVALID, dataset.message)
    if isinstance(seen.store, StoreAway) and trained.reason != conditions.RUNNING:
        return _ready("False", conditions.STORAGE_UNAVAILABLE, seen.store.message)
    moving = {
        conditions.RUNNING: conditions.TRAINING,
        conditions.SCHEDULING: conditions.PENDING,
        conditions.REPLACING: conditions.PENDING,
    }
    if _has_failed(seen) and trained.reason != conditions.REPLACING:
        return _ready("False", conditions.TRAINING_FAILED, trained.message)
    return _ready("False", moving.get(trained.reason, trained.reason), trained.message)


def _has_failed(seen: ObservedVoice) -> bool:
    job = training.locate(seen).job
    return job is not None and job.failed and not job.deleting and not seen.spec.suspend


def _ready(status: Literal["True", "False"], reason: str, message: str) -> Finding:
    return Finding(type=conditions.READY, status=status, reason=reason, message=message)
