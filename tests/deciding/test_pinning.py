"""What training is told to keep, and that it is told before anything is rolled out."""

from __future__ import annotations

from typing import Any

import pytest
from kelong_contract import names
from kelong_operator import plan, views


def pinned(decided: plan.Plan[Any]) -> list[tuple[int, ...]]:
    return [action.steps for action in decided.actions if isinstance(action, plan.Pin)]


def test_a_step_is_pinned_before_its_servers_are_rolled_out(world: Any) -> None:
    world.trains(700, 500, 600)
    world.edit(promoted_step=500)
    actions = world.decide().actions
    kinds = [action.body["kind"] if isinstance(action, plan.Apply) else type(action) for action in actions]
    assert kinds == [plan.Pin, "Service", "Deployment"]
    assert actions[0] == plan.Pin(steps=(500,), must_exist=500)


def test_what_serves_and_what_served_before_stay_pinned(world: Any) -> None:
    world.trains(700, 400, 500, 600)
    world.serves(400)
    world.serves(500)
    world.edit(promoted_step=600)
    assert pinned(world.decide()) == [(400, 500, 600)]
    world.deployment = world.servers(600)
    world.settle()
    assert (world.status.promoted_step, world.status.serving.previous_step) == (600, 500)
    assert pinned(world.settle()) == [(500, 600)]


def test_pins_that_are_written_already_are_not_written_again(world: Any) -> None:
    world.trains(700, 500)
    world.stored(pins=(500,))
    world.edit(promoted_step=500)
    assert pinned(world.decide()) == []


def test_pins_that_cannot_be_read_are_written_anew(world: Any) -> None:
    world.stored(pins=None)
    assert pinned(world.decide()) == [()]


def test_a_voice_that_nobody_has_promoted_needs_no_pins(world: Any) -> None:
    world.trains(700, 500)
    assert pinned(world.decide()) == []


def test_a_step_that_is_waited_for_is_pinned_before_it_exists(world: Any) -> None:
    world.trains(400)
    world.edit(promoted_step=500)
    assert world.decide().actions == (plan.Pin(steps=(500,), must_exist=None),)


def test_removing_the_promoted_step_keeps_what_goes_on_serving(world: Any) -> None:
    world.trains(700, 500)
    world.serves(500)
    world.edit(promoted_step=None)
    assert pinned(world.decide()) == [(500,)]


def test_steps_of_unfinished_synthesis_jobs_are_pinned(world: Any) -> None:
    world.trains(700, 300, 500)
    world.edit(promoted_step=500)
    world.needed_steps = (300, 300)
    assert pinned(world.decide()) == [(300, 500)]


def test_while_the_store_is_away_serving_goes_on_without_pins(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    world.store = views.StoreAway(message="refused")
    world.edit(promoted_step=600)
    decided = world.decide()
    assert look.served_step(decided) == 600 and pinned(decided) == []


def test_a_step_that_is_gone_is_not_rolled_out(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.settle()
    world.edit(promoted_step=500)
    world.stored(checkpoints=(world.checkpoint(600),))  # deleted after the edit was admitted
    assert look.served_step(world.settle()) is None
    assert world.condition("Promoted") == ("False", "StepNotFound")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"spec": {"step": 300}}, 300),
        ({"spec": {"step": None}}, None),
        ({"spec": {"step": 300}, "status": {"resolved": {"step": 400}}}, 400),
        ({"spec": {"step": 300, "voiceModelRef": {"name": "another"}}}, None),
        ({"spec": {"step": 300}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}, None),
        ({"spec": {"step": 300}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}, None),
        ({"spec": {"step": 300}, "status": {"conditions": [{"type": "Failed", "status": "False"}]}}, 300),
    ],
)
def test_a_synthesis_job_needs_its_step_until_it_is_over(changes: dict[str, Any], expected: int | None) -> None:
    spec = {"voiceModelRef": {"name": "khazix"}} | changes["spec"]
    document = {"kind": names.SYNTHESIS_JOB, "spec": spec, "status": changes.get("status", {})}
    assert views.batch_step_of(document, "khazix") == expected
