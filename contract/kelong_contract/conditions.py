"""Condition types and reasons: what a resource says about itself, when a person must act, and when an event is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kelong_contract.resources import Condition

# Types. `Ready` sums up; its reason is the STATUS column.
READY = "Ready"
DATASET_READY = "DatasetReady"
TRAINED = "Trained"
SUSPENDED = "Suspended"
CHECKPOINT_AVAILABLE = "CheckpointAvailable"
PROMOTED = "Promoted"
AVAILABLE = "Available"
STORAGE_AVAILABLE = "StorageAvailable"
COMPLETE = "Complete"
FAILED = "Failed"

# Reasons that say where things stand.
PENDING = "Pending"
PREPARING = "Preparing"
PREPARED = "Prepared"
SCHEDULING = "Scheduling"
TRAINING = "Training"
RUNNING = "Running"
REPLACING = "Replacing"
AWAITING_REVIEW = "AwaitingReview"
MAX_STEPS_REACHED = "MaxStepsReached"
TRAINED_REASON = "Trained"
USER_REQUESTED = "UserRequested"
SUSPENDED_REASON = "Suspended"
NOT_SUSPENDED = "NotSuspended"
STOPPING = "Stopping"
UPLOADED = "Uploaded"
NONE_YET = "NoneYet"
NOT_REQUESTED = "NotRequested"
ROLLING_OUT = "RollingOut"
SERVING = "Serving"
SCALED_TO_ZERO = "ScaledToZero"
NO_PROMOTED_STEP = "NoPromotedStep"
MINIMUM_REPLICAS_AVAILABLE = "MinimumReplicasAvailable"
MINIMUM_REPLICAS_UNAVAILABLE = "MinimumReplicasUnavailable"
REACHABLE = "Reachable"
MODEL_NOT_READY = "ModelNotReady"
ALL_ITEMS_SUCCEEDED = "AllItemsSucceeded"
SOME_ITEMS_FAILED = "SomeItemsFailed"
NOT_FINISHED = "NotFinished"
NOT_FAILED = "NotFailed"
COMPLETE_REASON = "Complete"

# Reasons that name a fault. The trainer and the batch door name some of them in `manifests.Problem.reason`.
INVALID_SPEC = "InvalidSpec"
NAME_CONFLICT = "NameConflict"
CLUSTER_REFUSED = "ClusterRefused"
UNSCHEDULABLE = "Unschedulable"
SECRET_MISSING = "SecretMissing"
IMAGE_PULL_FAILED = "ImagePullFailed"
OUT_OF_MEMORY = "OutOfMemory"
POD_FAILED = "PodFailed"
POD_REFUSED = "PodRefused"
BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
BAD_ORDER = "BadOrder"
GPU_UNUSABLE = "GPUUnusable"
MODEL_SOURCE_UNAVAILABLE = "ModelSourceUnavailable"
BAD_DATA = "BadData"
TOO_FEW_CLIPS = "TooFewClips"
DATASET_INVALID = "DatasetInvalid"
DATASET_UNAVAILABLE = "DatasetUnavailable"
SPEAKERS_OVERLAP = "SpeakersOverlap"
RECORDINGS_CHANGED = "RecordingsChanged"
TRAINING_FAILED = "TrainingFailed"
NAN_LOSS = "NaNLoss"
STEP_NOT_FOUND = "StepNotFound"
CHECKSUM_MISMATCH = "ChecksumMismatch"
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
STORAGE_UNAVAILABLE = "StorageUnavailable"
DEGRADED = "Degraded"
INPUT_INVALID = "InputInvalid"
NO_ITEM_SUCCEEDED = "NoItemSucceeded"

# What a program that refuses its order or its data may name as the reason, in its last words (`farewell`).
REFUSALS = frozenset(
    {
        BAD_ORDER,
        GPU_UNUSABLE,
        MODEL_SOURCE_UNAVAILABLE,
        BAD_DATA,
        TOO_FEW_CLIPS,
        DATASET_INVALID,
        DATASET_UNAVAILABLE,
        SPEAKERS_OVERLAP,
        RECORDINGS_CHANGED,
        NAN_LOSS,
        STEP_NOT_FOUND,
        CHECKSUM_MISMATCH,
        INPUT_INVALID,
    }
)

# Reasons after which nothing gets better by itself: refusals (but a step may yet appear) and troubles of the cluster.
NEEDS_A_PERSON = (REFUSALS - {STEP_NOT_FOUND}) | {
    INVALID_SPEC,
    NAME_CONFLICT,
    CLUSTER_REFUSED,
    BACKOFF_LIMIT_EXCEEDED,
    TRAINING_FAILED,
    PROGRESS_DEADLINE_EXCEEDED,
    NO_ITEM_SUCCEEDED,
    SECRET_MISSING,
    IMAGE_PULL_FAILED,
    POD_REFUSED,
}

# Transitions worth an event: what a condition turned to, and what the event is called.
_EVENTS: dict[tuple[str, str], tuple[Literal["Normal", "Warning"], str]] = {
    (DATASET_READY, PREPARED): ("Normal", "DatasetPrepared"),
    (TRAINED, AWAITING_REVIEW): ("Normal", "CorpusAwaitsReview"),
    (TRAINED, RUNNING): ("Normal", "TrainingStarted"),
    (TRAINED, MAX_STEPS_REACHED): ("Normal", "TrainingCompleted"),
    (TRAINED, UNSCHEDULABLE): ("Warning", "PodUnschedulable"),
    (TRAINED, POD_FAILED): ("Warning", "TrainingPodFailed"),
    (TRAINED, OUT_OF_MEMORY): ("Warning", "TrainingPodFailed"),
    (SUSPENDED, USER_REQUESTED): ("Normal", "TrainingSuspended"),
    (PROMOTED, SERVING): ("Normal", "Promoted"),
    (PROMOTED, ROLLING_OUT): ("Normal", "PromotionStarted"),
    (PROMOTED, STEP_NOT_FOUND): ("Warning", "StepNotFound"),
    (STORAGE_AVAILABLE, STORAGE_UNAVAILABLE): ("Warning", "StorageUnavailable"),
    (COMPLETE, ALL_ITEMS_SUCCEEDED): ("Normal", "SynthesisCompleted"),
    (COMPLETE, SOME_ITEMS_FAILED): ("Warning", "SynthesisCompleted"),
}
_FAULT_EVENTS = {
    DATASET_READY: "DatasetInvalid",
    TRAINED: "TrainingFailed",
    PROMOTED: "PromotionFailed",
    READY: "NotReady",
    FAILED: "SynthesisFailed",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is now true of one condition type; the time of the transition is added when it is merged."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event to post about a resource."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def merge(old: Iterable[Condition], findings: Iterable[Finding], generation: int, now: str) -> tuple[Condition, ...]:
    """The findings as conditions. A condition whose status stays keeps its time; types without a finding go."""
    known = {condition.type: condition for condition in old}

    def since(finding: Finding) -> str:
        before = known.get(finding.type)
        return before.last_transition_time if before is not None and before.status == finding.status else now

    return tuple(
        Condition(
            type=finding.type,
            status=finding.status,
            reason=finding.reason,
            message=finding.message[:4096],
            last_transition_time=since(finding),
            observed_generation=generation,
        )
        for finding in findings
    )


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of a type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def events(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Event, ...]:
    """An event for each condition that turned to something worth telling; none where nothing turned."""
    before = {condition.type: (condition.status, condition.reason) for condition in old}
    told = []
    for condition in new:
        if before.get(condition.type) == (condition.status, condition.reason):
            continue
        kind_and_name = _EVENTS.get((condition.type, condition.reason))
        if kind_and_name is None and condition.reason in NEEDS_A_PERSON and condition.type in _FAULT_EVENTS:
            if condition.type == READY and condition.reason not in (INVALID_SPEC, CLUSTER_REFUSED):
                continue  # the summary repeats what another condition has told
            kind_and_name = ("Warning", _FAULT_EVENTS[condition.type])
        if kind_and_name is not None:
            told.append(Event(kind=kind_and_name[0], reason=kind_and_name[1], message=condition.message))
    return tuple(told)
