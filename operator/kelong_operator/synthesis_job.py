"""Deciding about a SynthesisJob: what is observed in, a plan out. Pure; twice is harmless."""

from __future__ import annotations

from dataclasses import replace

from kelong_contract import conditions, layout
from kelong_contract.conditions import Finding
from kelong_contract.manifests import SynthesisManifest
from kelong_contract.synthesis_jobs import FailedItemStatus, ItemCounts, Resolved, SynthesisJobStatus

from kelong_operator import children, order_book, refusal, rules, views
from kelong_operator.plan import Action, Create, Plan, Suspend
from kelong_operator.settings import Settings
from kelong_operator.views import JobView, ObservedSynthesis, StoreAway, SynthesisInStore

_MOST_FAILED_ITEMS = 20


def decide(seen: ObservedSynthesis, settings: Settings, now: str) -> Plan[SynthesisJobStatus]:
    """What to do about a SynthesisJob. `now` is an RFC 3339 time."""
    intervals, job = settings.intervals, max(seen.jobs, key=lambda item: item.name, default=None)
    over = conditions.find(seen.status.conditions, conditions.COMPLETE)
    failed = conditions.find(seen.status.conditions, conditions.FAILED)
    if (over is not None and over.status == "True") or (failed is not None and failed.status == "True"):
        status = replace(seen.status, observed_generation=seen.owner.generation)
        return Plan(status=status, again_in_s=intervals.resync_seconds)  # terminal is terminal
    if job is not None and not job.owned:
        return _plan(seen, seen.status, (_taken(job),), (), settings, now)
    if job is None:
        return _without_job(seen, settings, now)
    actions: tuple[Action, ...] = ()
    if not job.finished and job.suspended != seen.spec.suspend:
        actions = (Suspend(job=job.name, suspended=seen.spec.suspend),)
    record = seen.store.record if isinstance(seen.store, SynthesisInStore) else None
    status = _counted(_remembered(seen, job), record)
    return _plan(seen, status, _outcome(seen, job, record, now), actions, settings, now)


def _taken(job: JobView) -> Finding:
    """What to say of a Job of another owner. Its end brings the next look."""
    if job.leaving:
        message = f"the Job {job.name} of the SynthesisJob that had this name before is being removed"
        return _waiting(conditions.REPLACING, message)
    message = f"the Job {job.name} exists and belongs to something else; delete it, or rename this SynthesisJob"
    return _waiting(conditions.NAME_CONFLICT, message)


def _remembered(seen: ObservedSynthesis, job: JobView) -> SynthesisJobStatus:
    """The status with what the Job was made with: whoever made it may have been cut off before writing that down."""
    resolved, begun = job.resolved or seen.status.resolved, seen.status.start_time or job.created
    return _begun(seen, replace(seen.status, resolved=resolved), begun)


def _begun(seen: ObservedSynthesis, status: SynthesisJobStatus, start_time: str) -> SynthesisJobStatus:
    """The status with when the Job was made and where to look for it and what it says."""
    prefix = layout.synthesis(seen.owner.namespace, seen.spec.output.prefix)
    return replace(
        status,
        job_name=children.batch_job_name(seen.owner),
        start_time=start_time,
        output_prefix=prefix,
        manifest_key=layout.synthesis_manifest(prefix, seen.owner.uid),
    )


def _without_job(seen: ObservedSynthesis, settings: Settings, now: str) -> Plan[SynthesisJobStatus]:
    """Make the Job, or say what is missing."""
    status, obstacle = _resolve(seen)
    if obstacle is not None or status.resolved is None:
        findings = (obstacle,) if obstacle is not None else ()
        return _plan(seen, status, findings, (), settings, now)
    return _begin(seen, status, status.resolved, settings, now)


def _resolve(seen: ObservedSynthesis) -> tuple[SynthesisJobStatus, Finding | None]:
    """The status with the voice and step that speak, frozen once found; or what is missing."""
    status, name = seen.status, seen.spec.voice_model_ref.name
    if status.resolved is not None and seen.voice is not None:
        return status, None
    if seen.voice is None:
        return status, _waiting(conditions.MODEL_NOT_READY, f"there is no VoiceModel {name} in this namespace")
    step = seen.spec.step if seen.spec.step is not None else seen.voice.status.promoted_step
    if step is None:
        message = f"the VoiceModel {name} serves no step yet; promote one, or set spec.step"
        return status, _waiting(conditions.MODEL_NOT_READY, message)
    found = next((item for item in seen.voice.status.checkpoints if item.step == step), None)
    if found is None:
        message = f"the VoiceModel {name} has no checkpoint of step {step}"
        return status, _waiting(conditions.STEP_NOT_FOUND, message)
    resolved = Resolved(uid=seen.voice.uid, step=step, manifest_sha256=found.manifest_sha256)
    return replace(status, resolved=resolved), None


def _begin(
    seen: ObservedSynthesis, status: SynthesisJobStatus, resolved: Resolved, settings: Settings, now: str
) -> Plan[SynthesisJobStatus]:
    """Make the Job, if the input is there."""
    if seen.input_fault is not None:
        # Not resolved yet either: the step is that of the start, and this is not it.
        return _plan(seen, seen.status, (_waiting(conditions.INPUT_INVALID, seen.input_fault),), (), settings, now)
    if seen.spec.suspend:
        finding = _waiting(conditions.SUSPENDED_REASON, "spec.suspend is set")
        return _plan(seen, seen.status, (finding,), (), settings, now)
    if seen.voice is None:
        raise ValueError("a SynthesisJob cannot begin without its VoiceModel")
    try:
        order = order_book.synthesis_order(
            seen.owner, seen.spec, seen.voice.spec, resolved.uid, resolved.step, resolved.manifest_sha256, settings
        )
    except ValueError as error:
        return refusal.refuse(seen.owner, seen.status, str(error), settings, now)
    name = children.batch_job_name(seen.owner)
    actions = (
        Create(body=children.build_order(seen.owner, name, order)),
        Create(body=children.build_batch_job(seen.owner, seen.spec, seen.voice.spec, order, settings)),
    )
    finding = _waiting(conditions.SCHEDULING, f"the Job {name} is made and waits for its pod")
    return _plan(seen, _begun(seen, status, now), (finding,), actions, settings, now)


