"""Every rule of the schemas, accepted and refused by a real API server."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

Document = dict[str, Any]
Offer = Callable[[Document], str]
Change = Callable[[Document, str, Any], Document]
Keep = Callable[[Document], Any]

ROOT = pathlib.Path(__file__).parents[2]
S3 = "spec.dataset.source.s3"
INIT = "spec.training.init"
CHECKPOINT = {
    "step": 1000,
    "attempt": 1,
    "createdAt": "2026-01-01T00:00:00Z",
    "manifestSha256": "0" * 64,
    "sizeBytes": 1,
}
OWN_BUCKET = {"prefix": "a/", "endpoint": "https://s3.example.com", "bucket": "mine", "secretName": "my-keys"}
ARCHIVE = {"url": "https://example.com/khazix.tar.gz", "sha256": "0" * 64}
HTTP = {"type": "HTTP", "http": ARCHIVE}
SLICING, JUDGING = "spec.dataset.slicing", "spec.dataset.judging"
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "tapes", "subPath": "1/a"}}

ACCEPTED = [
    ("spec.suspend", True),
    ("metadata.name", "a" * 40),
    ("spec.speakers", [{"name": "柯林", "prefix": "a/b"}, {"name": "Second.Voice-2"}]),
    (S3, OWN_BUCKET),
    (S3, OWN_BUCKET | {"region": "eu-west-1"}),
    ("spec.dataset.source", VOLUME),
    ("spec.dataset.source", HTTP),
    ("spec.dataset.source", {"type": "HTTP", "http": ARCHIVE | {"prefix": "a/b"}}),
    ("spec.dataset.source", {"type": "HTTP", "http": ARCHIVE | {"url": "http://10.0.0.7:8000/a.zip?version=2"}}),
    ("spec.dataset", {"source": HTTP, "format": "EsdList", "manifest": "esd.list"}),
    ("spec.dataset.corrections", "mine/corrections.jsonl"),
    (SLICING, {"aimMinSeconds": 4, "aimMaxSeconds": 8}),
    (SLICING, {"aimMinSeconds": 6, "aimMaxSeconds": 6, "minSeconds": 6, "maxSeconds": 6}),
    (SLICING, {"minSeconds": 1}),
    (SLICING, {"maxSeconds": 30}),
    (JUDGING, {"minGrade": "A", "minDnsmos": "none", "minSnrDb": "12.5", "maxClippedShare": "0"}),
    (JUDGING, {"minConfidence": "none", "minAgreement": "1.0", "minSimilarity": "0.6", "maxMusicShare": "1"}),
    (JUDGING, {"minSyllablesPerSecond": "none", "maxSyllablesPerSecond": "0.1"}),
    ("spec.review", True),
    ("spec.model.sources", {"secondRecogniser": "store:whisper-small", "aligner": "hub:org/wav2vec2@main"}),
    (f"{S3}.prefix", "a..b/c"),
    ("spec.model.sources", {"recogniser": "store:./whisper", "textEncoder": "hub:org/bert@main", "style": "none"}),
    ("spec.model.preset", "small"),
    ("spec.model.sources", {"wavlm": "hub:org/wavlm@main", "polyphone": "bundled", "speakerEmbedding": "bundled"}),
    ("spec.model.sources", {"wavlm": "none", "polyphone": "store:g2pw", "speakerEmbedding": "none"}),
    ("spec.model.sources", {"speakerEmbedding": "store:./wavlm-base-plus-sv"}),
    ("spec.text.lexicon", {"重庆": "chong2 qing4", "绿": "lü4", "女": "nv3", "Wi Fi": "wai1 fei1", "玩儿": "wanr2"}),
    ("spec.text.lexicon", {f"词{number}": "ci2" for number in range(256)}),
    ("spec.text.lexicon", {"绿": "lü4", "字" * 20: " ".join(["zhuang4"] * 20)}),
    ("spec.training.maxSteps", 200_000),
    (INIT, {"from": "Scratch"}),
    (INIT, {"from": "Pretrained", "pretrained": {"source": "store:base", "mode": "Resume", "fresh": ["Speakers"]}}),
    (INIT, {"from": "Pretrained", "pretrained": {"source": "store:./base", "fresh": []}}),
    (INIT, {"from": "VoiceModel", "voiceModel": {"name": "khazix-1", "step": 1000}}),
    (INIT, {"from": "VoiceModel", "voiceModel": {"name": "a", "step": 1, "fresh": ["PosteriorEncoder"]}}),
    ("spec.training.workers", 64),
    ("spec.training", {"ranks": 4, "placement": {"gpu": {"count": 0}}}),
    ("spec.training.weights", {"mel": "0", "wavlmFeature": "0.5", "adversarial": "1000"}),
    ("spec.training.durationDiscriminator", "On"),
    ("spec.training.freeze", ["TextFeatures", "Style", "TextEncoder", "Decoder"]),
    ("spec.training.emaDecay", "0.9995"),
    ("spec.training.emaDecay", "0"),
    ("spec.training.textFeatureDropout", "0"),
    ("spec.training.styleDropout", "1.0"),
    ("spec.training.learningRate", "0.00005"),
    ("spec.training.resources", {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"ephemeral-storage": "10Gi"}}),
    ("spec.training.placement.gpu", {"resourceName": "nvidia.com/mig-1g.10gb", "count": 1}),
    ("spec.training.placement.gpu", {"count": 0}),
    ("spec.training.placement.tolerations", [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]),
    ("spec.serving", {"replicas": 0, "placement": {"nodeSelector": {"zone": "a"}, "runtimeClassName": "nvidia"}}),
    ("spec.serving", {"precision": "BF16"}),
    ("spec.promotedStep", 12000),  # on creation: it waits for the step to appear
]
REFUSED = [
    ("metadata.name", "a" * 41, "at most 40 characters"),
    ("metadata.name", "1a", "starting with a letter"),
    ("metadata.name", "a.b", "lower-case letters, digits and '-'"),
    ("spec.speakers", [], "at least 1 items"),
    ("spec.speakers", [{"name": "A"}, {"name": "A"}], "Duplicate value"),
    ("spec.speakers", [{"name": "a/b"}], "should match"),
    ("spec.speakers", [{"name": "A", "prefix": "../x"}], "must be relative"),
    ("spec.language", "en", "Unsupported value"),
    (f"{S3}.prefix", "/a", "must be relative"),
    (f"{S3}.prefix", "a/../b", "must be relative"),
    (f"{S3}.prefix", "..", "must be relative"),
    (S3, {"prefix": "a/", "bucket": "mine"}, "endpoint, bucket and secretName go together"),
    (S3, {"prefix": "a/", "region": "eu-west-1"}, "region goes with a bucket of its own"),
    (S3, None, "s3 must be given when type is S3"),
    ("spec.dataset.source.persistentVolumeClaim", {"claimName": "tapes"}, "persistentVolumeClaim must be given when"),
    ("spec.dataset.source", {"type": "HTTP"}, "http must be given when type is HTTP"),
    ("spec.dataset.source.http", ARCHIVE, "http must be given when type is HTTP, and only then"),
    ("spec.dataset.source", {"type": "FTP"}, "Unsupported value"),
    ("spec.dataset.source", {"type": "HTTP", "http": {"url": ARCHIVE["url"]}}, "sha256: Required value"),
    ("spec.dataset.source", {"type": "HTTP", "http": ARCHIVE | {"sha256": "0" * 63}}, "should match"),
    ("spec.dataset.source", {"type": "HTTP", "http": ARCHIVE | {"url": "ftp://example.com/a.zip"}}, "should match"),
    ("spec.dataset.source", {"type": "HTTP", "http": ARCHIVE | {"url": "https://me:pw@example.com/a"}}, "should match"),
    ("spec.dataset.source", {"type": "HTTP", "http": ARCHIVE | {"prefix": "../a"}}, "must be relative"),
    ("spec.dataset.format", "Auto", "Unsupported value"),
    ("spec.dataset.format", "EsdList", "manifest names the list of the formats"),
    ("spec.dataset.manifest", "esd.list", "manifest names the list of the formats"),
    ("spec.dataset", {"source": HTTP, "format": "EsdList", "manifest": "/esd.list"}, "must be relative"),
    ("spec.dataset.corrections", "a/../../b", "must be relative"),
    ("spec.dataset.corrections", "", "at least 1 chars"),
    (SLICING, {"aimMinSeconds": 9, "aimMaxSeconds": 8}, "slicing.aimMinSeconds must be at most aimMaxSeconds"),
    (SLICING, {"aimMaxSeconds": 20, "maxSeconds": 15}, "slicing.aimMaxSeconds must be at most maxSeconds"),
    (SLICING, {"aimMinSeconds": 20, "maxSeconds": 15}, "slicing.aimMinSeconds must be at most maxSeconds"),
    (SLICING, {"minSeconds": 5, "aimMinSeconds": 4}, "slicing.minSeconds must be at most aimMinSeconds"),
    (SLICING, {"minSeconds": 9, "aimMaxSeconds": 8}, "slicing.minSeconds must be at most aimMaxSeconds"),
    (SLICING, {"minSeconds": 9, "maxSeconds": 8}, "slicing.minSeconds must be at most maxSeconds"),
    (SLICING, {"maxSeconds": 31}, "less than or equal to 30"),
    (SLICING, {"minSeconds": 0}, "greater than or equal to 1"),
    (JUDGING, {"minGrade": "D"}, "Unsupported value"),
    (JUDGING, {"minConfidence": "1.1"}, "should match"),
    (JUDGING, {"minDnsmos": "5.1"}, "should match"),
    (JUDGING, {"minSnrDb": "-3"}, "should match"),
    (JUDGING, {"maxSyllablesPerSecond": "21"}, "should match"),
    (JUDGING, {"minSyllablesPerSecond": "12"}, "judging.minSyllablesPerSecond must be less than"),
    (JUDGING, {"minDnsmos": 2}, "must be of type string"),
    ("spec.review", "yes", "must be of type boolean"),
    ("spec.model.sources", {"secondRecogniser": "bundled"}, "should match"),
    ("spec.model.sources", {"aligner": "store:../a"}, "must not contain '..'"),
    ("spec.model.preset", "huge", "Unsupported value"),
    ("spec.model.sources", {"recogniser": "whisper-base"}, "should match"),
    ("spec.model.sources", {"recogniser": "store:/etc"}, "should match"),
    ("spec.model.sources", {"recogniser": "bundled"}, "should match"),
    ("spec.model.sources", {"style": "store:a/../../b"}, "must not contain '..'"),
    ("spec.model.sources", {"wavlm": "bundled"}, "should match"),
    ("spec.model.sources", {"polyphone": "g2pw"}, "should match"),
    ("spec.model.sources", {"polyphone": "store:../g2pw"}, "must not contain '..'"),
    ("spec.model.sources", {"speakerEmbedding": "ecapa"}, "should match"),
    ("spec.text.lexicon", {"重庆": "chong qing"}, "should match"),
    ("spec.text.lexicon", {"重庆": "chóng2 qing4"}, "should match"),
    ("spec.text.lexicon", {"重庆": ""}, "at least 2 chars"),
    ("spec.text.lexicon", {"重庆": "chong2  qing4"}, "should match"),
    ("spec.text.lexicon", {" 重庆": "chong2 qing4"}, "words of 1 to 20 characters"),
    ("spec.text.lexicon", {"重庆\n": "chong2 qing4"}, "words of 1 to 20 characters"),
    ("spec.text.lexicon", {"": "a1"}, "words of 1 to 20 characters"),
    ("spec.text.lexicon", {"行[hang2]": "hang2"}, "words of 1 to 20 characters"),
    ("spec.text.lexicon", {"字" * 21: "zi4"}, "words of 1 to 20 characters"),
    ("spec.text.lexicon", {f"词{number}": "ci2" for number in range(257)}, "at most 256 items"),
    (INIT, {"from": "Base"}, "Unsupported value"),
    (INIT, {"from": "Pretrained"}, "pretrained must be given when from is Pretrained"),
    (INIT, {"pretrained": {"source": "store:base"}}, "pretrained must be given when from is Pretrained"),
    (INIT, {"from": "VoiceModel"}, "voiceModel must be given when from is VoiceModel"),
    (INIT, {"voiceModel": {"name": "a", "step": 1}}, "voiceModel must be given when from is VoiceModel"),
    (INIT, {"from": "Pretrained", "pretrained": {"source": "none"}}, "should match"),
    (INIT, {"from": "Pretrained", "pretrained": {"source": "store:a/../b"}}, "must not contain '..'"),
    (INIT, {"from": "Pretrained", "pretrained": {"source": "store:a", "fresh": ["Text"]}}, "Unsupported value"),
    (INIT, {"from": "VoiceModel", "voiceModel": {"name": "other/khazix", "step": 1}}, "should match"),
    (INIT, {"from": "VoiceModel", "voiceModel": {"name": "khazix", "step": 0}}, "greater than or equal to 1"),
    ("spec.training.workers", 0, "greater than or equal to 1"),
    ("spec.training.workers", 65, "less than or equal to 64"),
    ("spec.training.ranks", 2, "training.ranks is for training on CPUs"),
    ("spec.training", {"ranks": 2}, "training.ranks is for training on CPUs"),
    ("spec.training", {"ranks": 0, "placement": {"gpu": {"count": 0}}}, "greater than or equal to 1"),
    ("spec.training.weights", {"mel": "1001"}, "a weight is at most 1000"),
    ("spec.training.weights", {"mel": "-1"}, "should match"),
    ("spec.training.weights", {"mell": "1"}, 'unknown field "spec.training.weights.mell"'),
    ("spec.training.durationDiscriminator", "Maybe", "Unsupported value"),
    ("spec.training.freeze", ["Everything"], "Unsupported value"),
    ("spec.training.freeze", ["Style", "Style"], "Duplicate value"),
    ("spec.training.emaDecay", "1.0", "should match"),
    ("spec.training.emaDecay", "0.0", "should match"),
    ("spec.training.textFeatureDropout", "1.1", "should match"),
    ("spec.training.styleDropout", ".5", "should match"),
    ("spec.training.maxSteps", 200_001, "at most 200, so that status can list every step"),
    ("spec.training.maxSteps", 0, "greater than or equal to 1"),
    ("spec.training.learningRate", "0.0", "should match"),
    ("spec.training.resources", {"limits": {"nvidia.com/gpu": 1}}, "GPUs are set in placement.gpu"),
    ("spec.training.resources", {"limits": {"memory": "4 GB"}}, "should match"),
    ("spec.training.placement.gpu", {"resourceName": "nvidia.com/mig-1g.10gb", "count": 2}, "count must be at most 1"),
    ("spec.training.terminationGracePeriodSeconds", 5, "greater than or equal to 10"),
    ("spec.audition.texts", [{"name": "a", "text": "好", "speaker": "Nobody"}], "only speakers that are listed"),
    ("spec.serving.replicas", -1, "greater than or equal to 0"),
    ("spec.serving.precision", "bf16", "Unsupported value"),
    ("spec.promotedStep", 0, "greater than or equal to 1"),
    ("spec.promotedStepp", 1, 'unknown field "spec.promotedStepp"'),
]
OPTIONS_FROZEN = "emaDecay, textFeatureDropout and styleDropout are frozen since training has begun"
FROZEN = [
    ({"dataset": {"source": {"s3": {"prefix": "other/"}}}}, "spec.dataset is frozen"),
    ({"speakers": [{"name": "Other"}]}, "spec.speakers is frozen"),
    ({"model": {"preset": "tiny"}}, "spec.model is frozen"),
    ({"training": {"seed": 1}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"batchFrames": 1000}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"learningRate": "0.0001"}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"precision": "BF16"}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"training": {"profile": "as-original"}}, "seed, precision, profile, learningRate and batchFrames are frozen"),
    ({"dataset": {"slicing": {"maxSeconds": 20}}}, "spec.dataset is frozen"),
    ({"dataset": {"judging": {"minGrade": "A"}}}, "spec.dataset is frozen"),
    ({"model": {"sources": {"wavlm": "none"}}}, "spec.model is frozen"),
    ({"training": {"workers": 2}}, OPTIONS_FROZEN),
    ({"training": {"weights": {"mel": "10"}}}, OPTIONS_FROZEN),
    ({"training": {"durationDiscriminator": "On"}}, OPTIONS_FROZEN),
    ({"training": {"freeze": ["Style"]}}, OPTIONS_FROZEN),
    ({"training": {"emaDecay": "0.99"}}, OPTIONS_FROZEN),
    ({"training": {"textFeatureDropout": "0"}}, OPTIONS_FROZEN),
    ({"training": {"styleDropout": "0.2"}}, OPTIONS_FROZEN),
]
ALWAYS_FREE = [
    {"suspend": True},
    {"review": True},
    {"training": {"maxSteps": 30000}},
    {"training": {"checkpoint": {"intervalSteps": 500}}},
    {"training": {"placement": {"gpu": {"count": 2}}}},
    {"training": {"placement": {"gpu": {"count": 0}}, "ranks": 2}},
    {"text": {"lexicon": {"重庆": "chong2 qing4"}}},
    {"serving": {"replicas": 3}},
    {"serving": {"precision": "BF16"}},
    {"audition": {"texts": []}},
]


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: str(path.name))
def test_every_example_is_accepted(offer: Offer, example: pathlib.Path) -> None:
    assert offer(yaml.safe_load(example.read_text())) == ""


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_a_voice_model_may_say(offer: Offer, change: Change, voice_model: Document, path: str, value: Any) -> None:
    assert offer(change(voice_model, path, value)) == ""


@pytest.mark.parametrize(("path", "value", "why"), REFUSED)
def test_a_voice_model_is_refused_with_the_reason(
    offer: Offer, change: Change, voice_model: Document, path: str, value: Any, why: str
) -> None:
    assert why in offer(change(voice_model, path, value))


def test_promoting_a_step_that_is_not_listed_is_refused_with_our_sentence(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    sentence = "promotedStep must be the step of a checkpoint listed in status.checkpoints"
    assert sentence in voice.patch({"spec": {"promotedStep": 99}})
    assert voice.patch({"status": {"checkpoints": [CHECKPOINT]}}, "status") == ""
    assert sentence in voice.patch({"spec": {"promotedStep": 99}})
    assert voice.patch({"spec": {"promotedStep": 1000}}) == ""


def test_a_promoted_step_that_leaves_the_list_blocks_no_status_write(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"checkpoints": [CHECKPOINT]}}, "status") == ""
    assert voice.patch({"spec": {"promotedStep": 1000}}) == ""
    assert voice.patch({"status": {"checkpoints": []}}, "status") == ""
    assert voice.patch({"spec": {"serving": {"replicas": 2}}}) == ""
    assert voice.patch({"spec": {"promotedStep": None}}) == ""


def test_a_voice_created_with_a_step_waits_and_is_not_refused(
    keep: Keep, change: Change, voice_model: Document
) -> None:
    voice = keep(change(voice_model, "spec.promotedStep", 12000))
    assert voice.patch({"status": {"latestStep": 1}}, "status") == ""


@pytest.mark.parametrize(("patch", "why"), FROZEN)
def test_inputs_are_frozen_once_training_has_begun(
    keep: Keep, voice_model: Document, patch: Document, why: str
) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"training": {"startTime": "2026-01-01T00:00:00Z"}}}, "status") == ""
    assert why in voice.patch({"spec": patch})


@pytest.mark.parametrize("patch", [patch for patch, _ in FROZEN])
def test_inputs_are_free_before_training_has_begun(keep: Keep, voice_model: Document, patch: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"training": {"attempt": 1}}}, "status") == ""
    assert voice.patch({"spec": patch}) == ""


@pytest.mark.parametrize("patch", ALWAYS_FREE)
def test_the_rest_may_change_at_any_time(keep: Keep, voice_model: Document, patch: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"status": {"training": {"startTime": "2026-01-01T00:00:00Z"}}}, "status") == ""
    assert voice.patch({"spec": patch}) == ""


def test_max_steps_may_only_grow(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    assert voice.patch({"spec": {"training": {"maxSteps": 20001}}}) == ""
    assert "training.maxSteps may only grow" in voice.patch({"spec": {"training": {"maxSteps": 20000}}})


@pytest.mark.parametrize("first", [None, {"from": "VoiceModel", "voiceModel": {"name": "khazix", "step": 1000}}])
def test_what_the_weights_begin_with_cannot_be_changed(
    keep: Keep, change: Change, voice_model: Document, first: Document | None
) -> None:
    voice = keep(change(voice_model, INIT, first) if first is not None else voice_model)
    for patch in (
        {"from": "VoiceModel", "voiceModel": {"name": "khazix", "step": 2000}},
        {"from": "Pretrained", "pretrained": {"source": "store:base"}, "voiceModel": None},
    ):
        assert "training.init cannot be changed" in voice.patch({"spec": {"training": {"init": patch}}})
    assert voice.patch({"spec": {"training": {"maxSteps": 20001}}}) == ""


def test_ranks_are_refused_beside_gpus_later_too(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    assert "training.ranks is for training on CPUs" in voice.patch({"spec": {"training": {"ranks": 2}}})
    assert voice.patch({"spec": {"training": {"ranks": 2, "placement": {"gpu": {"count": 0}}}}}) == ""
    assert "training.ranks" in voice.patch({"spec": {"training": {"placement": {"gpu": {"count": 1}}}}})


def test_kubectl_scale_works_on_a_voice_that_says_nothing_of_replicas(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    selector = "kelong.dev/owner=khazix"
    serving = {"replicas": 0, "readyReplicas": 0, "updatedReplicas": 0, "selector": selector}
    assert voice.patch({"status": {"serving": serving}}, "status") == ""
    voice.kubectl("scale", voice.name, "--replicas=3")
    assert voice.kubectl("get", voice.name, "-o=jsonpath={.spec.serving.replicas}") == "3"
    scale = voice.kubectl("get", voice.name, "--subresource=scale", "-o=jsonpath={.spec.replicas} {.status.selector}")
    assert scale == f"3 {selector}"


def test_the_columns_show_status_step_and_promotion(keep: Keep, voice_model: Document) -> None:
    voice = keep(voice_model)
    ready = {"type": "Ready", "status": "False", "reason": "Training", "message": ""}
    ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    training = {"currentStep": 4200, "device": "NVIDIA-GeForce-RTX-4090", "nodeName": "gpu-1"}
    assert voice.patch({"status": {"conditions": [ready], "training": training, "bestStep": 3000}}, "status") == ""
    heading, row = voice.kubectl("get", "vmodel", "-o=wide").splitlines()
    assert heading.split() == ["NAME", "STATUS", "STEP", "MAX", "PROMOTED", "READY", "BEST", "GPU", "NODE", "AGE"]
    assert row.split()[:7] == ["khazix", "Training", "4200", "20000", "3000", "NVIDIA-GeForce-RTX-4090", "gpu-1"]
    assert voice.kubectl("get", "voice", "-o=name").strip() == "voicemodel.kelong.dev/khazix"
