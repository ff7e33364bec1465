"""A messy folder on a real cluster: what became of each second, a person's look at it, corrections, a voice.

Each test is a step and leans on those before it.
"""

from __future__ import annotations

import json
from typing import Any

import messy
import pytest
import story
from kelong_contract import accounts, codec, corpora, layout
from kelong_demo import speaker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

NAME = "messy"
MAX_STEPS, INTERVAL = 20, 10
CORRECTED = "今天天气很好，我们去公园走走吧。"
# Of whole files that are none, and of such as hold nobody's speech.
UNREADABLE = {"Undecodable"}
SPEECHLESS = {"Silent", "NoSpeech", "Music", "Silence"}


@pytest.fixture(scope="module")
def folder(told: story.Story) -> None:
    """The messy folder, uploaded."""
    made = told.folder / NAME
    messy.make(made, speaker.Speaker.load(told.folder / "cache"))
    for path in sorted(made.iterdir()):
        told.store.put_file(layout.recordings("default", NAME) + path.name, path)


def voice_model() -> dict[str, Any]:
    training = {"maxSteps": MAX_STEPS, "checkpoint": {"intervalSteps": INTERVAL}, "placement": {"gpu": {"count": 1}}}
    manifest = story.voice_model(NAME, training=training, review=True)
    manifest["spec"]["dataset"]["source"]["s3"] = {"prefix": f"{NAME}/"}
    return manifest


def report(told: story.Story) -> corpora.CorpusReport:
    key = layout.corpus_report(told.place(NAME))
    return codec.loads(corpora.CorpusReport, told.store.get(key), key)


def corpus(told: story.Story) -> corpora.Corpus:
    """What preprocessing left last."""
    made = told.store.list(f"{told.place(NAME).prefix}corpus/features/")
    found = max((item for item in made if item.key.endswith(".json")), key=lambda item: item.modified)
    return codec.loads(corpora.Corpus, told.store.get(found.key), found.key)


def balanced(dataset: dict[str, Any]) -> bool:
    """Whether every second is in one place."""
    kept, dropped = dataset["keptSeconds"], sum(item["durationSeconds"] for item in dataset["dropped"])
    graded = sum(item["durationSeconds"] for item in dataset["grades"])
    return bool(kept + dropped == dataset["durationSeconds"] > 0 and graded == kept > 0)


def test_a_reviewed_voice_gives_its_gpu_back_and_says_what_became_of_every_second(
    told: story.Story, folder: None
) -> None:
    told.cluster.apply(voice_model())
    told.wait(lambda: told.running_pod(NAME), "a running training pod", 180)
    condition = told.wait_for_condition(NAME, "Trained", "False", "AwaitingReview", 1200)
    dataset = told.status(NAME)["dataset"]
    assert dataset["page"] in condition["message"]
    assert b"<html" in told.store.get(dataset["page"])
    assert balanced(dataset), dataset
    assert dataset["recordings"] == len(list((told.folder / NAME).iterdir())) - 1, "readme.txt is none"
    told.wait(lambda: told.gpus_in_use() == 0, "the GPU to be free", 120)
    assert "startTime" not in told.status(NAME)["training"], "nothing is frozen before a person has looked"


def test_each_file_is_accounted_for_by_name(told: story.Story) -> None:
    prepared = corpus(told)
    became = {item.recording.rpartition("/")[2]: item for item in accounts.balance(prepared)}
    assert {path.name for path in (told.folder / NAME).iterdir()} == {*became, "readme.txt"}
    for name in messy.USABLE:
        assert became[name].kept_s > 0.5 * became[name].duration_s, became[name]
    reasons = {
        name: {item.reason for item in prepared.rejections if item.recording.endswith(f"/{name}")} for name in became
    }
    for name in messy.DECODED:
        assert became[name].duration_s > 3 and not reasons[name] & {"Undecodable", "NoSpeech", "Silent"}, reasons
    interview = became["interview.wav"]
    assert 0.3 < interview.kept_s / interview.duration_s < 0.7, "the first half is the speaker's, the second is not"
    assert interview.rejected_s["OtherSpeaker"] > 0.3 * interview.duration_s
    spoilt = {clip.grade for clip in prepared.clips if clip.recording.endswith(("/noisy.wav", "/clipped.wav"))}
    assert "A" not in spoilt
    for name in messy.UNREADABLE:
        assert reasons[name] == UNREADABLE, reasons
    for name in ("silent.wav", "music.wav"):
        assert became[name].kept_s == 0 and reasons[name] <= SPEECHLESS, reasons
    rejected = {item["recording"].rpartition("/")[2] for item in told.status(NAME)["dataset"]["rejectedRecordings"]}
    assert {*messy.UNREADABLE, "silent.wav"} <= rejected


def test_corrections_are_applied_when_the_review_ends_and_the_voice_is_trained(told: story.Story) -> None:
    before = told.status(NAME)["dataset"]
    first, second = corpus(told).clips[:2]
    lines = [{"sha256": first.sha256, "text": CORRECTED}, {"sha256": second.sha256, "keep": False}]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    told.store.put(layout.corrections(told.place(NAME)), text.encode())
    told.cluster.kubectl("patch", f"voicemodel/{NAME}", "--type=merge", "-p", '{"spec":{"review":false}}')
    told.wait_for_condition(NAME, "Trained", "True", "MaxStepsReached", 900)
    status = told.status(NAME)
    assert status["training"]["attempt"] == 2
    dataset = status["dataset"]
    assert balanced(dataset) and dataset["corrections"] == 2, dataset
    assert "Dropped" in {item["reason"] for item in dataset["dropped"]}
    assert dataset["durationSeconds"] == before["durationSeconds"] and dataset["keptSeconds"] < before["keptSeconds"]
    key = layout.corpus(told.place(NAME))
    frozen = codec.loads(corpora.Corpus, told.store.get(key), key)
    texts = {clip.sha256: clip.text for clip in frozen.clips}
    assert texts[first.sha256] == CORRECTED and second.sha256 not in texts
    assert report(told).digest == dataset["digest"] == codec.digest(frozen)
    assert [item["step"] for item in status["checkpoints"]] == [INTERVAL, MAX_STEPS]
