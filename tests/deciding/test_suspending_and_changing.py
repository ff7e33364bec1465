from __future__ import annotations

import dataclasses
from typing import Any

from kelong_contract import resources
from kelong_operator import plan


def intervals(world: Any, steps: int) -> None:
    world.edit_training(checkpoint=dataclasses.replace(world.spec.training.checkpoint, interval_steps=steps))


def test_suspend_pauses_the_job_and_says_so_when_no_pod_is_left(world: Any, look: Any) -> None:
    world.trains(100)
    world.settle()
    world.edit(suspend=True)
    assert world.settle().actions == (plan.Suspend(job="khazix-train-1", suspended=True),)
    assert world.condition("Suspended") == ("False", "Stopping")
    world.jobs, world.pods = (world.job(suspended=True, busy_pods=0),), ()
    decided = world.settle()
    assert decided.actions == ()
    assert world.condition("Suspended") == ("True", "UserRequested")
    assert world.condition("Ready") == ("False", "Suspended")
    assert look.told(decided) == ["TrainingSuspended"]


def test_taking_suspend_back_lets_the_same_job_go_on(world: Any) -> None:
    world.trains(100)
    world.jobs = (world.job(suspended=True, busy_pods=0),)
    assert world.decide().actions == (plan.Suspend(job="khazix-train-1", suspended=False),)


def test_a_voice_that_begins_suspended_gets_no_job(world: Any) -> None:
    world.edit(suspend=True)
    assert world.decide().actions == ()
    assert world.condition("Suspended") == ("True", "UserRequested")


def test_a_changed_interval_saves_removes_and_begins_the_next_attempt(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.settle()
    running = world.job()
    intervals(world, 200)
    assert world.settle().actions == (plan.Suspend(job="khazix-train-1", suspended=True),)
    world.jobs = (dataclasses.replace(running, suspended=True),)
    assert world.settle().actions == ()  # its pod still saves
    world.jobs = (dataclasses.replace(running, suspended=True, busy_pods=0),)
    assert [action.name for action in world.settle().actions] == ["khazix-train-1", "khazix-train-1-order"]
    world.jobs = (dataclasses.replace(running, suspended=True, busy_pods=0, deleting=True),)
    assert world.settle().actions == ()
    world.jobs = ()
    (job,) = look.created(world.settle(), "Job")
    assert job["metadata"]["name"] == "khazix-train-2"
    assert world.status.training.attempt == 1  # the second counts once it is seen


def test_a_change_that_is_taken_back_lets_the_job_go_on(world: Any) -> None:
    world.trains(700)
    intervals(world, 200)
    intervals(world, 1000)
    world.jobs = (world.job(suspended=True, busy_pods=0),)
    assert world.decide().actions == (plan.Suspend(job="khazix-train-1", suspended=False),)


def test_promoting_and_scaling_do_not_disturb_training(world: Any) -> None:
    world.trains(700, 500)
    world.settle()
    world.edit(promoted_step=500)
    world.edit_serving(replicas=2)
    assert not any(isinstance(action, plan.Suspend | plan.Delete | plan.Create) for action in world.decide().actions)


def test_another_image_or_default_takes_effect_with_the_next_attempt_only(world: Any) -> None:
    world.trains(700)
    images = dataclasses.replace(world.settings.images, trainer="trainer:2")
    world.settings = dataclasses.replace(world.settings, images=images, allow_cpu_on_gpu_nodes=True)
    assert world.decide().actions == ()


def test_an_unusable_order_is_refused_with_every_fault(world: Any) -> None:
    text = resources.AuditionText(name="a", text="好", speaker="Nobody")
    world.edit(audition=resources.Audition(texts=(text, text)))
    assert world.decide().actions == ()
    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert "Nobody" in world.message("Ready")
    assert "a name of its own" in world.message("Ready")


def test_a_lexicon_that_nothing_could_read_is_refused_before_a_pod_is_made(world: Any) -> None:
    world.edit(text=resources.Text(lexicon={"Wi Fi": "wai1 fai1"}))
    assert world.decide().actions == ()
    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert "'Wi Fi' has the entry 'wai1 fai1'" in world.message("Ready")


LEXICON = resources.Text(lexicon={"重庆": "chong2 qing4"})


def test_another_lexicon_stops_no_training_and_reaches_the_servers(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.serves(500)
    world.edit(text=LEXICON)
    decided = world.settle()
    assert not any(isinstance(action, plan.Suspend | plan.Delete) for action in decided.actions)
    (deployment,) = look.applied(decided, "Deployment")
    assert "chong2 qing4" in str(deployment["spec"]["template"])


def test_another_lexicon_has_the_recordings_prepared_again_as_long_as_no_step_was_taken(world: Any) -> None:
    world.trains(0)
    world.stored(progress=world.progress(0, stage="phonemes", started_at=None))
    world.settle()
    world.jobs = (world.job(),)
    world.edit(text=LEXICON)
    assert world.decide().actions == (plan.Suspend(job="khazix-train-1", suspended=True),)
    assert world.condition("Trained") == ("False", "Replacing")


def test_the_next_attempt_reads_by_the_lexicon_of_its_time(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.settle()
    world.edit(text=LEXICON)
    world.jobs, world.pods = (), ()
    (order,) = look.created(world.settle(), "ConfigMap")
    assert "chong2 qing4" in order["data"]["order.json"]
