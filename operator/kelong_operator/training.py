"""The training side of a VoiceModel: which Job there should be, and what training says about itself. Pure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

from kelong_contract import conditions, layout, names
from kelong_contract.conditions import Finding
from kelong_contract.corpora import CorpusReport
from kelong_contract.manifests import Problem, Progress
from kelong_contract.resources import DatasetStatus, TrainingStatus

from kelong_operator import beginning, children, dataset, order_book, rules, views
from kelong_operator.plan import Action, Create, Delete, Lane, Suspend
from kelong_operator.settings import Settings
from kelong_operator.views import JobView, ObservedVoice, PodView, StoreAway, Trouble, VoiceInStore

_REPLACING_LOOK_S = 2.0  # until a Job that is being deleted is gone; its watch event usually comes first

_UNWATCHED = (
    " (the operator cannot see these recordings change, they are not in the installation's store: "
    "set spec.suspend to true and back to try again)"
)


@dataclass(frozen=True, kw_only=True)
class _Where:
    """What is known of the training: its latest Job, that Job's pods by index, and what the trainer said last."""

    job: JobView | None
    pods: tuple[PodView, ...]
    progress: Progress | None
    report: CorpusReport | None
    max_steps: int

    @property
    def pod(self) -> PodView | None:
        """The first of the pods: the one that prepares the recordings, and tells and saves how far all are."""
        return next(iter(self.pods), None)

    @property
    def trouble(self) -> Trouble | None:
        """Why a pod does not do its work, whichever it is: without it the others wait."""
        return next((pod.trouble for pod in self.pods if pod.trouble is not None), None)

    @property
    def current(self) -> Progress | None:
        """The trainer's word, if it is about the latest Job and not about one before it."""
        if self.progress is None or self.job is None or self.progress.order_digest != self.job.order_digest:
            return None
        return self.progress

    @property
    def problem(self) -> Problem | None:
        """What the trainer of the latest Job could not get over."""
        return self.current.problem if self.current is not None else None


def decide(seen: ObservedVoice, settings: Settings, now: str) -> Lane:
    """What to do about the training Job, and the conditions DatasetReady, Trained, Suspended."""
    where, foreign = locate(seen), [job for job in seen.jobs if not job.owned]
    if foreign and all(job.leaving for job in foreign):
        found = _replacing(f"the Job {foreign[0].name} of the VoiceModel that had this name before is being removed")
        return Lane(findings=_findings(seen, where, found), again_in_s=_REPLACING_LOOK_S)
    if foreign:
        taken = next(job.name for job in foreign if not job.leaving)
        return _name_is_taken(f"the Job {taken}", settings)
    if seen.meeting == "another's":
        return _name_is_taken(f"the Service {children.meeting_name(seen.owner)}", settings)
    if is_done(seen, where):
        return _at_rest(seen, where, settings)
    if any(job.deleting for job in seen.jobs):
        found = _replacing("the Job of the last attempt is being removed")
        return Lane(findings=_findings(seen, where, found), again_in_s=_REPLACING_LOOK_S)
    if seen.spec.suspend:
        return _suspended(seen, where, settings)
    return _wanted(seen, where, settings, now)


def _name_is_taken(by: str, settings: Settings) -> Lane:
    message = f"{by} exists and belongs to something else; delete it, or rename this VoiceModel"
    finding = Finding(type=conditions.TRAINED, status="False", reason=conditions.NAME_CONFLICT, message=message)
    return Lane(findings=(finding,), again_in_s=settings.intervals.resync_seconds)


def locate(seen: ObservedVoice) -> _Where:
    """Our latest Job with its pod, and the store's word on it."""
    ours = [job for job in seen.jobs if job.owned]
    job = max(ours, key=lambda item: item.attempt, default=None)
    stored = seen.store if isinstance(seen.store, VoiceInStore) else VoiceInStore()
    return _Where(
        job=job,
        pods=views.latest_pods(seen.pods, job.name) if job is not None else (),
        progress=stored.progress,
        report=stored.report,
        max_steps=seen.spec.training.max_steps,
    )


def wants_listing(seen: ObservedVoice) -> bool:
    """Whether the digest of what the order names matters now: before a Job is made, after bad data or a bad order."""
    where = locate(seen)
    if is_done(seen, where):
        return False
    return where.job is None or (where.job.failed and _refused(where))


def is_done(seen: ObservedVoice, where: _Where) -> bool:
    """Whether maxSteps is reached. Terminal: a Job that is gone afterwards is not made again."""
    progress, job, known = where.progress, where.job, seen.status.training
    if progress is not None and progress.stage == "done" and progress.step >= where.max_steps:
        return True
    if known.completion_time is not None and (known.current_step or 0) >= where.max_steps:
        return True
    return job is not None and job.complete and job.wish == order_book.training_wish(seen.spec)


