"""A review at a real API server: the Job rests, status says what became of the recordings, the edit goes on."""

from __future__ import annotations

from typing import Any

from kelong_contract import codec, corpora, layout

REPORT = corpora.CorpusReport(
    digest="d" * 64,
    clips=2,
    recordings=3,
    duration_s=30.6,
    kept_s=20.3,
    speakers=(corpora.SpeakerTotals(name="Khazix", id=0, clips=2, duration_s=20.3),),
    dropped=(
        corpora.Dropped(reason="Silence", count=4, duration_s=5.2),
        corpora.Dropped(reason="OtherSpeaker", count=1, duration_s=5.1),
    ),
    grades=(
        corpora.GradeTotals(grade="A", clips=1, duration_s=12.2),
        corpora.GradeTotals(grade="B", clips=1, duration_s=8.1),
    ),
    advice=("5 seconds are another speaker's: remove interview_03.wav",),
    corrections=1,
)


def test_a_reviewed_voice_rests_shows_its_recordings_and_trains_when_told(
    cluster: Any, operator: Any, voice: dict[str, Any], trainer: Any
) -> None:
    voice["spec"]["review"] = True
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("configmap", "khazix-train-1-order"), "the order")
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    order = trainer.order()
    assert order.review is True
    place = order.voice.place()
    page = layout.corpus_page(place)
    report = codec.dumps(REPORT).replace(b'"page": ""', f'"page": "{page}"'.encode())
    trainer.kept.put(layout.corpus_report(place), report)
    trainer.says(0, stage="review", started_at=None, pod="khazix-train-1-x7f2p")

    told = cluster.eventually_says("voicemodel", "khazix", "Trained", "AwaitingReview")
    assert page in told["message"]
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1")["spec"]["suspend"], "the Job to rest")
    assert cluster.kubectl("get", "voicemodels").splitlines()[1].split()[:2] == ["khazix", "AwaitingReview"]
    dataset = cluster.get("voicemodel", "khazix")["status"]["dataset"]
    kept, dropped = dataset["keptSeconds"], sum(item["durationSeconds"] for item in dataset["dropped"])
    assert kept + dropped == dataset["durationSeconds"] == 31
    assert [(item["grade"], item["clips"]) for item in dataset["grades"]] == [("A", 1), ("B", 1)]
    assert (dataset["page"], dataset["corrections"]) == (page, 1)
    assert dataset["advice"] == list(REPORT.advice)

    cluster.kubectl("patch", "vmodel", "khazix", "--type=merge", '-p={"spec":{"review":false}}')
    cluster.eventually(lambda: cluster.get("job", "khazix-train-2"), "the next attempt")
    assert cluster.get("job", "khazix-train-1") is None
    assert trainer.order(2).review is False
    reasons = {event["reason"] for event in cluster.all("events")}
    assert {"DatasetPrepared", "CorpusAwaitsReview"} <= reasons
