"""What a pod is asked to do, as JSON: the whole request, with no second source.

The operator writes a TrainingOrder or SynthesisOrder into an immutable ConfigMap and a ServingOrder into the server's
environment; on a laptop the same JSON comes from a file. Every `__post_init__` reports all that is wrong at once.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from kelong_contract import layout

# What may begin untrained where the files that a voice begins with lack it. Speakers are the rows of the speaker table,
# the posterior encoder is what the original's `_release` files leave out.
Fresh = Literal["Speakers", "PosteriorEncoder", "Discriminators", "WavLMDiscriminator", "DurationDiscriminator"]
# What networks compute in. BF16: matrix products and convolutions in bfloat16, what needs it in float32.
Precision = Literal["FP32", "BF16"]

_RELATIVE = re.compile(r"(?!/)(?!(?:.*/)?\.\.(?:/|$)).*")
_SOURCE = re.compile(r"none|bundled|hub:[\w.-]+/[\w.-]+@[\w.-]+|path:/.+|store:(?!/)(?!(?:.*/)?\.\.(?:/|$)).+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9一-鿿][A-Za-z0-9一-鿿._-]{0,62}")

DEFAULT_REGION = "us-east-1"  # what S3 servers without regions expect

# What each setting of an utterance may be, lowest and highest; the speech server refuses by the same table.
SETTING_RANGES: dict[str, tuple[float, float]] = {
    "length": (0.25, 4.0),
    "sdp_ratio": (0.0, 1.0),
    "noise": (0.0, 2.0),
    "noise_w": (0.0, 2.0),
    "seed": (0, 2**53 - 1),  # the whole numbers that every JSON reader keeps exactly
}


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One voice of the model. `prefix` is the part of the dataset that is theirs (empty: all of it)."""

    name: str
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class VoiceName:
    """The VoiceModel whose part of the store is used."""

    namespace: str
    name: str
    uid: str

    def place(self) -> layout.Voice:
        """Its part of the store."""
        return layout.Voice(namespace=self.namespace, name=self.name, uid=self.uid)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Where the recordings are, and how they lie there.

    `prefix` is a full key prefix of the bucket for type S3, a folder below the mount for PersistentVolumeClaim, and one
    inside the archive (zip or tar) at `url`, whose content has the digest `sha256`, for HTTP.
    Without `endpoint` and `bucket` S3 is the installation's own store, whose region is known from the environment.
    `format` AudioFolder is any folder of recordings, with a transcript beside one where it has one; ManifestJSONL and
    EsdList are lists of clips with transcripts in the file `manifest`, below `prefix`. `corrections` is the name below
    `prefix` of what a person overruled; it need not exist.
    """

    type: Literal["S3", "PersistentVolumeClaim", "HTTP"]
    prefix: str = ""
    endpoint: str | None = None
    bucket: str | None = None
    region: str = DEFAULT_REGION
    url: str | None = None
    sha256: str | None = None
    format: Literal["AudioFolder", "ManifestJSONL", "EsdList"] = "AudioFolder"
    manifest: str | None = None
    corrections: str = "corrections.jsonl"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Model sources: `hub:ORG/NAME@REV`, `store:PREFIX`, `store:./PREFIX`, `path:/…`, `bundled` or `none`.

    None means the preset's default. `bundled` is what comes with the packages: for `polyphone` g2pM, for
    `speaker_embedding` Resemblyzer.
    """

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
    """Which network, and the encoders it stands on."""

    preset: Literal["zh-clap", "small", "tiny"] = "zh-clap"
    sources: Sources = field(default_factory=Sources)


