"""Messy recordings on a real cluster: what became of each second, a person's look at it, corrections, a voice.

A folder of the store, an archive at an address and a volume are prepared side by side; the first becomes a voice. Each
test is a step and leans on those before it.
"""

from __future__ import annotations

import collections
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import messy
import pytest
import shelf
import story
from kelong_contract import accounts, codec, corpora, layout, store
from kelong_demo import speaker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

NAME, ARCHIVED, TAPED = "messy", "archived", "taped"
MAX_STEPS, INTERVAL = 20, 10
CORRECTED = "今天天气很好，我们去公园走走吧。"
# Of whole files that hold nobody's speech.
SPEECHLESS = {"Silent", "NoSpeech", "Music", "Silence"}


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Brought:
    """The recordings, and where the cluster finds those that are not in the store."""

    made: messy.Material
    url: str
    claim: str


@pytest.fixture(scope="module")
def brought(told: story.Story) -> Iterator[Brought]:
    """The messy folder in the store, the archive at an address, the tapes on a volume."""
    made = messy.make(told.folder, speaker.Speaker.load(told.folder / "cache"))
    for name in made.names():
        told.store.put_file(layout.recordings("default", NAME) + name, made.folder / name)
    with (
        shelf.served(told.cluster, "shelf", made.archive) as url,
        shelf.kept(told.cluster, "tapes", made.volume, told.folder / "disk") as claim,
    ):
        yield Brought(made=made, url=url, claim=claim)


def voice_model(name: str, gpus: int, **dataset: Any) -> dict[str, Any]:
    """A voice that waits for a person's look."""
    training = {"maxSteps": MAX_STEPS, "checkpoint": {"intervalSteps": INTERVAL}, "placement": {"gpu": {"count": gpus}}}
    manifest = story.voice_model(name, training=training, review=True)
    manifest["spec"]["dataset"] = dataset
    return manifest


def corpus(told: story.Story, name: str) -> corpora.Corpus:
    """What preprocessing left last."""
    made = told.store.list(f"{told.place(name).prefix}corpus/features/")
    found = max((item for item in made if item.key.endswith(".json")), key=lambda item: item.modified)
    return read(told, corpora.Corpus, found.key)


def read(told: story.Story, kind: type[T], key: str) -> T:
    """A document of the store."""
    return codec.loads(kind, told.store.get(key), key)


def became_of(told: story.Story, name: str, root: str = "") -> dict[str, accounts.Account]:
    """What became of each recording, by its name below a root; nothing is nowhere, and nothing in two places."""
    return {item.recording.removeprefix(root): item for item in accounts.balance(corpus(told, name))}


