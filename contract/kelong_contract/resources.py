"""A VoiceModel as frozen dataclasses, in the API server's own shape (camelCase there, snake_case here).

SynthesisJobs are in `synthesis_jobs`. `crds/*.yaml` is the schema of record: defaults, limits and descriptions are
there, and a test compares the fields of both. Reading is open-ended (`kelong_contract.codec`), so that a newer schema
does not stop an older operator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from kelong_contract import codec, orders


@dataclass(frozen=True, kw_only=True)
class Resources:
    """CPU, memory and ephemeral storage of a pod."""

    requests: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The GPUs of a pod. `count` None means the default of its kind."""

    resource_name: str = "nvidia.com/gpu"
    count: int | None = None
    product: str | None = None


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint that a pod tolerates."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The nodes and devices a pod may use."""

    gpu: Gpu = field(default_factory=Gpu)
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    runtime_class_name: str | None = None
    priority_class_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """Somebody in the recordings."""

    name: str
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class S3Source:
    """Recordings in a bucket."""

    prefix: str
    endpoint: str | None = None
    bucket: str | None = None
    region: str | None = None
    secret_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeSource:
    """Recordings in a volume."""

    claim_name: str
    sub_path: str = ""


@dataclass(frozen=True, kw_only=True)
class HttpSource:
    """Recordings in an archive (zip or tar), whose content has the digest `sha256`."""

    url: str
    sha256: str
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the recordings are: the member that `type` names."""

    type: Literal["S3", "PersistentVolumeClaim", "HTTP"]
    s3: S3Source | None = None
    persistent_volume_claim: VolumeSource | None = None
    http: HttpSource | None = None


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """How long clips are. None means the preset's default, moved as far as what is said makes it necessary."""

    aim_min_seconds: int | None = None
    aim_max_seconds: int | None = None
    min_seconds: int | None = None
    max_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What a clip must be to be trained on, as decimal strings; `none` switches a threshold off."""

    min_grade: Literal["A", "B", "C"] = "C"
    min_confidence: str = "0.5"
    min_agreement: str = "0.8"
    min_similarity: str = "0.75"
    min_dnsmos: str = "1.8"
    min_snr_db: str = "10"
    max_clipped_share: str = "0.01"
    max_music_share: str = "0.3"
    min_syllables_per_second: str = "0.8"
    max_syllables_per_second: str = "12"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The recordings, and how they become clips."""

    source: Source
    format: Literal["AudioFolder", "ManifestJSONL", "EsdList"] = "AudioFolder"
    manifest: str | None = None
    corrections: str = "corrections.jsonl"
    slicing: Slicing = field(default_factory=Slicing)
    judging: Judging = field(default_factory=Judging)


@dataclass(frozen=True, kw_only=True)
class ModelSources:
    """Where models come from; None means the preset's default."""

    recogniser: str | None = None
    text_encoder: str | None = None
    style: str | None = None
    wavlm: str | None = None
    polyphone: str | None = None
    speaker_embedding: str | None = None
    second_recogniser: str | None = None
    aligner: str | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """The network, and the encoders it stands on."""

    preset: Literal["zh-clap", "small", "tiny"] = "zh-clap"
    sources: ModelSources = field(default_factory=ModelSources)


