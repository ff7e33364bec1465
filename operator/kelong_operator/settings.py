"""The operator's configuration: one YAML file that the chart mounts, read once at the door, all faults together.

Keys are written as in Kubernetes resources (`secretName`). The operator's own store keys are not in it: they come from
the environment (`kelong_contract.environment`), by reference to a Secret of the operator's namespace.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml
from kelong_contract import codec, environment, names, orders

from kelong_operator import quantity

DEFAULT_PATH = pathlib.Path("/etc/kelong/config.yaml")
PRESETS = ("zh-clap", "small", "tiny")
_BUNDLED = ("polyphone", "speakerEmbedding")  # what has a model that comes with the programs
_DNS_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")


class BadSettings(Exception):
    """The configuration is not usable; `faults` names every place."""

    def __init__(self, path: pathlib.Path, faults: list[str]) -> None:
        super().__init__(f"the configuration {path} is not usable: " + "; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, kw_only=True)
class Store:
    """The installation's store. `secret_name` is the Secret that must exist in each namespace with VoiceModels.

    `create_bucket` lets the operator make the bucket when it starts: for the chart's own MinIO, to try Kelong out.
    """

    endpoint: str
    bucket: str
    secret_name: str
    region: str = "us-east-1"
    create_bucket: bool = False


@dataclass(frozen=True, kw_only=True)
class Images:
    """What pods run. `pull_secrets` are names of Secrets in the pods' own namespace."""

    trainer: str
    inference: str
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Resources:
    """CPU, memory and ephemeral storage of a container, as Kubernetes writes quantities."""

    requests: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a kind of pod gets when its resource does not say. `gpu_count` is in whole devices."""

    gpu_count: int
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Model sources of a preset, for what a VoiceModel leaves out."""

    recogniser: str
    text_encoder: str = "none"
    style: str = "none"
    wavlm: str = "none"
    polyphone: str = "bundled"
    speaker_embedding: str = "bundled"
    second_recogniser: str = "none"
    aligner: str = "none"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The defaults of one preset."""

    sources: Sources
    training: Program
    serving: Program


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """How often the operator looks, in seconds.

    `training_seconds`: at a voice in training (its store, its pods). `progress_seconds`: the least time between two
    writes of numbers that move all the time. `resync_seconds`: at everything else, also at the recordings and models
    after bad data or a bad order.
    `retry_seconds`: at what waits for something missing (a store, a step, a voice).
    """

    training_seconds: float = 15.0
    progress_seconds: float = 15.0
    resync_seconds: float = 300.0
    retry_seconds: float = 15.0


@dataclass(frozen=True, kw_only=True)
class AuditionText:
    """A sentence spoken at every checkpoint of a voice that brings none of its own."""

    name: str
    text: str


def _default_auditions() -> tuple[AuditionText, ...]:
    return (
        AuditionText(name="greeting", text="大家好，很高兴认识你们。"),
        AuditionText(name="weather", text="今天天气很好，我们去公园走走吧。"),
        AuditionText(name="question", text="你知道这本书是谁写的吗？"),
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that is decided per installation. An empty `namespaces` means all of them.

    `allow_cpu_on_gpu_nodes` lets pods that were given a GPU work without CUDA: for test clusters only.
    `endpoint_delay_seconds` is how long a stopping server serves on, until no client is sent to it any more.
    """

    store: Store
    images: Images
    presets: dict[str, Preset]
    namespaces: tuple[str, ...] = ()
    allow_cpu_on_gpu_nodes: bool = False
    endpoint_delay_seconds: float = 5.0
    shm_size: str = "1Gi"
    intervals: Intervals = field(default_factory=Intervals)
    auditions: tuple[AuditionText, ...] = field(default_factory=_default_auditions)
    workers: int = 4
    lease_seconds: float = 15.0

    def __post_init__(self) -> None:
        """Check what types alone cannot say; raises ValueError naming every fault."""
        faults = _faults(self)
        if faults:
            raise ValueError("; ".join(faults))


