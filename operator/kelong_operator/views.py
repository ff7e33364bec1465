"""What the operator sees, as frozen values: its resource's children and the voice's part of the store.

`observe` fills them; deciding takes nothing else. The `*_of` functions read the API server's JSON and are pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kelong_contract import conditions, farewell, names
from kelong_contract.corpora import CorpusReport
from kelong_contract.manifests import Figures, Progress, SynthesisManifest
from kelong_contract.resources import VoiceModelSpec, VoiceModelStatus
from kelong_contract.synthesis_jobs import Resolved, SynthesisJobSpec, SynthesisJobStatus

Document = Mapping[str, Any]
_EXIT_CODE = re.compile(r"failed with exit code (\d+)")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The resource that is reconciled."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A Job.

    `wish` is the digest of the part of the spec it was made for, `preparing` of what matters until training has begun.
    Without `owned` the name is another's.
    `leaving` is one that is not ours and goes by itself: that of a resource which had our name before us.
    `start_time` is when its pod was due, the last time it was not suspended; `resolved` is what a batch speaks with.
    """

    name: str
    uid: str
    owned: bool
    leaving: bool
    deleting: bool
    attempt: int
    created: str
    suspended: bool
    start_time: str | None
    busy_pods: int
    complete: bool
    failed: bool
    failure_reason: str
    failure_message: str
    generation: int
    wish: str
    preparing: str
    order_digest: str
    start_step: int
    listing_digest: str
    resolved: Resolved | None

    @property
    def finished(self) -> bool:
        """Whether no pod of it will run any more."""
        return self.complete or self.failed

    @property
    def failure_exit_code(self) -> int | None:
        """The exit code for which the podFailurePolicy gave up, if that was the reason."""
        match = _EXIT_CODE.search(self.failure_message)
        return int(match[1]) if match and self.failure_reason == "PodFailurePolicy" else None


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a pod does not do its work, in the scheduler's, the kubelet's or the program's own words."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class PodView:
    """A pod. `step` and `job` tell which server or Job it belongs to, `index` which of the Job's workers it is."""

    name: str
    component: str
    job: str
    index: int
    step: str
    created: str
    phase: str
    node: str | None
    ready: bool
    deleting: bool
    trouble: Trouble | None

    @property
    def ended(self) -> bool:
        """Whether its containers will not run again."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, kw_only=True)
class DeploymentView:
    """The Deployment of the speech servers, with the step and manifest that it was last rolled out for.

    `refusal` says why pods of it cannot be made, `deadline_message` that they are not ready after a long time.
    """

    owned: bool
    deleting: bool
    current: bool
    step: int
    manifest_sha256: str
    replicas: int
    ready: int
    updated: int
    available: int
    existing: int
    refusal: str | None
    deadline_message: str | None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A step in the store that can be promoted, with what the judges said of its auditions as far as they did."""

    step: int
    attempt: int
    created_at: str
    manifest_sha256: str
    size_bytes: int
    has_auditions: bool
    figures: Figures = field(default_factory=Figures)


@dataclass(frozen=True, kw_only=True)
class VoiceInStore:
    """One voice's part of the store. `broken` maps a step whose checkpoint cannot be used to the reason.

    `checkpoints` are those that can be promoted, `saved_step` the newest that training can resume from.
    `pins` are the steps that training is told to keep, None where that cannot be read.
    `listing_digest` is that of the recordings and models which the order names, where asked for and in the store.
    """

    progress: Progress | None = None
    report: CorpusReport | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    broken: dict[int, str] = field(default_factory=dict)
    saved_step: int = 0
    pins: tuple[int, ...] | None = ()
    listing_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoreAway:
    """The store could not be read, and why."""

    message: str


@dataclass(frozen=True, kw_only=True)
class ReferredVoice:
    """A VoiceModel that another resource names."""

    name: str
    uid: str
    spec: VoiceModelSpec
    status: VoiceModelStatus


@dataclass(frozen=True, kw_only=True)
class ObservedVoice:
    """All that is known about one VoiceModel.

    `needed_steps` are those that unfinished SynthesisJobs speak with and other VoiceModels begin with. `init_voice` is
    the VoiceModel that it begins with itself, until that is found. `meeting` is the headless Service of its training
    pods, looked for where there are several.
    """

    owner: Owner
    spec: VoiceModelSpec
    status: VoiceModelStatus
    store: VoiceInStore | StoreAway
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()
    deployment: DeploymentView | None = None
    needed_steps: tuple[int, ...] = ()
    service_is_anothers: bool = False
    init_voice: ReferredVoice | None = None
    meeting: Literal["missing", "ours", "another's"] = "missing"


