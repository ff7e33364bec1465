"""Every rule of the SynthesisJob's schema, accepted and refused by a real API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Document = dict[str, Any]
Offer = Callable[[Document], str]
Change = Callable[[Document, str, Any], Document]
Keep = Callable[[Document], Any]

CONFIG_MAP = {"type": "ConfigMap", "format": "JSONL", "configMap": {"name": "lines", "key": "lines.jsonl"}}

ACCEPTED = [
    ("metadata.name", "a" * 50),
    ("spec.step", 12000),
    ("spec.input", CONFIG_MAP),
    ("spec.input", {"type": "S3", "s3": {"key": "in/lines.txt"}}),
    ("spec.output.format", "MP3"),
    ("spec.synthesis", {"length": "0.25", "sdpRatio": "1", "noise": "2.0", "noiseW": "0", "seed": 7, "speaker": "K"}),
    ("spec.synthesis.length", "4.0"),
    ("spec.suspend", True),
]
REFUSED = [
    ("metadata.name", "a" * 51, "at most 50 characters"),
    ("metadata.name", "1a", "starting with a letter"),
    ("spec.step", 0, "greater than or equal to 1"),
    ("spec.input", {"type": "Inline"}, "inline must be given when type is Inline"),
    ("spec.input", CONFIG_MAP | {"s3": {"key": "a"}}, "s3 must be given when type is S3, and only then"),
    ("spec.input", {"type": "ConfigMap"}, "configMap must be given when type is ConfigMap"),
    ("spec.input", {"type": "S3", "s3": {"key": "../a"}}, "must be relative"),
    ("spec.input.inline.items", [], "at least 1 items"),
    ("spec.input.inline.items", [{"id": "a", "text": "好"}, {"id": "a", "text": "好"}], "Duplicate value"),
    ("spec.input.inline.items", [{"id": "a/b", "text": "好"}], "should match"),
    ("spec.input.inline.items", [{"id": "a", "text": "好" * 501}], "Too long"),
    ("spec.output.prefix", "/a", "must be relative"),
    ("spec.output.format", "OGG", "Unsupported value"),
    ("spec.synthesis", {"length": "0.24"}, "should match"),
    ("spec.synthesis", {"length": "4.1"}, "should match"),
    ("spec.synthesis", {"length": 1.1}, "must be of type string"),
    ("spec.synthesis", {"sdpRatio": "1.1"}, "should match"),
    ("spec.synthesis", {"noise": "2.1"}, "should match"),
]
FIXED = [
    {"voiceModelRef": {"name": "other"}},
    {"step": 5},
    {"input": {"inline": {"items": [{"id": "a", "text": "好"}]}}},
    {"output": {"prefix": "other/"}},
    {"synthesis": {"length": "1.2"}},
]


def test_the_example_is_accepted(offer: Offer, synthesis_job: Document) -> None:
    assert offer(synthesis_job) == ""


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_a_synthesis_job_may_say(offer: Offer, change: Change, synthesis_job: Document, path: str, value: Any) -> None:
    assert offer(change(synthesis_job, path, value)) == ""


@pytest.mark.parametrize(("path", "value", "why"), REFUSED)
def test_a_synthesis_job_is_refused_with_the_reason(
    offer: Offer, change: Change, synthesis_job: Document, path: str, value: Any, why: str
) -> None:
    assert why in offer(change(synthesis_job, path, value))


@pytest.mark.parametrize("patch", FIXED)
def test_the_work_is_fixed_at_creation(keep: Keep, synthesis_job: Document, patch: Document) -> None:
    assert "fixed" in keep(synthesis_job).patch({"spec": patch})


def test_suspend_may_change(keep: Keep, synthesis_job: Document) -> None:
    assert keep(synthesis_job).patch({"spec": {"suspend": True}}) == ""


def test_the_longest_inline_input_can_be_applied_twice_by_kubectl(
    keep: Keep, change: Change, synthesis_job: Document
) -> None:
    items = [{"id": f"{index:063d}", "text": "\U00020bb7" * 500} for index in range(40)]
    job = keep(change(synthesis_job, "spec.input.inline.items", items))
    copied = job.kubectl("get", job.name, "-o=jsonpath={.metadata.annotations}")
    assert 60_000 < len(copied.encode()) < 262_144 / 2
    assert keep(change(synthesis_job, "spec.input.inline.items", items)).name == job.name