@dataclass(frozen=True, kw_only=True)
class Text:
    """How texts are read: `lexicon` maps a written word to its pinyin, a syllable with tone digit per character."""

    lexicon: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Files of the original (`G_<step>.pth` and its companions) or of ours, in a folder that a source names.

    `mode` Base takes the weights and begins at step 0, Resume takes the optimisers and the step too. `fresh` names
    what may begin untrained because the files lack it; anything else that is missing is an error.
    """

    source: str
    mode: Literal["Base", "Resume"] = "Base"
    fresh: tuple[Fresh, ...] = ("Speakers",)


@dataclass(frozen=True, kw_only=True)
class OtherVoice:
    """A step of another VoiceModel, whose generator and discriminators are begun with; `fresh` as in `Pretrained`."""

    voice: VoiceName
    step: int
    fresh: tuple[Fresh, ...] = ("Speakers",)


@dataclass(frozen=True, kw_only=True)
class Init:
    """What the weights begin with: the member that `type` names."""

    type: Literal["Scratch", "Pretrained", "VoiceModel"] = "Scratch"
    pretrained: Pretrained | None = None
    voice_model: OtherVoice | None = None


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """The lengths of clips, in seconds: what is aimed for, and the hard bounds."""

    aim_min_s: float = 10.0
    aim_max_s: float = 15.0
    min_s: float = 2.0
    max_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What a clip must be to be trained on; None switches a threshold off. docs/corpus.md argues for the defaults.

    `min_grade` is the least grade that is trained on. Confidence and agreement are shares, similarity a cosine, DNSMOS
    1 to 5, SNR in dB, clipping and music shares of the clip, the rate in syllables a second of speech.
    """

    min_grade: Literal["A", "B", "C"] = "C"
    min_confidence: float | None = 0.5
    min_agreement: float | None = 0.8
    min_similarity: float | None = 0.75
    min_dnsmos: float | None = 1.8
    min_snr_db: float | None = 10.0
    max_clipped_share: float | None = 0.01
    max_music_share: float | None = 0.3
    min_syllables_per_s: float | None = 0.8
    max_syllables_per_s: float | None = 12.0


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each part of the generator's loss counts; the preset `small` alone has the two after `mel`."""

    adversarial: float = 1.0
    feature_match: float = 2.0
    mel: float = 45.0
    prior_mel: float = 22.5
    acoustic: float = 5.0
    divergence: float = 1.0
    durations: float = 1.0
    commitment: float = 1.0
    wavlm_feature: float = 1.0
    wavlm_adversarial: float = 1.0
    duration_adversarial: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how to train. `keep_last` None keeps every step's generator.

    `workers` are pods of equal size that train together; how many processes each runs says `Device.ranks`.
    `ema_decay` None keeps no running mean of the weights. The two dropouts are the share of clips that are trained
    without the text encoder's features, so that phonemes stay in charge, and without a style of their own.
    """

    max_steps: int = 20000
    interval_steps: int = 1000
    learning_rate: float = 2e-4
    batch_frames: int | None = None
    seed: int = 42
    precision: Precision = "FP32"
    profile: Literal["fixed", "as-original"] = "fixed"
    keep_last: int | None = None
    workers: int = 1
    weights: LossWeights = field(default_factory=LossWeights)
    duration_discriminator: Literal["Off", "On"] = "Off"
    freeze: tuple[Literal["TextFeatures", "Style", "TextEncoder", "Decoder"], ...] = ()
    ema_decay: float | None = None
    text_feature_dropout: float = 0.2
    style_dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class AuditionText:
    """A sentence to be spoken at every checkpoint. `speaker` None is the first speaker."""

    name: str
    text: str
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the pod was given. `allow_cpu` lets a pod with a GPU limit run without CUDA (test clusters only).

    `ranks` is how many processes a training pod runs; None means one for each GPU, or one without any.
    """

    gpus: int = 0
    allow_cpu: bool = False
    ranks: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """Everything the trainer needs to know. `review` holds training until a person has looked at the corpus."""

    voice: VoiceName
    speakers: tuple[Speaker, ...]
    dataset: Dataset
    model: Model = field(default_factory=Model)
    text: Text = field(default_factory=Text)
    init: Init = field(default_factory=Init)
    slicing: Slicing = field(default_factory=Slicing)
    judging: Judging = field(default_factory=Judging)
    review: bool = False
    training: Training = field(default_factory=Training)
    auditions: tuple[AuditionText, ...] = ()
    device: Device = field(default_factory=Device)
    format: int = 1

    def __post_init__(self) -> None:
        """Check what types alone cannot say; raises ValueError naming every fault."""
        faults = _training_faults(self)
        if faults:
            raise ValueError("; ".join(faults))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for."""

    max_characters: int = 4096
    max_queue: int = 32


@dataclass(frozen=True, kw_only=True)
class ServingOrder:
    """Which step of which voice a server speaks with. The digest is the manifest's own SHA-256.

    `precision` is what the sound is computed in; where BF16 is not fast it is FP32 all the same.
    """

    model_name: str
    voice: VoiceName
    step: int
    manifest_sha256: str
    sources: Sources = field(default_factory=Sources)
    text: Text = field(default_factory=Text)
    device: Device = field(default_factory=Device)
    precision: Precision = "FP32"
    limits: Limits = field(default_factory=Limits)
    drain_s: float = 5.0
    format: int = 1

    def __post_init__(self) -> None:
        """Check what types alone cannot say; raises ValueError naming every fault."""
        faults = _step_faults(self.step, self.manifest_sha256)
        if not self.model_name:
            faults.append("model_name is empty, expected the VoiceModel's name")
        if not 1 <= self.limits.max_characters <= 4096:
            faults.append(f"limits.max_characters is {self.limits.max_characters}, expected 1 to 4096")
        if not 1 <= self.limits.max_queue <= 10_000:
            faults.append(f"limits.max_queue is {self.limits.max_queue}, expected 1 to 10000")
        if not 0 <= self.drain_s <= 3600:
            faults.append(f"drain_s is {self.drain_s:g}, expected 0 to 3600 seconds")
        if faults:
            raise ValueError("; ".join(faults))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One utterance of a SynthesisJob."""

    id: str
    text: str
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesisInput:
    """The utterances: given here, in a file that the pod mounts, or in an object of the store.

    `format` Text is one utterance per line, JSONL one JSON object with id, text and optionally speaker per line.
    """

    type: Literal["Inline", "ConfigMap", "S3"]
    items: tuple[Item, ...] = ()
    path: str | None = None
    key: str | None = None
    format: Literal["Text", "JSONL"] = "Text"


