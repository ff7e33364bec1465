"""A SynthesisJob as frozen dataclasses, in the API server's own shape, as a VoiceModel in `resources` is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from kelong_contract import codec
from kelong_contract.resources import Condition


@dataclass(frozen=True, kw_only=True)
class VoiceModelRef:
    """A VoiceModel of the same namespace."""

    name: str


@dataclass(frozen=True, kw_only=True)
class InlineItem:
    """A sentence written into the resource."""

    id: str
    text: str
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class InlineInput:
    """Sentences written into the resource."""

    items: tuple[InlineItem, ...]


@dataclass(frozen=True, kw_only=True)
class ConfigMapInput:
    """Sentences in a ConfigMap."""

    name: str
    key: str


@dataclass(frozen=True, kw_only=True)
class S3Input:
    """Sentences in an object of the store."""

    key: str


@dataclass(frozen=True, kw_only=True)
class SynthesisInput:
    """The sentences: the member that `type` names."""

    type: Literal["Inline", "ConfigMap", "S3"]
    format: Literal["Text", "JSONL"] = "Text"
    inline: InlineInput | None = None
    config_map: ConfigMapInput | None = None
    s3: S3Input | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where the files go."""

    prefix: str
    format: Literal["WAV", "FLAC", "MP3"] = "WAV"


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """How to speak, as decimal strings; None means the default of the voice's preset."""

    length: str = "1.0"
    sdp_ratio: str | None = None
    noise: str | None = None
    noise_w: str = "0.8"
    seed: int = 0
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesisJobSpec:
    """What is to be said."""

    voice_model_ref: VoiceModelRef
    input: SynthesisInput
    output: Output
    suspend: bool = False
    step: int | None = None
    synthesis: Synthesis = field(default_factory=Synthesis)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The voice and the step that speak, fixed when the work starts."""

    uid: str
    step: int
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class ItemCounts:
    """How many sentences."""

    total: int
    succeeded: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class FailedItemStatus:
    """A sentence that could not be said."""

    id: str
    line: int
    reason: str
    message: str
    position: int | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesisJobStatus:
    """What is."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    resolved: Resolved | None = None
    job_name: str | None = None
    start_time: str | None = None
    completion_time: str | None = None
    items: ItemCounts | None = None
    progress: str | None = None
    audio_seconds: int | None = None
    failed_items: tuple[FailedItemStatus, ...] = ()
    output_prefix: str | None = None
    manifest_key: str | None = None


def synthesis_job_spec(document: Any) -> SynthesisJobSpec:
    """A SynthesisJob's spec as the API server gives it; raises codec.Malformed."""
    return codec.decode(SynthesisJobSpec, document, "the SynthesisJob's spec", codec.camel_case, open_ended=True)


def synthesis_job_status(document: Any) -> SynthesisJobStatus:
    """A SynthesisJob's status as the API server gives it; raises codec.Malformed."""
    what = "the SynthesisJob's status"
    return codec.decode(SynthesisJobStatus, document or {}, what, codec.camel_case, open_ended=True)
