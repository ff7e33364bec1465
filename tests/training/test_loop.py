"""What the loop sees to around its steps: each is watched, and a training that is lost ends with good advice."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping

import pytest
from kelong_contract import codec, names, orders
from kelong_trainer.training import discriminators, state, step, trend, watchdog


def test_every_step_is_under_the_watchdog(bench, run_here, monkeypatch: pytest.MonkeyPatch) -> None:
    real, inside, steps = watchdog.Watchdog.step, [False], []
    taken = step.run

    @contextlib.contextmanager
    def watching(self: watchdog.Watchdog) -> Iterator[None]:
        with real(self):
            inside[0] = True
            yield
            inside[0] = False

    def run(*given: object) -> step.StepResult:
        steps.append(inside[0])
        return taken(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(watchdog.Watchdog, "step", watching)
    monkeypatch.setattr(step, "run", run)
    assert run_here(codec.dumps(bench.order(max_steps=2, interval_steps=2)).decode()) == names.EXIT_DONE
    assert steps == [True, True]


@pytest.mark.parametrize(
    ("good_until", "advice"),
    [
        (2, "step 2 is the last good one. Make a new VoiceModel with training.init {from: VoiceModel, voiceModel: "
            "{name: mei, step: 2}} and a training.learningRate below 0.0002"),
        (1, "step 1 is the last good one. Make a new VoiceModel with training.init {from: VoiceModel, voiceModel: "
            "{name: mei, step: 1, fresh: [Speakers, Discriminators]}} and a training.learningRate below 0.0002"),
        (0, "no step from before is saved. Make a new VoiceModel with a training.learningRate below 0.0002"),
    ],
)  # fmt: skip
def test_a_training_that_gets_lost_names_its_last_good_step_and_what_can_still_be_chosen(
    bench, run_here, monkeypatch: pytest.MonkeyPatch, good_until: int, advice: str
) -> None:
    followed: list[float] = []

    def follow(self: trend.Trend, losses: Mapping[str, float]) -> None:
        followed.append(losses["mel"])
        if len(followed) == 4:
            raise step.Diverged("the loss mel has risen", good_until=good_until)

    monkeypatch.setattr(trend.Trend, "follow", follow)
    order = bench.order(max_steps=6, interval_steps=1, learning_rate=2e-4)
    assert run_here(codec.dumps(order).decode()) == names.EXIT_BAD_DATA

    problem = bench.progress().problem
    assert problem is not None and problem.reason == "NaNLoss"
    assert problem.message == f"training diverged after step 4: the loss mel has risen; {advice}"
    assert bench.steps() == [1, 2, 3]


def test_a_voice_that_begins_trained_is_judged_from_its_first_step_and_when_resumed(
    bench, run_here, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    late = dataclasses.replace(discriminators.preset("tiny"), from_step=2)
    monkeypatch.setitem(discriminators._SIZES, "tiny", late)
    with caplog.at_level(logging.INFO):
        assert run_here(codec.dumps(bench.order(max_steps=2, interval_steps=2)).decode()) == names.EXIT_DONE
    assert ["adversarial" in line.losses for line in bench.losses(1)] == [False, True]
    assert "from step 2 on, judges hear what is spoken" in caplog.text

    heir = dataclasses.replace(bench, voice=orders.VoiceName(namespace="default", name="heir", uid="2"))
    for name in (f"corpus/clips/{clip.sha256}.flac" for clip in bench.corpus().clips):
        bench.store.put(heir.place.prefix + name, bench.store.get(bench.place.prefix + name))
    bench.store.put(heir.place.prefix + "corpus/corpus.json", codec.dumps(bench.corpus()))
    begins = orders.Init(type="VoiceModel", voice_model=orders.OtherVoice(voice=bench.voice, step=2))
    for last in (1, 2):
        order = dataclasses.replace(heir.order(max_steps=last, interval_steps=1), init=begins)
        assert run_here(codec.dumps(order).decode()) == names.EXIT_DONE
        [line] = heir.losses(last)
        assert line.step == last and "adversarial" in line.losses
    facts = codec.loads(state.Facts, bench.store.get(heir.manifest(2).file(state.STATE).key), "state.json")
    assert facts.begun_trained