def status_of(seen: ObservedVoice, settings: Settings, now: str) -> TrainingStatus:
    """`status.training`. Numbers that move all the time are written only so often."""
    known, where = seen.status.training, locate(seen)
    progress, job = where.progress, where.job
    status = replace(
        known,
        attempt=max(job.attempt if job is not None else 0, known.attempt or 0) or None,
        job_name=job.name if job is not None else known.job_name,
        node_name=where.pod.node if where.pod is not None and where.pod.node is not None else known.node_name,
        init=beginning.resolve(seen),
    )
    if progress is None:
        return status
    done = progress.stage == "done" and progress.step >= where.max_steps
    completed_at = known.completion_time or rules.utc(progress.updated_at) or now
    status = replace(
        status,
        start_time=known.start_time or rules.utc(progress.started_at),
        device=progress.device or known.device,
        precision=progress.precision or known.precision,
        frames_at_once=progress.frames_at_once,
        completion_time=completed_at if done else None,
    )
    if not _worth_writing(known, progress, settings.intervals.progress_seconds):
        return status
    return replace(
        status,
        stage=progress.stage,
        current_step=progress.step if progress.started_at is not None else known.current_step,
        steps_per_second=f"{progress.steps_per_s:.3g}" if progress.steps_per_s is not None else None,
        estimated_remaining_seconds=round(progress.remaining_s) if progress.remaining_s is not None else None,
        last_progress_time=rules.utc(progress.updated_at),
    )


def dataset_of(seen: ObservedVoice) -> DatasetStatus | None:
    """`status.dataset`, from the corpus report."""
    report = seen.store.report if isinstance(seen.store, VoiceInStore) else None
    if report is None:
        return seen.status.dataset
    return dataset.status(report)


def _at_rest(seen: ObservedVoice, where: _Where, settings: Settings) -> Lane:
    found = Finding(
        type=conditions.TRAINED,
        status="True",
        reason=conditions.MAX_STEPS_REACHED,
        message=f"all {where.max_steps} steps are trained",
    )
    return Lane(findings=_findings(seen, where, found), again_in_s=settings.intervals.resync_seconds)


def _suspended(seen: ObservedVoice, where: _Where, settings: Settings) -> Lane:
    job, actions = where.job, tuple[Action, ...]()
    over = job is not None and (job.finished or (_awaits_review(seen, where) and _is_resting(job)))
    if job is not None and over:
        actions = _remove(seen, job)  # so that taking suspend back starts the next attempt
    elif job is not None and not job.suspended:
        actions = (Suspend(job=job.name, suspended=True),)
    resting = job is None or job.finished or _is_resting(job)
    found = Finding(
        type=conditions.TRAINED,
        status="False",
        reason=conditions.SUSPENDED_REASON,
        message="training is suspended; set spec.suspend to false to go on",
    )
    removing = bool(actions) or over
    again_in_s = settings.intervals.resync_seconds if resting else settings.intervals.training_seconds
    again_in_s = _REPLACING_LOOK_S if removing else again_in_s
    return Lane(findings=_findings(seen, where, found), actions=actions, again_in_s=again_in_s)


def _wanted(seen: ObservedVoice, where: _Where, settings: Settings, now: str) -> Lane:
    job, wish = where.job, order_book.training_wish(seen.spec)
    soon_s = settings.intervals.training_seconds
    if job is None:
        return _next_attempt(seen, where, settings)
    if job.finished:
        if not _try_again(seen, where, job):
            found = _failure(seen, where, job)
            return Lane(findings=_findings(seen, where, found), again_in_s=settings.intervals.resync_seconds)
        found = _replacing(f"the Job {job.name} has ended and the next attempt follows")
        return Lane(findings=_findings(seen, where, found), actions=_remove(seen, job), again_in_s=_REPLACING_LOOK_S)
    if job.wish != wish or _prepares_otherwise(seen, where, job):
        found = _replacing(f"the Job {job.name} saves and makes way for the changed spec")
        if _is_resting(job):
            return Lane(
                findings=_findings(seen, where, found), actions=_remove(seen, job), again_in_s=_REPLACING_LOOK_S
            )
        actions = () if job.suspended else (Suspend(job=job.name, suspended=True),)
        return Lane(findings=_findings(seen, where, found), actions=actions, again_in_s=soon_s)
    if _awaits_review(seen, where):
        return _under_review(seen, where, job, settings)
    resume: tuple[Action, ...] = (Suspend(job=job.name, suspended=False),) if job.suspended else ()
    if seen.spec.training.workers > 1 and seen.meeting == "missing":  # somebody has removed it
        resume = (Create(body=children.build_meeting(seen.owner)), *resume)
    found = _at_work(where, job, seen.spec.training.workers, now)
    return Lane(findings=_findings(seen, where, found), actions=resume, again_in_s=soon_s)