@dataclass(frozen=True, kw_only=True)
class SynthesisSettings:
    """How to speak; the meaning and the defaults are those of the speech server."""

    length: float = 1.0
    sdp_ratio: float = 0.2
    noise: float = 0.6
    noise_w: float = 0.8
    seed: int = 0
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesisOrder:
    """Everything the batch door needs to know. `output_prefix` is a full key prefix of the store.

    `precision` is that of the voice's servers.
    """

    uid: str
    voice: VoiceName
    step: int
    manifest_sha256: str
    input: SynthesisInput
    output_prefix: str
    output_format: Literal["WAV", "FLAC", "MP3"] = "WAV"
    settings: SynthesisSettings = field(default_factory=SynthesisSettings)
    sources: Sources = field(default_factory=Sources)
    text: Text = field(default_factory=Text)
    device: Device = field(default_factory=Device)
    precision: Precision = "FP32"
    format: int = 1

    def __post_init__(self) -> None:
        """Check what types alone cannot say; raises ValueError naming every fault."""
        faults = _step_faults(self.step, self.manifest_sha256) + _setting_faults(self.settings)
        if not self.uid or "/" in self.uid:
            faults.append(f"uid is '{self.uid}', expected the SynthesisJob's uid")
        if not _RELATIVE.fullmatch(self.output_prefix) or not self.output_prefix.endswith("/"):
            faults.append(f"output_prefix '{self.output_prefix}' must be relative, free of '..' and end with '/'")
        wanted = {"Inline": "items", "ConfigMap": "path", "S3": "key"}[self.input.type]
        if not getattr(self.input, wanted):
            faults.append(f"input.{wanted} is missing: an input of type {self.input.type} needs it")
        if faults:
            raise ValueError("; ".join(faults))


def is_source(address: str) -> bool:
    """Whether an address follows the grammar of model sources."""
    return _SOURCE.fullmatch(address) is not None


def _step_faults(step: int, manifest_sha256: str) -> list[str]:
    faults = []
    if step < 1:
        faults.append(f"step is {step}, expected 1 or more")
    if not _SHA256.fullmatch(manifest_sha256):
        faults.append(f"manifest_sha256 is '{manifest_sha256}', expected 64 hexadecimal digits")
    return faults


def _setting_faults(settings: SynthesisSettings) -> list[str]:
    return [
        f"settings.{name} is {getattr(settings, name):g}, expected {lowest:g} to {highest:g}"
        for name, (lowest, highest) in SETTING_RANGES.items()
        if not lowest <= getattr(settings, name) <= highest
    ]


def _training_faults(order: TrainingOrder) -> list[str]:
    faults = []
    names = [speaker.name for speaker in order.speakers]
    if not 1 <= len(names) <= 256:
        faults.append(f"speakers has {len(names)} entries, expected 1 to 256")
    faults += [f"speakers: '{name}' is given twice" for name in sorted(set(names)) if names.count(name) > 1]
    faults += [f"speakers: '{name}' is not a usable name" for name in names if not _NAME.fullmatch(name)]
    for speaker in order.speakers:
        if not _RELATIVE.fullmatch(speaker.prefix):
            faults.append(f"speakers: the prefix '{speaker.prefix}' must be relative and free of '..'")
    if not _RELATIVE.fullmatch(order.dataset.prefix):
        faults.append(f"dataset.prefix '{order.dataset.prefix}' must be relative and free of '..'")
    for name, address in vars(order.model.sources).items():
        if address is not None and not is_source(address):
            faults.append(
                f"model.sources.{name} '{address}' is not hub:ORG/NAME@REV, store:PREFIX, path:/…, bundled or none"
            )
    training, cut = order.training, order.slicing
    if not 1 <= training.max_steps <= 10_000_000:
        faults.append(f"training.max_steps is {training.max_steps}, expected 1 to 10000000")
    if training.interval_steps < 1 or training.max_steps > 200 * training.interval_steps:
        faults.append(
            f"training.interval_steps is {training.interval_steps}, expected at least max_steps/200 "
            f"({training.max_steps}/200), so that status can list every step"
        )
    if not 0 < cut.min_s <= cut.aim_min_s <= cut.aim_max_s <= cut.max_s <= 30:
        faults.append(f"slicing: expected 0 < min_s <= aim_min_s <= aim_max_s <= max_s <= 30, got {cut}")
    faults += _dataset_faults(order.dataset) + _judging_faults(order.judging) + _option_faults(order)
    audition_names = [text.name for text in order.auditions]
    if len(set(audition_names)) != len(audition_names):
        faults.append("auditions: every entry needs a name of its own")
    faults += [
        f"auditions: '{text.name}' names the speaker '{text.speaker}', who is not in speakers"
        for text in order.auditions
        if text.speaker is not None and text.speaker not in names
    ]
    return faults