@dataclass(frozen=True, kw_only=True)
class Text:
    """How texts are read: `lexicon` maps a word to its syllables with tone digits."""

    lexicon: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Which steps stay in the store."""

    keep_last: int | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointRule:
    """When checkpoints are made, and which stay."""

    interval_steps: int = 1000
    retention: Retention = field(default_factory=Retention)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Weights in a folder that a model source names. `fresh` None means the order's default."""

    source: str
    mode: Literal["Base", "Resume"] = "Base"
    fresh: tuple[orders.Fresh, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class OtherVoice:
    """A step of another VoiceModel of the namespace. `fresh` None means the order's default."""

    name: str
    step: int
    fresh: tuple[orders.Fresh, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Init:
    """What the weights begin with: the member that `from` names (a keyword of Python, hence the underscore)."""

    from_: Literal["Scratch", "Pretrained", "VoiceModel"] = "Scratch"
    pretrained: Pretrained | None = None
    voice_model: OtherVoice | None = None


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each part of the generator's loss counts, as decimal strings."""

    adversarial: str = "1"
    feature_match: str = "2"
    mel: str = "45"
    prior_mel: str = "22.5"
    acoustic: str = "5"
    divergence: str = "1"
    durations: str = "1"
    commitment: str = "1"
    wavlm_feature: str = "1"
    wavlm_adversarial: str = "1"
    duration_adversarial: str = "1"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long, how, and where to train. `ranks` None means one process for each GPU of a pod, or one.

    `batch_frames`, `learning_rate` and `ema_decay` None mean the preset's default; `ema_decay` "0" is none.
    """

    max_steps: int = 20000
    checkpoint: CheckpointRule = field(default_factory=CheckpointRule)
    batch_frames: int | None = None
    learning_rate: str | None = None
    seed: int = 42
    precision: orders.Precision = "FP32"
    profile: Literal["fixed", "as-original"] = "fixed"
    init: Init = field(default_factory=Init)
    workers: int = 1
    ranks: int | None = None
    weights: LossWeights = field(default_factory=LossWeights)
    duration_discriminator: Literal["Off", "On"] = "Off"
    freeze: tuple[Literal["TextFeatures", "Style", "TextEncoder", "Decoder"], ...] = ()
    ema_decay: str | None = None
    text_feature_dropout: str = "0.2"
    style_dropout: str = "0.1"
    termination_grace_period_seconds: int = 120
    backoff_limit: int = 3
    resources: Resources = field(default_factory=Resources)
    placement: Placement = field(default_factory=Placement)


@dataclass(frozen=True, kw_only=True)
class AuditionText:
    """A sentence that every checkpoint is heard saying."""

    name: str
    text: str
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class Audition:
    """What every checkpoint is heard saying."""

    texts: tuple[AuditionText, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The speech servers of the promoted step."""

    replicas: int = 1
    precision: orders.Precision = "FP32"
    resources: Resources = field(default_factory=Resources)
    placement: Placement = field(default_factory=Placement)


@dataclass(frozen=True, kw_only=True)
class VoiceModelSpec:
    """What is wished for."""

    speakers: tuple[Speaker, ...]
    dataset: Dataset
    suspend: bool = False
    review: bool = False
    language: Literal["zh"] = "zh"
    model: Model = field(default_factory=Model)
    text: Text = field(default_factory=Text)
    training: Training = field(default_factory=Training)
    audition: Audition = field(default_factory=Audition)
    promoted_step: int | None = None
    serving: Serving = field(default_factory=Serving)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Where one thing stands, and why. Times are RFC 3339."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int | None = None


@dataclass(frozen=True, kw_only=True)
class SpeakerStatus:
    """What a speaker brings, and the id they were given."""

    name: str
    id: int
    clips: int
    duration_seconds: int


@dataclass(frozen=True, kw_only=True)
class DroppedStatus:
    """What is not trained on, by reason."""

    reason: str
    count: int
    duration_seconds: int


@dataclass(frozen=True, kw_only=True)
class GradeStatus:
    """What is trained on, by grade."""

    grade: Literal["A", "B", "C"]
    clips: int
    duration_seconds: int


@dataclass(frozen=True, kw_only=True)
class RejectedRecording:
    """A whole recording that could not be used."""

    recording: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class DatasetStatus:
    """What the recordings became. The seconds kept and those dropped add up to those of the recordings.

    `page` is the store's key of the report that people look at, `advice` what it tells them first.
    """

    digest: str
    recordings: int
    clips: int
    duration_seconds: int
    kept_seconds: int
    speakers: tuple[SpeakerStatus, ...] = ()
    grades: tuple[GradeStatus, ...] = ()
    dropped: tuple[DroppedStatus, ...] = ()
    page: str | None = None
    advice: tuple[str, ...] = ()
    corrections: int = 0
    rejected_recordings: tuple[RejectedRecording, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InitStatus:
    """The step of another VoiceModel that training begins with, fixed when it was first found."""

    name: str
    uid: str
    step: int


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """Where training is. `attempt` counts Jobs (the store's attempts count trainer processes)."""

    attempt: int | None = None
    job_name: str | None = None
    stage: str | None = None
    start_time: str | None = None
    completion_time: str | None = None
    current_step: int | None = None
    steps_per_second: str | None = None
    estimated_remaining_seconds: int | None = None
    last_progress_time: str | None = None
    node_name: str | None = None
    device: str | None = None
    precision: str | None = None
    frames_at_once: int | None = None
    init: InitStatus | None = None


@dataclass(frozen=True, kw_only=True)
class FigureStatus:
    """What a judge says of a step's auditions: a figure's name and its value as a decimal string."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class CheckpointStatus:
    """A step that can be promoted."""

    step: int
    attempt: int
    created_at: str
    manifest_sha256: str
    size_bytes: int
    audition_prefix: str | None = None
    metrics: tuple[FigureStatus, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServingStatus:
    """The speech servers. `step` is what was last rolled out, `previous_step` what served before."""

    replicas: int
    ready_replicas: int
    updated_replicas: int
    selector: str
    step: int | None = None
    previous_step: int | None = None
    manifest_sha256: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class VoiceModelStatus:
    """What is. `promoted_step` is the step that really serves."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    dataset: DatasetStatus | None = None
    training: TrainingStatus = field(default_factory=TrainingStatus)
    checkpoints: tuple[CheckpointStatus, ...] = ()
    checkpoints_total: int | None = None
    latest_step: int | None = None
    best_step: int | None = None
    promoted_step: int | None = None
    serving: ServingStatus | None = None


def voice_model_spec(document: Any) -> VoiceModelSpec:
    """A VoiceModel's spec as the API server gives it; raises codec.Malformed."""
    return codec.decode(VoiceModelSpec, document, "the VoiceModel's spec", codec.camel_case, open_ended=True)


def voice_model_status(document: Any) -> VoiceModelStatus:
    """A VoiceModel's status as the API server gives it; raises codec.Malformed."""
    return codec.decode(VoiceModelStatus, document or {}, "the VoiceModel's status", codec.camel_case, open_ended=True)
