"""Training that waits until a person has looked at what became of the recordings."""

from __future__ import annotations

from typing import Any

from kelong_operator import plan, views

POD = "khazix-train-1-x7f2p"
PAUSE = plan.Suspend(job="khazix-train-1", suspended=True)


def awaits(world: Any) -> None:
    """The trainer has made the corpus and waits."""
    world.edit(review=True)
    world.jobs, world.pods = (world.job(),), (world.pod(name=POD),)
    said = world.progress(stage="review", started_at=None, pod=POD)
    world.stored(progress=said, report=world.report())


def rests(world: Any) -> None:
    """The operator has suspended the Job, and its pod is gone."""
    awaits(world)
    world.settle()
    world.jobs, world.pods = (world.job(suspended=True, busy_pods=0),), ()
    world.settle()


def test_while_the_recordings_are_prepared_a_review_stops_nothing(world: Any) -> None:
    awaits(world)
    world.stored(progress=world.progress(stage="slice", started_at=None, pod=POD), report=None)
    assert world.decide().actions == ()
    assert world.condition("Ready") == ("False", "Preparing")


def test_the_gpu_is_given_back_and_the_report_named_while_a_person_looks(world: Any, look: Any) -> None:
    awaits(world)
    decided = world.settle()
    assert decided.actions == (PAUSE,)
    assert look.told(decided) == ["DatasetPrepared", "CorpusAwaitsReview"]
    assert world.condition("Trained") == world.condition("Ready") == ("False", "AwaitingReview")
    assert world.condition("DatasetReady") == ("True", "Prepared")
    message = world.message("Trained")
    assert "voices/ns/khazix/uid-1/corpus/report.html" in message
    assert "voices/ns/khazix/uid-1/corpus/corrections.jsonl" in message and "spec.review to false" in message


def test_a_job_that_rests_for_a_review_is_left_alone(world: Any) -> None:
    rests(world)
    decided = world.decide()
    assert decided.actions == () and decided.events == ()
    assert decided.again_in_s == world.settings.intervals.resync_seconds
    assert world.status.training.start_time is None, "nothing is frozen yet"


def test_a_store_that_cannot_be_reached_wakes_no_job_that_rests_for_a_review(world: Any) -> None:
    rests(world)
    world.store = views.StoreAway(message="gone")
    assert world.decide().actions == ()


def test_taking_the_review_back_begins_the_next_attempt(world: Any, look: Any) -> None:
    rests(world)
    before = world.jobs
    world.edit(review=False)
    world.jobs = before
    assert [action.name for action in world.settle().actions] == ["khazix-train-1", "khazix-train-1-order"]
    world.jobs = ()
    (job,) = look.created(world.settle(), "Job")
    assert job["metadata"]["name"] == "khazix-train-2"


def test_suspending_and_going_on_looks_at_corrected_recordings_again(world: Any, look: Any) -> None:
    rests(world)
    world.edit(suspend=True)
    assert [action.name for action in world.settle().actions] == ["khazix-train-1", "khazix-train-1-order"]
    world.jobs = ()
    world.edit(suspend=False)
    assert look.created(world.settle(), "Job")[0]["metadata"]["name"] == "khazix-train-2"
    second = world.job(2)
    world.jobs, world.pods = (second,), (world.pod(name="khazix-train-2-9k4w1", job=second.name),)
    assert world.decide().actions == (), "what the trainer said before is not about this attempt"


def test_a_review_that_comes_too_late_changes_nothing(world: Any) -> None:
    world.trains(100)
    running = world.jobs
    world.settle()
    world.edit(review=True)
    world.jobs = running
    assert world.decide().actions == ()
    assert world.condition("Trained") == ("False", "Running")
