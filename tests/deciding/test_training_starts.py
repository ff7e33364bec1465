from typing import Any

import pytest
from kelong_contract import codec, names, orders
from kelong_operator import views


def test_a_new_voice_gets_its_order_before_its_job(world: Any, look: Any) -> None:
    decided = world.decide()
    assert [action.body["kind"] for action in decided.actions] == ["ConfigMap", "Job"]
    (order_map,), (job,) = look.created(decided, "ConfigMap"), look.created(decided, "Job")
    assert job["metadata"]["name"] == "khazix-train-1"
    assert order_map["metadata"]["name"] == "khazix-train-1-order"
    order = codec.loads(orders.TrainingOrder, order_map["data"][names.ORDER_FILE].encode(), "order")
    assert order.dataset.prefix == "recordings/ns/khazix/"
    assert order.model.sources.recogniser == "store:whisper"
    assert order.training.max_steps == 20000
    assert job["metadata"]["annotations"][names.ANNOTATION_ORDER_DIGEST] == codec.digest(order)


def test_every_condition_is_there_from_the_first_visit(world: Any) -> None:
    kinds = {condition.type for condition in world.decide().status.conditions}
    assert kinds >= {"Ready", "DatasetReady", "Trained", "Suspended", "CheckpointAvailable", "Promoted", "Available"}


def test_an_existing_job_is_not_made_again(world: Any, look: Any) -> None:
    world.jobs = (world.job(),)
    assert world.decide().actions == ()
    assert world.condition("Ready") == ("False", "Pending")


def test_the_columns_follow_the_trainer(world: Any) -> None:
    world.jobs, world.pods = (world.job(),), (world.pod(),)
    world.stored(progress=world.progress(0, stage="transcribe", started_at=None))
    assert world.condition("Ready") == ("False", "Preparing")
    assert world.decide().status.training.current_step is None
    world.trains(4200)
    assert world.condition("Ready") == ("False", "Training")
    assert world.condition("DatasetReady") == ("True", "Prepared")
    status = world.decide().status
    assert (status.training.current_step, status.training.node_name, status.training.device) == (4200, "gpu-1", "cpu")
    assert status.training.start_time == "2026-01-02T03:04:05Z"
    assert status.dataset.clips == 7
    assert status.dataset.dropped[0].reason == "TooShort"


def test_what_a_step_computes_in_and_at_once_is_told(world: Any) -> None:
    world.trains(100)
    world.stored(progress=world.progress(100, precision="FP32", frames_at_once=4000))
    training = world.decide().status.training
    assert (training.precision, training.frames_at_once) == ("FP32", 4000)
    world.stored(progress=world.progress(110))
    assert world.decide().status.training.frames_at_once is None


def test_the_trainers_word_on_an_earlier_order_counts_for_numbers_but_not_for_what_runs_now(world: Any) -> None:
    world.trains(100)
    world.stored(progress=world.progress(100, order_digest="of an earlier attempt"))
    world.pods = ()
    assert world.condition("Trained") == ("False", "Scheduling")
    assert world.decide().status.training.current_step == 100


def test_numbers_that_move_all_the_time_are_written_only_so_often(world: Any) -> None:
    world.trains(100)
    world.settle()
    world.stored(progress=world.progress(101, updated_at="2026-01-02T03:04:10Z"))
    assert world.decide().status == world.status
    world.stored(progress=world.progress(150, updated_at="2026-01-02T03:04:30Z"))
    assert world.decide().status.training.current_step == 150


def test_reaching_max_steps_is_the_end(world: Any, look: Any) -> None:
    world.trains(20000, 20000)
    world.stored(progress=world.progress(20000, stage="done"))
    world.jobs = (world.job(complete=True, busy_pods=0),)
    decided = world.settle()
    assert decided.actions == ()
    assert "TrainingCompleted" in look.told(decided)
    assert world.condition("Ready") == ("True", "Trained")
    assert world.status.training.completion_time == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("store", [None, views.StoreAway(message="away")])
def test_a_job_that_is_gone_after_the_end_is_not_made_again(world: Any, store: Any) -> None:
    test_data = world.progress(20000, stage="done")
    world.stored(progress=test_data)
    world.settle()
    world.jobs, world.store = (), store or world.store
    assert world.decide().actions == ()
    assert world.condition("Trained") == ("True", "MaxStepsReached")


def test_growing_max_steps_after_the_end_trains_on(world: Any, look: Any) -> None:
    world.stored(progress=world.progress(20000, stage="done"), saved_step=20000)
    world.jobs = (world.job(complete=True, busy_pods=0),)
    world.settle()
    world.edit_training(max_steps=30000)
    assert [action.kind for action in world.settle().actions] == ["Job", "ConfigMap"]
    world.jobs = ()
    (job,) = look.created(world.settle(), "Job")
    assert job["metadata"]["name"] == "khazix-train-2"
    assert job["metadata"]["annotations"][names.ANNOTATION_STEP] == "20000"
    assert world.condition("Ready") == ("False", "Pending")


def test_a_job_of_somebody_else_is_left_alone_and_named(world: Any) -> None:
    world.jobs = (world.job(owned=False),)
    assert world.decide().actions == ()
    assert world.condition("Trained") == ("False", "NameConflict")
    assert "khazix-train-1" in world.message("Trained")


def test_a_job_left_by_a_namesake_is_waited_for_without_alarm(world: Any, look: Any) -> None:
    world.jobs = (world.job(3, owned=False, leaving=True, failed=True),)
    decided = world.settle()
    assert (decided.actions, decided.events) == ((), ())
    assert world.condition("Trained") == ("False", "Replacing")
    assert world.condition("Ready") == ("False", "Pending")
    world.jobs = ()
    assert look.created(world.settle(), "Job")[0]["metadata"]["name"] == "khazix-train-1"