def _dataset_faults(dataset: Dataset) -> list[str]:
    faults = []
    if dataset.type == "HTTP":
        if not dataset.url or not dataset.url.startswith(("http://", "https://")):
            faults.append(f"dataset.url is {dataset.url!r}, expected the http or https address of an archive")
        if not dataset.sha256 or not _SHA256.fullmatch(dataset.sha256):
            faults.append(f"dataset.sha256 is {dataset.sha256!r}, expected the archive's 64 hexadecimal digits")
    elif dataset.url is not None or dataset.sha256 is not None:
        faults.append("dataset.url and dataset.sha256 go with the type HTTP only")
    if (dataset.manifest is not None) != (dataset.format != "AudioFolder"):
        faults.append("dataset.manifest names the list of a ManifestJSONL or EsdList, and goes with these only")
    for name in ("manifest", "corrections"):
        value = getattr(dataset, name)
        if value is not None and (not value or not _RELATIVE.fullmatch(value)):
            faults.append(f"dataset.{name} '{value}' must be relative and free of '..'")
    return faults


def _judging_faults(judging: Judging) -> list[str]:
    highest = {"min_dnsmos": 5.0, "min_snr_db": 100.0, "min_syllables_per_s": 20.0, "max_syllables_per_s": 20.0}
    faults = [
        f"judging.{name} is {value:g}, expected 0 to {highest.get(name, 1.0):g}"
        for name, value in vars(judging).items()
        if isinstance(value, float) and not 0 <= value <= highest.get(name, 1.0)
    ]
    least, most = judging.min_syllables_per_s, judging.max_syllables_per_s
    if least is not None and most is not None and least >= most:
        faults.append(f"judging.min_syllables_per_s {least:g} must be less than max_syllables_per_s {most:g}")
    return faults


def _option_faults(order: TrainingOrder) -> list[str]:
    training, init, faults = order.training, order.init, []
    if not 1 <= training.workers <= 64:
        faults.append(f"training.workers is {training.workers}, expected 1 to 64")
    if order.device.ranks is not None and not 1 <= order.device.ranks <= 64:
        faults.append(f"device.ranks is {order.device.ranks}, expected 1 to 64")
    faults += [
        f"training.weights.{name} is {value:g}, expected 0 to 1000"
        for name, value in vars(training.weights).items()
        if not 0 <= value <= 1000
    ]
    faults += [
        f"training.{name} is {getattr(training, name):g}, expected 0 to 1"
        for name in ("text_feature_dropout", "style_dropout")
        if not 0 <= getattr(training, name) <= 1
    ]
    if not 0 < training.learning_rate < math.inf:
        faults.append(f"training.learning_rate is {training.learning_rate:g}, expected a finite number above 0")
    if training.ema_decay is not None and not 0 < training.ema_decay < 1:
        faults.append(f"training.ema_decay is {training.ema_decay:g}, expected more than 0 and less than 1")
    given = {"Pretrained": init.pretrained, "VoiceModel": init.voice_model}
    faults += [
        f"init.{'pretrained' if kind == 'Pretrained' else 'voice_model'} must be given when init.type is {kind}, and "
        "only then"
        for kind, member in given.items()
        if (member is not None) != (init.type == kind)
    ]
    if init.pretrained is not None and not is_source(init.pretrained.source):
        faults.append(f"init.pretrained.source '{init.pretrained.source}' is not a model source")
    if init.voice_model is not None and init.voice_model.step < 1:
        faults.append(f"init.voice_model.step is {init.voice_model.step}, expected 1 or more")
    return faults
