"""A step that never ends ends the process; waiting between steps does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from kelong_trainer.training import watchdog

LIMITS = watchdog.Limits(factor=10, least_s=60, first_s=300, first_steps=2)


class Clock:
    """Time that passes when told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watching(clock: Clock, said: list[str]) -> Iterator[watchdog.Watchdog]:
    made = watchdog.Watchdog(said.append, LIMITS, clock=clock, look_every_s=3600)
    yield made
    made.close()


def take(watching: watchdog.Watchdog, clock: Clock, seconds: float, times: int = 1) -> None:
    for _ in range(times):
        with watching.step():
            clock.now_s += seconds
            watching.look()


def test_first_steps_may_take_long(watching: watchdog.Watchdog, clock: Clock, said: list[str]) -> None:
    take(watching, clock, 299, times=2)
    assert said == []
    take(watching, clock, 10)
    assert watching.limit_s() == pytest.approx(2990)


def test_a_step_of_ten_times_the_usual_length_is_stuck(
    watching: watchdog.Watchdog, clock: Clock, said: list[str]
) -> None:
    take(watching, clock, 20, times=5)
    take(watching, clock, 199)
    assert said == []
    take(watching, clock, 201)
    assert said == ["a training step has taken 201 s, which is more than 200 s"]


def test_short_steps_may_stall_for_the_least_time(watching: watchdog.Watchdog, clock: Clock, said: list[str]) -> None:
    take(watching, clock, 0.1, times=9)
    take(watching, clock, 59)
    assert said == []
    take(watching, clock, 61)
    assert len(said) == 1


def test_what_lies_between_steps_does_not_count(watching: watchdog.Watchdog, clock: Clock, said: list[str]) -> None:
    take(watching, clock, 1, times=5)
    clock.now_s += 100_000  # a checkpoint, while the store is away
    watching.look()
    take(watching, clock, 1)
    assert said == []


PROGRAM = """
import time
from kelong_trainer.training import watchdog
limits = watchdog.Limits(least_s=0.2, first_s=0.5)
with watchdog.watching("kelong-trainer", limits, look_every_s=0.05) as watching:
    with watching.step():
        def hang():
            time.sleep(60)
        hang()
"""


def test_a_stuck_process_writes_its_stacks_and_ends() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "in hang" in ended.stderr
    assert "this process ends, to go on from the last checkpoint" in ended.stderr