def _awaits_review(seen: ObservedVoice, where: _Where) -> bool:
    """Whether the trainer of the latest Job has made the corpus and waits until a person has looked at it."""
    if not seen.spec.review or where.job is None or where.job.finished:
        return False
    if isinstance(seen.store, StoreAway):  # then the Job rests on as it was told to
        known = conditions.find(seen.status.conditions, conditions.TRAINED)
        return known is not None and known.reason == conditions.AWAITING_REVIEW
    # An earlier Job may have had the very same order: only the pod tells whose word it is.
    said = where.current
    return said is not None and said.stage == "review" and said.pod.startswith(f"{where.job.name}-")


def _under_review(seen: ObservedVoice, where: _Where, job: JobView, settings: Settings) -> Lane:
    """Give the GPU back: a pod that has nothing to do must not hold it."""
    place = order_book.voice_name(seen.owner).place()
    page, corrections = layout.corpus_page(place), layout.corrections(place)
    found = Finding(
        type=conditions.TRAINED,
        status="False",
        reason=conditions.AWAITING_REVIEW,
        message=f"the report {page} waits to be looked at; what it lets you correct goes to {corrections}; then set "
        "spec.review to false to train",
    )
    actions = () if job.suspended else (Suspend(job=job.name, suspended=True),)
    again_in_s = settings.intervals.resync_seconds if _is_resting(job) else settings.intervals.training_seconds
    return Lane(findings=_findings(seen, where, found), actions=actions, again_in_s=again_in_s)


def _is_resting(job: JobView) -> bool:
    return job.suspended and job.busy_pods == 0


def _prepares_otherwise(seen: ObservedVoice, where: _Where, job: JobView) -> bool:
    """Whether a Job still prepares the recordings in a way that has changed: once training has begun they stay."""
    begun = seen.status.training.start_time is not None
    begun = begun or (where.progress is not None and where.progress.started_at is not None)
    return not begun and job.preparing != order_book.preparing_wish(seen.spec)


def _next_attempt(seen: ObservedVoice, where: _Where, settings: Settings) -> Lane:
    if isinstance(seen.store, StoreAway):
        found = Finding(
            type=conditions.TRAINED,
            status="False",
            reason=conditions.STORAGE_UNAVAILABLE,
            message="training starts when the store can be reached",
        )
        return Lane(findings=_findings(seen, where, found), again_in_s=settings.intervals.retry_seconds)
    waits = beginning.obstacle(seen)
    if waits is not None:
        return Lane(findings=_findings(seen, where, waits), again_in_s=settings.intervals.retry_seconds)
    order = order_book.training_order(seen.owner, seen.spec, settings, beginning.resolve(seen))
    attempt = (seen.status.training.attempt or 0) + 1
    job = children.build_training_job(
        seen.owner,
        seen.spec,
        order,
        settings,
        attempt=attempt,
        start_step=seen.store.saved_step,
        listing_digest=seen.store.listing_digest,
    )
    name = children.training_job_name(seen.owner, attempt)
    found = Finding(
        type=conditions.TRAINED,
        status="False",
        reason=conditions.SCHEDULING,
        message=f"the Job {name} is made and waits for its pod",
    )
    meeting = (Create(body=children.build_meeting(seen.owner)),) if seen.spec.training.workers > 1 else ()
    return Lane(
        findings=_findings(seen, where, found),
        actions=(Create(body=children.build_order(seen.owner, name, order)), *meeting, Create(body=job)),
        again_in_s=settings.intervals.training_seconds,
    )


def _try_again(seen: ObservedVoice, where: _Where, job: JobView) -> bool:
    """Whether a Job that has ended before maxSteps is followed by another attempt."""
    if job.complete or job.generation != seen.owner.generation:
        return True
    if not isinstance(seen.store, VoiceInStore):
        return False
    if _refused(where):
        listing = seen.store.listing_digest
        return listing is not None and listing != job.listing_digest
    return seen.store.saved_step > job.start_step  # steps have advanced: a fresh budget


def _refused(where: _Where) -> bool:
    """Whether the trainer said that trying again would not help (exit codes 64 and 65)."""
    return where.job is not None and where.job.failure_exit_code in (names.EXIT_BAD_ORDER, names.EXIT_BAD_DATA)


def _failure(seen: ObservedVoice, where: _Where, job: JobView) -> Finding:
    """Trained, of a Job that failed for good."""
    trouble, problem = where.trouble, where.problem
    if _refused(where):
        fallback = conditions.BAD_ORDER if job.failure_exit_code == names.EXIT_BAD_ORDER else conditions.BAD_DATA
        if trouble is not None and trouble.reason in conditions.REFUSALS:
            fallback = trouble.reason  # its last words: what it could not write to the store
        reason = problem.reason if problem is not None else fallback
        told = problem.message if problem is not None else _told(trouble, job)
        elsewhere = order_book.own_recordings(seen.owner.namespace, seen.spec.dataset.source) is None
        if elsewhere and job.failure_exit_code == names.EXIT_BAD_DATA:
            told += _UNWATCHED
    else:
        reason = job.failure_reason or conditions.POD_FAILED
        told = f"{job.failure_message}; {_told(trouble, job)}" if trouble is not None else job.failure_message
    return Finding(type=conditions.TRAINED, status="False", reason=reason, message=told)