def _outcome(seen: ObservedSynthesis, job: JobView, record: SynthesisManifest | None, now: str) -> tuple[Finding, ...]:
    """What the Job, its pod and its record amount to."""
    pod = views.latest_pod(seen.pods, job.name)
    if record is not None and record.finished:
        return (_verdict(record),)
    if job.failed:
        if record is not None and record.problem is not None:
            return (_failed(record.problem.reason, record.problem.message),)
        trouble = pod.trouble if pod is not None else None
        if trouble is not None and trouble.reason in conditions.REFUSALS:
            return (_failed(trouble.reason, trouble.message),)
        told = f"; {trouble.message}" if trouble is not None else ""
        return (_failed(job.failure_reason or conditions.POD_FAILED, f"{job.failure_message}{told}"),)
    if isinstance(seen.store, StoreAway):
        return (_waiting(conditions.STORAGE_UNAVAILABLE, seen.store.message),)
    if seen.spec.suspend:
        return (_waiting(conditions.SUSPENDED_REASON, "spec.suspend is set"),)
    if pod is not None and pod.trouble is not None and not job.complete:
        return (_waiting(pod.trouble.reason, pod.trouble.message),)
    if pod is not None and pod.phase == "Running":
        return (_waiting(conditions.RUNNING, f"pod {pod.name} speaks on node {pod.node}"),)
    if pod is not None and pod.phase == "Failed" and not job.complete:
        return (_waiting(conditions.SCHEDULING, rules.between_pods(pod.name)),)
    if pod is None:
        return (_waiting(conditions.SCHEDULING, rules.waiting_for_pod(job.name, job.start_time, now)),)
    return (_waiting(conditions.SCHEDULING, f"pod {pod.name} of the Job {job.name} is on its way"),)


def _verdict(record: SynthesisManifest) -> Finding:
    made, lost = len(record.items), len(record.failures)
    if made == 0:
        first = f"; the first: {record.failures[0].message}" if record.failures else ""
        return _failed(conditions.NO_ITEM_SUCCEEDED, f"none of {record.total} sentences could be said{first}")
    reason = conditions.SOME_ITEMS_FAILED if lost else conditions.ALL_ITEMS_SUCCEEDED
    message = f"{made} of {record.total} sentences are files now"
    if lost:
        names = ", ".join(f"{item.id} ({item.reason})" for item in record.failures[:_MOST_FAILED_ITEMS])
        message += f"; {lost} could not be said: {names}"
    return Finding(type=conditions.COMPLETE, status="True", reason=reason, message=message)


def _counted(status: SynthesisJobStatus, record: SynthesisManifest | None) -> SynthesisJobStatus:
    if record is None:
        return status
    made, lost = len(record.items), len(record.failures)
    return replace(
        status,
        items=ItemCounts(total=record.total, succeeded=made, failed=lost),
        progress=f"{made + lost}/{record.total}",
        audio_seconds=round(record.audio_s),
        failed_items=tuple(
            FailedItemStatus(
                id=item.id[:256],
                line=item.line,
                reason=item.reason,
                message=item.message[:1024],
                position=item.position,
            )
            for item in record.failures[:_MOST_FAILED_ITEMS]
        ),
    )


def _plan(
    seen: ObservedSynthesis,
    status: SynthesisJobStatus,
    findings: tuple[Finding, ...],
    actions: tuple[Action, ...],
    settings: Settings,
    now: str,
) -> Plan[SynthesisJobStatus]:
    """The plan with Ready, Complete and Failed filled in from the one finding that matters."""
    given = {finding.type: finding for finding in findings}
    complete, failed = given.get(conditions.COMPLETE), given.get(conditions.FAILED)
    ended = complete or failed
    if ended is not None:
        summary = Finding(
            type=conditions.READY,
            status="True" if complete is not None else "False",
            reason=conditions.COMPLETE_REASON if complete is not None else ended.reason,
            message=ended.message,
        )
    else:
        summary = given.get(conditions.READY) or _waiting(conditions.PENDING, "not looked at yet")
    whole = (
        summary,
        complete
        or Finding(type=conditions.COMPLETE, status="False", reason=conditions.NOT_FINISHED, message=summary.message),
        failed
        or Finding(type=conditions.FAILED, status="False", reason=conditions.NOT_FAILED, message="nothing has failed"),
    )
    merged = conditions.merge(seen.status.conditions, whole, seen.owner.generation, now)
    status = replace(
        status,
        observed_generation=seen.owner.generation,
        conditions=merged,
        completion_time=now if ended is not None else None,
    )
    intervals = settings.intervals
    waits = not seen.jobs and not actions
    again_in_s = intervals.retry_seconds if waits else intervals.training_seconds
    return Plan(
        status=status,
        actions=actions,
        events=conditions.events(seen.status.conditions, merged),
        again_in_s=intervals.resync_seconds if ended is not None else again_in_s,
    )


def _waiting(reason: str, message: str) -> Finding:
    return Finding(type=conditions.READY, status="False", reason=reason, message=message)


def _failed(reason: str, message: str) -> Finding:
    return Finding(type=conditions.FAILED, status="True", reason=reason, message=message)
