"""What the outside sees: progress in the store, metrics at a port, a loss log, and silence once overtaken."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
import urllib.request
from collections.abc import Callable

import prometheus_client
import pytest
from kelong_contract import corpora, layout, manifests, metrics
from kelong_trainer import telemetry
from kelong_trainer.training import loss_log


def _telemetry(bench, superseded: Callable[[], bool] = lambda: False) -> telemetry.Telemetry:
    begun = manifests.Progress(
        attempt=1, order_digest="0", updated_at="", stage="start", device="cpu", step=0, max_steps=40
    )
    return telemetry.Telemetry(store=bench.store, place=bench.place, progress=begun, superseded=superseded)


FIGURES = telemetry.StepFigures(
    step=7,
    losses={"mel": 0.5},
    learning_rate=2e-4,
    gradient_norms={"generator": 3.0},
    steps_per_s=2.0,
    remaining_s=16.5,
)


REPORT = corpora.CorpusReport(
    digest="0",
    clips=1,
    recordings=1,
    duration_s=12.0,
    kept_s=10.0,
    speakers=(),
    dropped=(corpora.Dropped(reason="Silence", count=1, duration_s=2.0),),
)


def test_the_last_progress_is_always_written(bench) -> None:
    told = _telemetry(bench)
    told.start(0)
    with told.stage("slice", 2) as bar:
        bar.advance(2)
    told.cached_stage("phonemes")
    told.training_begins(resumed_from=6, started_at="2024-01-13T00:00:00Z")
    told.training_step(FIGURES)
    told.dataset(REPORT)
    told.close()
    progress = bench.progress()
    assert (progress.step, progress.losses, progress.resumed_from) == (7, {"mel": 0.5}, 6)
    assert (progress.learning_rate, progress.gradient_norms) == (2e-4, {"generator": 3.0})
    assert (progress.kept_s, progress.dropped_s) == (10.0, {"Silence": 2.0})
    assert progress.finished_stages == ("slice", "phonemes")
    assert progress.stage == "train"


def test_a_process_that_was_overtaken_leaves_progress_alone(bench) -> None:
    told = _telemetry(bench, superseded=lambda: True)
    told.start(0)
    told.training_step(FIGURES)
    told.close()
    assert not bench.store.exists(layout.progress(bench.place))


def test_metrics_are_served_under_the_names_of_the_contract(bench, unused_port: int) -> None:
    told = _telemetry(bench)
    told.start(unused_port)
    told.training_step(FIGURES)
    told.checkpoint_saved(0.2)
    told.dataset(REPORT)
    with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    told.close()
    voice = 'namespace="default",voice="mei"'
    assert f"{metrics.TRAINING_STEP.name}{{{voice}}} 7.0" in page
    assert f'{metrics.TRAINING_LOSS.name}{{loss="mel",{voice}}} 0.5' in page
    assert f'{metrics.DATASET_DROPPED_SECONDS.name}{{namespace="default",reason="Silence",voice="mei"}} 2.0' in page
    assert f"{metrics.CHECKPOINT_SAVES.name}{{{voice}}} 1.0" in page


def test_seconds_are_told_by_grade_and_by_reason_and_what_a_correction_emptied_is_gone(bench) -> None:
    told = _telemetry(bench)
    told.dataset(REPORT)
    graded = tuple(
        corpora.GradeTotals(grade=grade, clips=1, duration_s=seconds) for grade, seconds in (("A", 7.0), ("C", 3.0))
    )
    music = corpora.Dropped(reason="Music", count=1, duration_s=2.0)
    told.dataset(dataclasses.replace(REPORT, grades=graded, dropped=(music,)))
    page = prometheus_client.generate_latest(told.registry).decode()
    voice = 'namespace="default"'
    assert f'kelong_dataset_grade_seconds{{grade="A",{voice},voice="mei"}} 7.0' in page
    assert f'kelong_dataset_dropped_seconds{{{voice},reason="Music",voice="mei"}} 2.0' in page
    assert "Silence" not in page
    assert f'kelong_dataset_seconds{{{voice},voice="mei"}} {REPORT.duration_s}' in page
    assert f'kelong_dataset_clips{{{voice},voice="mei"}} {float(REPORT.clips)}' in page


def test_a_pod_beside_the_first_answers_scrapes_with_nothing(unused_port: int) -> None:
    telemetry.serve_nothing(0)
    telemetry.serve_nothing(unused_port)
    with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/metrics", timeout=5) as answer:
        assert (answer.status, answer.read()) == (200, b"")


def test_the_loss_log_holds_every_line_once(bench) -> None:
    key = layout.losses(bench.place, 3)
    log = loss_log.LossLog(bench.store, key, bench.folder / "3.jsonl")
    for step in range(1, 6):
        log.add(manifests.LossLine(step=step, attempt=3, losses={"mel": 1 / step}))
        if step == 2:
            log.upload()
            assert len(bench.store.get(key).splitlines()) == 2
    log.close()
    lines = [json.loads(line) for line in bench.store.get(key).splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert math.isclose(lines[2]["losses"]["mel"], 1 / 3, rel_tol=0)


def test_without_a_terminal_a_log_line_tells_how_long_the_rest_takes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = iter((0.0, 5.0, 10.0, 40.0))  # at its beginning, twice too early to say something, and late enough
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: next(passed_s, 40.0))
    caplog.set_level(logging.INFO)
    bar = telemetry.Bar("train", 100, " steps", done=60)
    bar.advance(4)
    assert not caplog.messages
    bar.advance(16, note="mel 0.50")
    assert caplog.messages == ["train 80/100 steps, 00:40 left, mel 0.50"]
    bar.advance(20)
    bar.close()
    assert caplog.messages[-1] == "train 100/100 steps"


def test_a_slow_store_does_not_slow_a_step(bench) -> None:
    class Slow(type(bench.store)):  # type: ignore[misc]
        def put(self, key: str, data: bytes, content_type: str = "") -> None:
            time.sleep(0.5)
            super().put(key, data, content_type)

    bench_progress = manifests.Progress(
        attempt=1, order_digest="0", updated_at="", stage="start", device="cpu", step=0, max_steps=40
    )
    told = telemetry.Telemetry(store=Slow(bench.store.root), place=bench.place, progress=bench_progress)
    told.start(0)
    started = time.monotonic()
    for _ in range(200):
        told.training_step(FIGURES)
    assert time.monotonic() - started < 0.4
    told.close()
    assert bench.progress().step == 7