def read(path: pathlib.Path) -> Settings:
    """The settings in a YAML file; raises BadSettings with every fault."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(path, [f"it cannot be read ({error.strerror})"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSettings(path, [f"it is not YAML ({' '.join(str(error).split())})"]) from None
    try:
        return codec.decode(Settings, document, "the configuration", codec.camel_case)
    except codec.Malformed as error:
        raise BadSettings(path, error.faults) from None


def own_environment(settings: Settings, variables: Mapping[str, str]) -> environment.Environment:
    """How the operator itself reaches the store; raises environment.BadEnvironment with every fault.

    Bucket, endpoint and region are the configuration's; the keys are the environment's. A store URL in the environment
    wins (a folder, on a laptop).
    """
    own = {
        names.ENV_STORE_URL: f"s3://{settings.store.bucket}",
        names.ENV_STORE_ENDPOINT: settings.store.endpoint,
        names.ENV_STORE_REGION: settings.store.region,
    }
    return environment.read(own | dict(variables))


def _faults(settings: Settings) -> list[str]:
    faults = []
    if not re.fullmatch(r"https?://[^/ ]+", settings.store.endpoint):
        faults.append(f"store.endpoint is '{settings.store.endpoint}', expected http[s]://host[:port]")
    if not settings.store.bucket:
        faults.append("store.bucket is empty, expected the bucket's name")
    named = {"store.secretName": settings.store.secret_name}
    named |= {f"images.pullSecrets[{index}]": name for index, name in enumerate(settings.images.pull_secrets)}
    named |= {f"namespaces[{index}]": name for index, name in enumerate(settings.namespaces)}
    faults += [f"{key} is '{name}', expected a name" for key, name in named.items() if not _DNS_NAME.fullmatch(name)]
    faults += [f"images.{key} is empty" for key in ("trainer", "inference") if not getattr(settings.images, key)]
    faults += [f"presets.{name} is missing" for name in PRESETS if name not in settings.presets]
    for name, preset in settings.presets.items():
        faults += _preset_faults(name, preset)
    intervals = codec.encode(settings.intervals, codec.camel_case)
    faults += [f"intervals.{key} is {value:g}, expected more than 0" for key, value in intervals.items() if value <= 0]
    if not 0 <= settings.endpoint_delay_seconds <= 300:
        faults.append(f"endpointDelaySeconds is {settings.endpoint_delay_seconds:g}, expected 0 to 300")
    if quantity.parse(settings.shm_size) is None:
        faults.append(f"shmSize is '{settings.shm_size}', expected a quantity such as 1Gi")
    if not 1 <= settings.workers <= 64:
        faults.append(f"workers is {settings.workers}, expected 1 to 64")
    if settings.lease_seconds < 3:
        faults.append(f"leaseSeconds is {settings.lease_seconds:g}, expected at least 3")
    return faults


def _preset_faults(name: str, preset: Preset) -> list[str]:
    if name not in PRESETS:
        return [f"presets.{name} is not a preset of this version, which knows {', '.join(PRESETS)}"]
    faults = [
        f"presets.{name}.sources.{key} is '{address}', expected hub:ORG/NAME@REV, store:PREFIX, path:/… or none"
        + (" or bundled" if key in _BUNDLED else "")
        for key, address in codec.encode(preset.sources, codec.camel_case).items()
        if not orders.is_source(address) or (address == "bundled" and key not in _BUNDLED)
    ]
    for kind, program in (("training", preset.training), ("serving", preset.serving)):
        place = f"presets.{name}.{kind}"
        if not 0 <= program.gpu_count <= 16:
            faults.append(f"{place}.gpuCount is {program.gpu_count}, expected 0 to 16")
        for part in ("requests", "limits"):
            amounts: dict[str, Any] = getattr(program.resources, part)
            faults += [
                f"{place}.resources.{part}.{key} is {amount!r}, expected a quantity of cpu, memory or ephemeral-storage"
                for key, amount in amounts.items()
                if key not in quantity.RESOURCE_NAMES or quantity.parse(amount) is None
            ]
    return faults