def _told(trouble: Trouble | None, job: JobView) -> str:
    return trouble.message if trouble is not None else job.failure_message


def _at_work(where: _Where, job: JobView, workers: int, now: str) -> Finding:
    """Trained, of a Job that is on its way."""
    pod, current, trouble = where.pod, where.current, where.trouble
    reason, message = conditions.SCHEDULING, rules.waiting_for_pod(job.name, job.start_time, now)
    if trouble is not None:
        reason, message = trouble.reason, trouble.message
    elif pod is not None and pod.phase == "Running":
        training = current is not None and current.started_at is not None and current.stage in ("train", "done")
        reason = conditions.RUNNING if training else conditions.PREPARING
        message = f"pod {pod.name} {'trains' if training else 'prepares the recordings'} on node {pod.node}"
        if workers > 1:
            come = sum(item.phase in ("Running", "Succeeded") for item in where.pods)
            message += f", {come} of {workers} workers have come"
    elif pod is not None and pod.phase == "Failed":
        message = rules.between_pods(pod.name)
    elif pod is not None and pod.phase == "Succeeded":
        message = f"pod {pod.name} is done"
    elif pod is not None and pod.node is not None:
        message = f"pod {pod.name} is starting on node {pod.node}"
    return Finding(type=conditions.TRAINED, status="False", reason=reason, message=message)


def _findings(seen: ObservedVoice, where: _Where, trained: Finding) -> tuple[Finding, ...]:
    return (_dataset_finding(seen, where, trained), trained, _suspension(seen, where))


def _dataset_finding(seen: ObservedVoice, where: _Where, trained: Finding) -> Finding:
    job, known = where.job, conditions.find(seen.status.conditions, conditions.DATASET_READY)
    kind = conditions.DATASET_READY
    preparing = where.progress is None or where.progress.started_at is None
    ended = job is not None and job.failed and trained.reason not in (conditions.REPLACING, conditions.SUSPENDED_REASON)
    if preparing and ended and job is not None and job.failure_exit_code == names.EXIT_BAD_DATA:
        return Finding(type=kind, status="False", reason=trained.reason, message=trained.message)
    if where.report is not None and not (preparing and where.report.clips == 0):
        return Finding(type=kind, status="True", reason=conditions.PREPARED, message=dataset.summary(where.report))
    if isinstance(seen.store, StoreAway) and known is not None:
        return Finding(type=kind, status=known.status, reason=known.reason, message=known.message)
    if trained.reason == conditions.PREPARING:
        return Finding(type=kind, status="False", reason=conditions.PREPARING, message=trained.message)
    message = "the recordings have not been looked at yet"
    return Finding(type=kind, status="Unknown", reason=conditions.PENDING, message=message)


def _suspension(seen: ObservedVoice, where: _Where) -> Finding:
    kind, job = conditions.SUSPENDED, where.job
    if not seen.spec.suspend:
        return Finding(type=kind, status="False", reason=conditions.NOT_SUSPENDED, message="training may run")
    if job is None or job.finished or _is_resting(job):
        message = "spec.suspend is set, no pod trains"
        return Finding(type=kind, status="True", reason=conditions.USER_REQUESTED, message=message)
    message = f"spec.suspend is set, the pod of {job.name} saves"
    return Finding(type=kind, status="False", reason=conditions.STOPPING, message=message)


def _replacing(message: str) -> Finding:
    return Finding(type=conditions.TRAINED, status="False", reason=conditions.REPLACING, message=message)


def _remove(seen: ObservedVoice, job: JobView) -> tuple[Action, ...]:
    """Delete a Job and its order, once status has its attempt: numbers must not be given twice after a crash."""
    if (seen.status.training.attempt or 0) < job.attempt:
        return ()  # this look writes the number, the next one removes
    return (
        Delete(kind="Job", name=job.name, uid=job.uid),
        Delete(kind="ConfigMap", name=children.order_name(job.name)),
    )


def _worth_writing(known: TrainingStatus, progress: Progress, least_s: float) -> bool:
    if known.last_progress_time is None or known.stage != progress.stage:
        return True
    written, said = rules.moment(known.last_progress_time), rules.moment(progress.updated_at)
    if written is None or said is None:
        return True
    return said < written or said - written >= datetime.timedelta(seconds=least_s)
