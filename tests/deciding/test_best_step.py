"""What the judges say of a step, in status, and which step is best by it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from kelong_contract import manifests, resources
from kelong_operator import ranking, views

Figures = manifests.Figures


def listed(step: int, **figures: str) -> resources.CheckpointStatus:
    metrics = tuple(resources.FigureStatus(name=name, value=value) for name, value in figures.items())
    return resources.CheckpointStatus(
        step=step, attempt=1, created_at="", manifest_sha256="a" * 64, size_bytes=1, metrics=metrics
    )


@pytest.mark.parametrize(
    ("steps", "best"),
    [
        ((), None),
        ((listed(100),), None),
        ((listed(100, similarity="0.9"),), None),
        ((listed(100, cer="0.5"),), 100),
        ((listed(100, cer="0.2"), listed(200, cer="0.1"), listed(300, cer="0.3")), 200),
        ((listed(100, cer="0.1", similarity="0.7"), listed(200, cer="0.1", similarity="0.8")), 200),
        ((listed(100, cer="0.1", similarity="0.7"), listed(200, cer="0.1")), 100),
        ((listed(100, cer="0.1", similarity="-0.5"), listed(200, cer="0.1")), 100),
        ((listed(100, cer="0.1"), listed(300, cer="0.1"), listed(200, cer="0.1")), 300),
        ((listed(100, cer="0"), listed(200, cer="0.05", similarity="0.99")), 100),
        ((listed(100, cer="0.9"), listed(200)), 100),
    ],
)
def test_the_best_step_is_understood_best_then_most_alike_then_newest(
    steps: tuple[resources.CheckpointStatus, ...], best: int | None
) -> None:
    assert ranking.best_step(steps) == best
    assert ranking.best_step(reversed(steps)) == best


def test_only_figures_that_there_are_are_told() -> None:
    told = ranking.told(Figures(cer=0.123456, pinyin_cer=0.0, dnsmos=3.14159, silent_share=1e-5))
    values = {item.name: item.value for item in told}
    assert values == {"cer": "0.1235", "pinyinCer": "0", "dnsmos": "3.142", "silentShare": "1e-05"}
    assert ranking.told(Figures()) == ()


def test_figures_reach_status_step_by_step(world: Any) -> None:
    world.trains(300, 100, 200, 300)
    scored = {100: Figures(cer=0.5), 200: Figures(cer=0.25, similarity=0.8), 300: Figures()}
    made = tuple(dataclasses.replace(item, figures=scored[item.step]) for item in world.store.checkpoints)
    world.stored(checkpoints=made)
    status = world.settle().status
    assert [[(item.name, item.value) for item in step.metrics] for step in status.checkpoints] == [
        [("cer", "0.5")],
        [("cer", "0.25"), ("similarity", "0.8")],
        [],
    ]
    assert (status.best_step, status.latest_step) == (200, 300)
    world.store = views.StoreAway(message="away")
    assert world.settle().status.best_step == 200


def test_no_judge_no_best_step(world: Any) -> None:
    world.trains(300, 100, 200, 300)
    assert world.settle().status.best_step is None


def test_the_best_of_many_steps_keeps_its_place_in_status(world: Any) -> None:
    world.trains(300_000, *range(1000, 301_000, 1000))
    best = Figures(cer=0.01)
    first, *rest = world.store.checkpoints
    world.stored(checkpoints=(dataclasses.replace(first, figures=best), *rest))
    status = world.settle().status
    assert (len(status.checkpoints), status.checkpoints_total, status.best_step) == (256, 300, 1000)
    assert status.checkpoints[0].step == 1000
