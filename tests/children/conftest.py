"""Everything the operator builds, for one voice of each kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import codec, names, resources, synthesis_jobs
from kelong_operator import children, order_book, settings, views

CONFIGURATION: dict[str, Any] = {
    "store": {"endpoint": "http://store:9000", "bucket": "kelong", "secretName": "kelong-store"},
    "images": {"trainer": "trainer:1", "inference": "inference:1", "pullSecrets": ["registry"]},
    "presets": {
        name: {
            "sources": {"recogniser": "store:whisper"},
            "training": {
                "gpuCount": 1,
                "resources": {
                    "requests": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "5Gi"},
                    "limits": {"memory": "8Gi"},
                },
            },
            "serving": {
                "gpuCount": int(name == "zh-clap"),
                "resources": {"requests": {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "1Gi"}},
            },
        }
        for name in settings.PRESETS
    },
    "shmSize": "2Gi",
    "endpointDelaySeconds": 7,
}
SHA = "a" * 64


@dataclasses.dataclass(frozen=True)
class Built:
    """What is built for one VoiceModel and a SynthesisJob of it."""

    job: dict[str, Any]
    order: dict[str, Any]
    deployment: dict[str, Any]
    service: dict[str, Any]
    batch: dict[str, Any]
    batch_order: dict[str, Any]
    watched: tuple[str, ...]

    @property
    def pods(self) -> dict[str, dict[str, Any]]:
        return {
            names.COMPONENT_TRAINER: self.job["spec"]["template"]["spec"],
            names.COMPONENT_SERVER: self.deployment["spec"]["template"]["spec"],
            names.COMPONENT_BATCH: self.batch["spec"]["template"]["spec"],
        }


def specification(**changes: Any) -> dict[str, Any]:
    basic: dict[str, Any] = {
        "speakers": [{"name": "Khazix"}],
        "dataset": {"source": {"type": "S3", "s3": {"prefix": "khazix/"}}},
        "model": {"preset": "zh-clap"},
    }
    return basic | changes


@pytest.fixture
def build() -> Callable[..., Built]:
    """Builds the children of a spec given as the API server has it, with fields of the configuration changed."""

    def all_of(changes: dict[str, Any] | None = None, configuration: dict[str, Any] | None = None) -> Built:
        chosen = codec.decode(settings.Settings, CONFIGURATION | (configuration or {}), "settings", codec.camel_case)
        spec = resources.voice_model_spec(specification(**(changes or {})))
        owner = views.Owner(kind=names.VOICE_MODEL, namespace="ns", name="khazix", uid="uid-1", generation=3)
        order = order_book.training_order(owner, spec, chosen)
        serving = order_book.serving_order(owner, spec, 500, SHA, chosen)
        lines = {"type": "ConfigMap", "configMap": {"name": "lines", "key": "a.txt"}}
        asked = {"voiceModelRef": {"name": "khazix"}, "input": lines, "output": {"prefix": "out"}}
        synthesis = synthesis_jobs.synthesis_job_spec(asked)
        asker = views.Owner(kind=names.SYNTHESIS_JOB, namespace="ns", name="welcome", uid="uid-2", generation=1)
        said = order_book.synthesis_order(asker, synthesis, spec, "uid-1", 500, SHA, chosen)
        job = children.build_training_job(
            owner, spec, order, chosen, attempt=2, start_step=1000, listing_digest="listing"
        )
        return Built(
            job=job,
            order=children.build_order(owner, "khazix-train-2", order),
            deployment=children.build_deployment(owner, spec, serving, chosen),
            service=children.build_service(owner),
            batch=children.build_batch_job(asker, synthesis, spec, said, chosen),
            batch_order=children.build_order(asker, "welcome-batch", said),
            watched=order_book.watched_prefixes(owner, spec, chosen),
        )

    return all_of
