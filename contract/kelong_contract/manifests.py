"""What a program leaves behind in the store, as versioned JSON. It is written last: what has a manifest is complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kelong_contract.orders import VoiceName


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of a checkpoint: its name, where it lies, and what must be found there."""

    name: str
    key: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a voice's weights began with, when not from scratch.

    `source` is where they came from, as the order or the command names it, `step` their step there, `files` the SHA-256
    of each file by name. `fresh` names what the files lacked and therefore began untrained.
    """

    source: str
    step: int
    files: dict[str, str]
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LegacyNumbers:
    """The numbers beside the tensors in one of the original's `.pth` files, for writing it back as it was.

    `settings` are those of AdamW's one parameter group, None where the file has no optimiser; `frozen` are the
    beginnings of the names of parameters that it leaves out.
    """

    iteration: int
    learning_rate: float
    settings: dict[str, Any] | None
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """Weights under `models/` that a voice may begin with: the files of a checkpoint, and where they came from."""

    preset: str
    variant: str
    step: int
    created_at: str
    files: tuple[StoredFile, ...]
    origin: Origin
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class CheckpointManifest:
    """A step that exists. `listed` is false for a save on SIGTERM between two intervals: it is for resuming only.

    `corpus_digest` is empty for a step that was imported: training that resumes from it takes the corpus it finds.
    """

    voice: VoiceName
    step: int
    attempt: int
    created_at: str
    order_digest: str
    corpus_digest: str
    preset: str
    speakers: dict[str, int]
    listed: bool
    files: tuple[StoredFile, ...]
    origin: Origin | None = None
    format: int = 1

    def file(self, name: str) -> StoredFile:
        """The file of that name; raises KeyError naming the step."""
        for stored in self.files:
            if stored.name == name:
                return stored
        raise KeyError(f"checkpoint {self.step} has no file '{name}'")


@dataclass(frozen=True, kw_only=True)
class Pins:
    """The steps that somebody counts on: what serves, what served before, what a SynthesisJob speaks with.

    The operator writes it before it rolls a step out; the trainer's retention leaves these steps alone.
    """

    steps: tuple[int, ...]
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How good speech is, as far as there was a judge for it: None where there was none, never 0.

    `cer` and `pinyin_cer` are error rates of what the recogniser hears (characters; syllables without tones),
    `similarity` the cosine of speaker embeddings to held-out clips, `dnsmos` the overall quality (1 to 5),
    `clipped_share` and `silent_share` parts of the samples.
    """

    cer: float | None = None
    pinyin_cer: float | None = None
    similarity: float | None = None
    dnsmos: float | None = None
    clipped_share: float | None = None
    silent_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Audition:
    """One sentence as a step says it, with the settings that made it and what the judges say of it."""

    name: str
    text: str
    speaker: str
    key: str
    sha256: str
    duration_s: float
    length: float
    sdp_ratio: float
    noise: float
    noise_w: float
    seed: int
    heard: str | None = None
    figures: Figures = field(default_factory=Figures)


@dataclass(frozen=True, kw_only=True)
class AuditionFailure:
    """A sentence that this voice cannot say, and why."""

    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class AuditionReport:
    """What a step sounds like. `figures` are the means over its auditions."""

    step: int
    attempt: int
    manifest_sha256: str
    auditions: tuple[Audition, ...]
    failures: tuple[AuditionFailure, ...] = ()
    figures: Figures = field(default_factory=Figures)
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why the trainer or the batch door stopped: `reason` is a condition reason, `message` a sentence to act on."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a trainer is: written beside its checkpoints, read by the operator.

    `stage` is the stage that runs, `train`, or `done`; `device` is `cpu` or the GPU's name.
    `order_digest` tells which order this is about. `started_at` is when step 1 of the voice ran, None before.
    `precision` is what a step computes in; `frames_at_once` how many padded frames fit into memory, None as long as
    whole batches do. `gradient_norms` are by network, before clipping. `kept_s` and `dropped_s` (by reason) are the
    seconds of the dataset that are trained on and that are not, empty until the corpus is made.
    """

    attempt: int
    order_digest: str
    updated_at: str
    stage: str
    device: str
    step: int
    max_steps: int
    resumed_from: int = 0
    started_at: str | None = None
    steps_per_s: float | None = None
    remaining_s: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    learning_rate: float | None = None
    gradient_norms: dict[str, float] = field(default_factory=dict)
    kept_s: float | None = None
    dropped_s: dict[str, float] = field(default_factory=dict)
    finished_stages: tuple[str, ...] = ()
    pod: str = ""
    precision: str = ""
    frames_at_once: int | None = None
    problem: Problem | None = None
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """How many padded frames a training step computes at once on a device, None as long as whole batches fit.

    It is about batches of `batch_frames` on that device, and means nothing for others.
    """

    device: str
    batch_frames: int
    frames_at_once: int | None
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class LossLine:
    """One step in the loss log."""

    step: int
    attempt: int
    losses: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class SynthesisedItem:
    """One utterance that became a file."""

    id: str
    key: str
    sha256: str
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class FailedItem:
    """One utterance that did not: `line` counts from 1, `position` is the character from 0 where it went wrong."""

    id: str
    line: int
    reason: str
    message: str
    position: int | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesisManifest:
    """What a SynthesisJob made. Written after the last file; while the job runs, the same form is its progress."""

    uid: str
    voice: VoiceName
    step: int
    total: int
    items: tuple[SynthesisedItem, ...]
    failures: tuple[FailedItem, ...]
    audio_s: float
    elapsed_s: float
    finished: bool
    problem: Problem | None = None
    format: int = 1