def reasons_of(prepared: corpora.Corpus, root: str = "") -> dict[str, set[str]]:
    """Why not all of a recording is trained on, by its name below a root."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for item in prepared.rejections:
        found[item.recording.removeprefix(root)].add(item.reason)
    return found


def assert_status_tells_every_second(told: story.Story, name: str) -> None:
    """Status adds up to the second, and its whole seconds are those of the corpus, reason by reason."""
    dataset, prepared = told.status(name)["dataset"], corpus(told, name)
    dropped = {item["reason"]: item["durationSeconds"] for item in dataset["dropped"]}
    grades = {item["grade"]: item["durationSeconds"] for item in dataset["grades"]}
    assert dataset["keptSeconds"] + sum(dropped.values()) == dataset["durationSeconds"] > 0, dataset
    assert sum(grades.values()) == dataset["keptSeconds"] > 0, dataset
    assert sum(item["durationSeconds"] for item in dataset["speakers"]) == dataset["keptSeconds"], dataset
    assert dataset["recordings"] == len(prepared.recordings)
    trained = [clip for clip in prepared.clips if clip.sha256 not in prepared.held_out]
    assert dataset["clips"] == len(trained)
    assert_whole_seconds(dataset["durationSeconds"], sum(item.duration_s for item in prepared.recordings))
    assert_whole_seconds(dataset["keptSeconds"], sum(clip.duration_s for clip in trained))
    spared = [clip for clip in prepared.clips if clip.sha256 in prepared.held_out]
    assert_all_whole_seconds(
        dropped, [(item.reason, item) for item in prepared.rejections] + [("HeldOut", item) for item in spared]
    )
    assert_all_whole_seconds(grades, [(str(clip.grade), clip) for clip in trained])


def assert_all_whole_seconds(
    told: Mapping[str, int], parts: list[tuple[str, corpora.Clip | corpora.Rejection]]
) -> None:
    """Each figure is the sum of its parts, and no part has none."""
    exact: dict[str, float] = collections.defaultdict(float)
    for kind, part in parts:
        exact[kind] += part.duration_s
    assert told.keys() == exact.keys()
    for kind, seconds in told.items():
        assert_whole_seconds(seconds, exact[kind])


def assert_whole_seconds(told: int, exact_s: float) -> None:
    """Rounded, up or down, so that the sum comes out right."""
    assert abs(told - exact_s) < 1, f"status says {told} s, the corpus holds {exact_s:.2f} s"


def test_an_archive_with_another_content_than_was_ordered_is_refused_by_both_digests(
    told: story.Story, brought: Brought
) -> None:
    """The other two are ordered here as well: all three are prepared while the next tests wait."""
    wrong, right = "0" * 64, store.digest_file(brought.made.archive)
    source = {"type": "HTTP", "http": {"url": brought.url, "sha256": wrong, "prefix": "set/"}}
    archived = voice_model(ARCHIVED, 0, source=source, format="EsdList", manifest="esd.list")
    claim = {"claimName": brought.claim, "subPath": "tapes"}
    source = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": claim}
    taped = voice_model(TAPED, 0, source=source, format="ManifestJSONL", manifest="list.jsonl")
    told.cluster.apply(archived, taped, voice_model(NAME, 1, source={"type": "S3", "s3": {"prefix": f"{NAME}/"}}))
    condition = told.wait_for_condition(ARCHIVED, "DatasetReady", "False", "ChecksumMismatch", 300)
    assert wrong in condition["message"] and right in condition["message"]
    archived["spec"]["dataset"]["source"]["http"]["sha256"] = right
    told.cluster.apply(archived)


def test_a_reviewed_voice_gives_its_gpu_back_and_says_what_became_of_every_second(
    told: story.Story, brought: Brought
) -> None:
    condition = told.wait_for_condition(NAME, "Trained", "False", "AwaitingReview", 1200)
    dataset = told.status(NAME)["dataset"]
    assert dataset["page"] in condition["message"]
    assert b"<html" in told.store.get(dataset["page"])
    assert_status_tells_every_second(told, NAME)
    told.wait(lambda: told.gpus_in_use() == 0, "the GPU to be free", 120)
    assert "startTime" not in told.status(NAME)["training"], "nothing is frozen before a person has looked"


def test_each_file_is_accounted_for_by_name(told: story.Story, brought: Brought) -> None:
    root = layout.recordings("default", NAME)
    prepared, became = corpus(told, NAME), became_of(told, NAME, root)
    reasons = reasons_of(prepared, root)
    assert brought.made.names() == {*became, *messy.NO_RECORDINGS}
    for name in messy.USABLE:
        assert became[name].kept_s > 0.5 * became[name].duration_s, became[name]
    for name in messy.DECODED:
        assert became[name].duration_s > 2 and not reasons[name] & {"Undecodable", "NoSpeech", "Silent"}, reasons
    interview = became["interview.wav"]
    assert 0.3 < interview.kept_s / interview.duration_s < 0.7, "the first half is the speaker's, the second is not"
    assert interview.rejected_s["OtherSpeaker"] > 0.3 * interview.duration_s
    assert became["english.wav"].kept_s == 0
    assert became["english.wav"].rejected_s["OtherLanguage"] > 0.8 * became["english.wav"].duration_s
    spoilt = {clip.grade for clip in prepared.clips if clip.recording.endswith(("/noisy.wav", "/clipped.wav"))}
    assert "A" not in spoilt
    for name in messy.UNREADABLE:
        assert reasons[name] == {"Undecodable"}, reasons
    for name in messy.SPEECHLESS:
        assert became[name].kept_s == 0 and reasons[name] <= SPEECHLESS, reasons
    rejected = {item["recording"].removeprefix(root) for item in told.status(NAME)["dataset"]["rejectedRecordings"]}
    assert {*messy.UNREADABLE, "silent.wav", "english.wav"} <= rejected


def test_a_text_beside_a_cut_clip_is_its_label(told: story.Story, brought: Brought) -> None:
    text = (brought.made.folder / "clips" / "with_text.txt").read_text()
    labels = {
        clip.recording.rpartition("/")[2]: clip.text for clip in corpus(told, NAME).clips if "/clips/" in clip.recording
    }
    assert labels.keys() == {"with_text.wav", "without_text.wav"}
    assert labels["with_text.wav"] == text


def test_the_archives_list_is_the_corpus_and_its_bad_lines_are_named(told: story.Story, brought: Brought) -> None:
    told.wait_for_condition(ARCHIVED, "Trained", "False", "AwaitingReview", 900)
    assert_status_tells_every_second(told, ARCHIVED)
    with zipfile.ZipFile(brought.made.archive) as packed:
        inside = {name for name in packed.namelist() if name.startswith("set/wavs/")}
    assert became_of(told, ARCHIVED).keys() == {*inside, "set/wavs/gone.wav"}
    prepared = corpus(told, ARCHIVED)
    assert {clip.recording.removeprefix("set/"): clip.text for clip in prepared.clips} == brought.made.in_archive
    assert reasons_of(prepared, "set/wavs/") == {
        "english.wav": {"OtherLanguage"},
        "stranger.wav": {"UnknownSpeaker"},
        "broken.wav": {"Undecodable"},
        "gone.wav": {"Missing"},
    }


def test_of_the_volume_one_folder_is_read_and_what_no_line_names_is_told(told: story.Story, brought: Brought) -> None:
    told.wait_for_condition(TAPED, "Trained", "False", "AwaitingReview", 900)
    assert_status_tells_every_second(told, TAPED)
    prepared = corpus(told, TAPED)
    assert {clip.recording: clip.text for clip in prepared.clips} == brought.made.on_volume
    assert reasons_of(prepared) == {
        "0.flac#rest": {"NotListed"},
        "1.flac#rest": {"NotListed"},
        "gone.flac": {"Missing"},
    }
    told.wait(lambda: not told.training_pods(TAPED), "the volume to be let go of", 120)


def test_corrections_are_applied_when_the_review_ends_and_the_voice_is_trained(told: story.Story) -> None:
    before = told.status(NAME)["dataset"]
    first, second = corpus(told, NAME).clips[:2]
    lines = [{"sha256": first.sha256, "text": CORRECTED}, {"sha256": second.sha256, "keep": False}]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    told.store.put(layout.corrections(told.place(NAME)), text.encode())
    told.cluster.kubectl("patch", f"voicemodel/{NAME}", "--type=merge", "-p", '{"spec":{"review":false}}')
    told.wait_for_condition(NAME, "Trained", "True", "MaxStepsReached", 900)
    status = told.status(NAME)
    assert status["training"]["attempt"] == 2
    dataset = status["dataset"]
    assert_status_tells_every_second(told, NAME)
    assert dataset["corrections"] == 2, dataset
    assert "Dropped" in {item["reason"] for item in dataset["dropped"]}
    assert dataset["durationSeconds"] == before["durationSeconds"] and dataset["keptSeconds"] < before["keptSeconds"]
    frozen = read(told, corpora.Corpus, layout.corpus(told.place(NAME)))
    texts = {clip.sha256: clip.text for clip in frozen.clips}
    assert texts[first.sha256] == CORRECTED and second.sha256 not in texts
    report = read(told, corpora.CorpusReport, layout.corpus_report(told.place(NAME)))
    assert report.digest == dataset["digest"] == codec.digest(frozen)
    assert [item["step"] for item in status["checkpoints"]] == [INTERVAL, MAX_STEPS]