@dataclass(frozen=True, kw_only=True)
class SynthesisInStore:
    """What a SynthesisJob left in the store: its progress, or its manifest once finished."""

    record: SynthesisManifest | None = None


@dataclass(frozen=True, kw_only=True)
class ObservedSynthesis:
    """All that is known about one SynthesisJob. `input_fault` says what is wrong with its ConfigMap."""

    owner: Owner
    spec: SynthesisJobSpec
    status: SynthesisJobStatus
    store: SynthesisInStore | StoreAway
    voice: ReferredVoice | None = None
    input_fault: str | None = None
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()


def is_owned(document: Document, uid: str) -> bool:
    """Whether the resource of that uid controls the object."""
    owners = document["metadata"].get("ownerReferences", [])
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def latest_pods(pods: tuple[PodView, ...], job: str) -> tuple[PodView, ...]:
    """A Job's pods that count, by index: one that may still work before one that has ended, the newest of those."""
    ranked = sorted(pods, key=lambda pod: (not pod.ended and not pod.deleting, pod.created, pod.name))
    latest = {pod.index: pod for pod in ranked if pod.job == job}
    return tuple(latest[index] for index in sorted(latest))


def latest_pod(pods: tuple[PodView, ...], job: str) -> PodView | None:
    """The pod of a Job that counts, of several the first."""
    return next(iter(latest_pods(pods, job)), None)


def job_of(document: Document, uid: str) -> JobView:
    """A Job from the API server's JSON."""
    metadata, status = document["metadata"], document.get("status", {})
    annotations, labels = metadata.get("annotations", {}), metadata.get("labels", {})
    turned = {item["type"]: item for item in status.get("conditions", []) if item["status"] == "True"}
    failed = turned.get("Failed", {})
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owned=is_owned(document, uid),
        leaving=not is_owned(document, uid) and ("deletionTimestamp" in metadata or _is_of_a_namesake(metadata)),
        deleting="deletionTimestamp" in metadata,
        attempt=_number(labels.get(names.LABEL_ATTEMPT)),
        created=metadata["creationTimestamp"],
        suspended=bool(document["spec"].get("suspend")),
        start_time=status.get("startTime"),
        busy_pods=max(status.get("active", 0), 0) + max(status.get("terminating") or 0, 0),
        complete="Complete" in turned,
        failed="Failed" in turned,
        failure_reason=failed.get("reason", ""),
        failure_message=failed.get("message", ""),
        generation=_number(annotations.get(names.ANNOTATION_GENERATION)),
        wish=annotations.get(names.ANNOTATION_WISH, ""),
        preparing=annotations.get(names.ANNOTATION_PREPARING, ""),
        order_digest=annotations.get(names.ANNOTATION_ORDER_DIGEST, ""),
        start_step=_number(annotations.get(names.ANNOTATION_STEP)),
        listing_digest=annotations.get(names.ANNOTATION_LISTING_DIGEST, ""),
        resolved=_resolved(annotations),
    )


def pod_of(document: Document) -> PodView:
    """A pod from the API server's JSON."""
    metadata, status = document["metadata"], document.get("status", {})
    labels = metadata.get("labels", {})
    return PodView(
        name=metadata["name"],
        component=labels.get(names.LABEL_COMPONENT, ""),
        job=labels.get(names.LABEL_JOB_NAME, ""),
        index=_number(labels.get(names.LABEL_WORKER_INDEX)),
        step=metadata.get("annotations", {}).get(names.ANNOTATION_STEP, ""),
        created=metadata["creationTimestamp"],
        phase=status.get("phase", "Pending"),
        node=document["spec"].get("nodeName"),
        ready=any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", [])),
        deleting="deletionTimestamp" in metadata,
        trouble=_trouble(metadata["name"], status),
    )


