"""Losses that leave their best level for good end training; those that fall, wander or spike do not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from kelong_trainer.training import step, trend


def follow(mel: Callable[[int], float], divergence: Callable[[int], float], steps: int = 4000) -> int:
    """Go through so many steps; how many were gone."""
    course, noise = trend.Trend(), random.Random(1)
    for number in range(1, steps + 1):
        wander = math.exp(noise.gauss(0, 0.2))
        try:
            course.follow({"mel": mel(number) * wander, "divergence": divergence(number) * wander, "other": 1e9})
        except step.Diverged:
            return number
    return steps


def falls(number: int) -> float:
    return 0.5 + 5 * math.exp(-number / 300)


def test_a_training_that_learns_goes_on() -> None:
    assert follow(falls, lambda number: 2 + 500 * math.exp(-number / 100)) == 4000


def test_single_bad_steps_end_nothing() -> None:
    assert follow(lambda number: falls(number) * (50 if number % 9 == 0 else 1), lambda _: 2.0) == 4000


@pytest.mark.parametrize("lost_from", [2000, 3050])
def test_a_voice_that_is_lost_ends_training_soon(lost_from: int) -> None:
    ended = follow(lambda number: falls(number) * (3 if number > lost_from else 1), lambda _: 2.0)
    assert lost_from < ended <= lost_from + 2 * trend.WINDOW_STEPS


def test_a_text_that_no_longer_fits_its_sound_ends_training() -> None:
    ended = follow(falls, lambda number: 2 * math.exp(max(0, number - 2000) / 100))
    assert 2000 < ended < 3000


def test_it_is_said_from_where_to_where_the_loss_rose() -> None:
    course = trend.Trend(begun_after=1000)
    said = r"the loss mel has risen from 0\.5 \(until step 1200\) to 2, medians over 200 steps"
    with pytest.raises(step.Diverged, match=said) as raised:
        for number in range(400):
            course.follow({"mel": 0.5 if number < 200 else 2.0, "divergence": 1.0})
    assert raised.value.good_until == 1200


def test_the_last_good_step_is_the_end_of_the_best_window_not_the_newest() -> None:
    course = trend.Trend()
    with pytest.raises(step.Diverged) as raised:
        for number in range(3000):
            course.follow({"mel": 1.0 if number < 800 else 1.0 + (number - 800) / 1000, "divergence": 1.0})
    assert raised.value.good_until == 200  # the first of those that were equally good
