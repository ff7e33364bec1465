"""Training stops and goes on as if it had not: the same losses, to the last bit, and nothing lost or doubled."""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kelong_contract import codec, layout, manifests, names, presets
from kelong_trainer import lease
from kelong_trainer.training import beginning, loss_log, state
from kelong_trainer.training import step as steps


def wait_for(happened: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_run_that_was_stopped_and_resumed_has_the_losses_of_one_that_was_not(new_bench: Callable[[str], Any]) -> None:
    whole, broken = new_bench("whole"), new_bench("broken")
    unbroken = whole.start(whole.order(max_steps=10, interval_steps=4))

    process = broken.start(broken.order(max_steps=10, interval_steps=4))
    wait_for(lambda: broken.steps() == [4], 300)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)

    assert process.returncode == names.EXIT_SAVED, errors
    stopped_at = broken.steps()[-1]
    assert 4 <= stopped_at < 10, "it went on after SIGTERM"
    assert broken.manifest(stopped_at).listed == (stopped_at % 4 == 0)
    assert [line.step for line in broken.losses(1)] == list(range(1, stopped_at + 1))

    code, errors = broken.run(broken.order(max_steps=10, interval_steps=4))
    assert code == names.EXIT_DONE, errors
    assert [line.step for line in broken.losses(2)] == list(range(stopped_at + 1, 11))
    assert broken.progress().resumed_from == stopped_at
    assert broken.progress().stage == "done"
    assert broken.progress().started_at is not None

    assert unbroken.wait(timeout=300) == names.EXIT_DONE
    expected = {line.step: line.losses for line in whole.losses(1)}
    assert {line.step: line.losses for line in (*broken.losses(1), *broken.losses(2))} == expected

    ours, theirs = broken.manifest(10), whole.manifest(10)
    for name in ("generator.safetensors", "discriminators.safetensors", "optimiser.safetensors"):
        assert ours.file(name).sha256 == theirs.file(name).sha256, name

    # What was left unheard when it stopped was heard after the resume, from the very files of its step.
    for step in (4, 8, 10):
        key = layout.audition_report(broken.place, step)
        report = codec.loads(manifests.AuditionReport, broken.store.get(key), key)
        assert [len(report.auditions) + len(report.failures), report.step] == [1, step]
        if report.attempt == 1:
            assert step <= stopped_at


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("threads", 1, 2),
        ("ranks", 1, 2),
        ("cpu", "one", "another"),
        ("torch_version", "2.14.1", "2.14.2"),
        ("precision", "FP32", "BF16"),
    ],
)
def test_a_resume_that_cannot_repeat_the_very_numbers_says_what_is_not_as_before(
    caplog: pytest.LogCaptureFixture, name: str, before: object, now: object
) -> None:
    usual = {"threads": 1, "ranks": 1, "cpu": "one", "torch_version": "2.14.1", "precision": "FP32"}
    usual |= {"step": 1, "epoch": 0, "batch": 1, "batch_frames": 3000, "seed": 42, "device": "cpu"}
    then = state.Facts(**usual | {name: before}, learning_rate=2e-4, started_at="")  # type: ignore[arg-type]
    beginning.compare(then, then)
    assert not caplog.messages
    beginning.compare(then, dataclasses.replace(then, **{name: now}))  # type: ignore[arg-type]
    [said] = caplog.messages
    assert said.startswith(f"{name.replace('_', ' ')} was {before} and is {now} now: the losses will differ slightly")


def test_a_process_that_is_killed_leaves_the_losses_of_every_step_that_is_saved(
    bench, run_here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_log, "UPLOAD_INTERVAL_S", 1000.0)
    saved: dict[int, list[int]] = {}  # a step and the losses in the store as it comes to exist: a kill may come then
    commit = lease.Lease.commit

    def look(self: lease.Lease, key: str, data: bytes) -> bool:
        step = layout.checkpoint_step(bench.place, key)
        assert step is not None
        saved[step] = [line.step for line in bench.losses(1)]
        return commit(self, key, data)

    monkeypatch.setattr(lease.Lease, "commit", look)
    assert run_here(codec.dumps(bench.order(max_steps=4, interval_steps=2)).decode()) == names.EXIT_DONE
    assert saved[2][:2] == [1, 2]
    assert saved[4] == [1, 2, 3, 4]


def test_a_tiny_voice_is_trained_on_one_thread_however_many_there_are(bench, run_here, monkeypatch) -> None:
    monkeypatch.setenv(names.ENV_THREADS, "2")
    used: list[int] = []
    run = steps.run
    monkeypatch.setattr(steps, "run", lambda *given: used.append(torch.get_num_threads()) or run(*given))

    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE

    assert used == [1]
    facts = json.loads(bench.store.get(bench.manifest(1).file("state.json").key))
    assert facts["threads"] == 1


def test_a_voice_goes_on_with_the_batches_it_began_with_whatever_the_default_is_now(
    bench, new_bench: Callable[[str], Any], here, run_here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(max_steps: int) -> None:
        order = bench.order(max_steps=max_steps, interval_steps=max_steps, batch_frames=None)
        assert run_here(codec.dumps(order).decode()) == names.EXIT_DONE

    train(1)
    monkeypatch.setitem(presets.DEFAULTS, "tiny", presets.Defaults(batch_frames=200))
    train(2)

    monkeypatch.undo()
    whole = new_bench("whole")
    here(whole)
    train(2)
    assert bench.losses(2) == [dataclasses.replace(line, attempt=2) for line in whole.losses(1) if line.step == 2]