def deployment_of(document: Document, uid: str) -> DeploymentView:
    """A Deployment from the API server's JSON."""
    metadata, status = document["metadata"], document.get("status", {})
    annotations = metadata.get("annotations", {})
    turned = {item["type"]: item for item in status.get("conditions", [])}
    progressing, failure = turned.get("Progressing", {}), turned.get("ReplicaFailure", {})
    late = progressing.get("reason") == "ProgressDeadlineExceeded"
    return DeploymentView(
        owned=is_owned(document, uid),
        deleting="deletionTimestamp" in metadata,
        current=status.get("observedGeneration", 0) >= metadata.get("generation", 0),
        step=_number(annotations.get(names.ANNOTATION_STEP)),
        manifest_sha256=annotations.get(names.ANNOTATION_MANIFEST, ""),
        replicas=document["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        existing=status.get("replicas", 0),
        refusal=failure.get("message", "") if failure.get("status") == "True" else None,
        deadline_message=progressing.get("message", "") if late else None,
    )


def batch_step_of(document: Document, voice: str) -> int | None:
    """The step that a SynthesisJob speaks with or is told to; None once it is over, and for one of another voice."""
    spec, status = document["spec"], document.get("status", {})
    ends = (conditions.COMPLETE, conditions.FAILED)
    over = any(item["type"] in ends and item["status"] == "True" for item in status.get("conditions", []))
    if over or spec["voiceModelRef"]["name"] != voice:
        return None
    step: int | None = status.get("resolved", {}).get("step", spec.get("step"))
    return step


def init_step_of(document: Document, voice: str, uid: str) -> int | None:
    """The step that a VoiceModel begins with; None once it has a step of its own, and for one of another voice."""
    wished = document["spec"].get("training", {}).get("init", {}).get("voiceModel")
    status = document.get("status", {})
    found = status.get("training", {}).get("init", {"uid": uid})
    if wished is None or wished["name"] != voice or found["uid"] != uid or "latestStep" in status:
        return None
    step: int = wished["step"]
    return step


def _resolved(annotations: Mapping[str, str]) -> Resolved | None:
    uid, manifest = annotations.get(names.ANNOTATION_VOICE_UID), annotations.get(names.ANNOTATION_MANIFEST)
    if uid is None or manifest is None:
        return None
    return Resolved(uid=uid, step=_number(annotations.get(names.ANNOTATION_STEP)), manifest_sha256=manifest)


def _is_of_a_namesake(metadata: Document) -> bool:
    """Whether a resource of the kind and name in the labels controls the object, whichever resource that was."""
    labels = metadata.get("labels", {})
    named = (names.API_VERSION, labels.get(names.LABEL_KIND), labels.get(names.LABEL_OWNER))
    owners = metadata.get("ownerReferences", [])
    return any(item.get("controller") and (item["apiVersion"], item["kind"], item["name"]) == named for item in owners)


def _trouble(pod: str, status: Document) -> Trouble | None:
    for condition in status.get("conditions", []):
        if (condition["type"], condition["status"], condition.get("reason")) == (
            "PodScheduled",
            "False",
            "Unschedulable",
        ):
            return Trouble(reason=conditions.UNSCHEDULABLE, message=condition.get("message", ""))
    for container in status.get("containerStatuses", []):
        if (found := _container_trouble(pod, container)) is not None:
            return found
    if status.get("phase") == "Failed" and status.get("reason"):
        message = f"pod {pod}: {status['reason']}: {status.get('message', '')}"
        return Trouble(reason=conditions.POD_FAILED, message=message)
    return None


def _container_trouble(pod: str, container: Document) -> Trouble | None:
    state = container.get("state", {})
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting is not None and (found := _waiting_trouble(pod, waiting)) is not None:
        return found
    if ended is not None:
        return _end_trouble(pod, ended) if ended["exitCode"] not in (names.EXIT_DONE, names.EXIT_SAVED) else None
    # What starts again after a crash has not got over it before it is ready. To tell of the crash only in between
    # would turn a condition to and fro, with an event each time.
    last = container.get("lastState", {}).get("terminated")
    return _end_trouble(pod, last) if last is not None and not container.get("ready") else None


def _waiting_trouble(pod: str, waiting: Document) -> Trouble | None:
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    told = f"pod {pod}: {message or reason}"
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
        return Trouble(reason=conditions.IMAGE_PULL_FAILED, message=told)
    if reason == "CreateContainerConfigError":
        missing = conditions.SECRET_MISSING if "secret" in message.lower() else conditions.POD_REFUSED
        return Trouble(reason=missing, message=told)
    if reason in ("CreateContainerError", "RunContainerError"):
        return Trouble(reason=conditions.POD_REFUSED, message=told)
    return None


def _end_trouble(pod: str, ended: Document) -> Trouble:
    given, told = farewell.parse(ended.get("message", "").strip())
    reason = given or (conditions.OUT_OF_MEMORY if ended.get("reason") == "OOMKilled" else conditions.POD_FAILED)
    message = f"pod {pod} ended with exit code {ended['exitCode']} ({ended.get('reason', 'Error')})"
    return Trouble(reason=reason, message=f"{message}: {told}" if told else message)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0
