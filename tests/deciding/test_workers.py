"""Training in several pods: they meet, any of them may be in trouble, and the first one speaks for all."""

from __future__ import annotations

from typing import Any

import pytest
from kelong_contract import names, resources
from kelong_operator import plan, views

TROUBLE = views.Trouble(reason="Unschedulable", message="0/1 nodes are available")


@pytest.fixture
def pair(world: Any) -> Any:
    """A voice that two workers train."""
    world.edit_training(workers=2)
    world.meeting = "ours"
    return world


def worker(world: Any, index: int, **fields: Any) -> views.PodView:
    return world.pod(**{"name": f"khazix-train-1-{index}-abcde", "index": index, "node": f"gpu-{index}"} | fields)


def kinds(decided: plan.Plan[Any]) -> list[str]:
    return [action.body["kind"] for action in decided.actions if isinstance(action, plan.Create)]


def test_the_meeting_point_is_made_before_the_job(world: Any) -> None:
    world.edit_training(workers=2)
    assert kinds(world.decide()) == ["ConfigMap", "Service", "Job"]


def test_one_worker_needs_no_meeting_point(world: Any) -> None:
    assert kinds(world.decide()) == ["ConfigMap", "Job"]


def test_a_meeting_point_that_somebody_removed_is_made_again(pair: Any) -> None:
    pair.trains(100)
    assert kinds(pair.decide()) == []
    pair.meeting = "missing"
    assert kinds(pair.decide()) == ["Service"]


def test_a_service_of_somebody_else_is_left_alone_and_named(pair: Any) -> None:
    pair.meeting = "another's"
    assert pair.decide().actions == ()
    assert pair.condition("Trained") == ("False", "NameConflict")
    assert "the Service khazix-train exists" in pair.message("Trained")


def test_the_first_worker_speaks_for_all(pair: Any) -> None:
    pair.trains(100)
    pair.pods = (worker(pair, 1, created="2026-01-02T03:04:06Z"), worker(pair, 0))
    expected = "pod khazix-train-1-0-abcde trains on node gpu-0, 2 of 2 workers have come"
    assert (pair.condition("Trained"), pair.message("Trained")) == (("False", "Running"), expected)
    assert pair.decide().status.training.node_name == "gpu-0"


def test_a_worker_that_is_waited_for_is_told(pair: Any) -> None:
    pair.trains(100)
    pair.pods = (worker(pair, 0), worker(pair, 1, phase="Pending"))
    assert pair.message("Trained").endswith("1 of 2 workers have come")


@pytest.mark.parametrize("index", [0, 1])
def test_any_workers_trouble_is_the_trainings_trouble(pair: Any, index: int) -> None:
    pair.trains(100)
    fields = {index: {"phase": "Pending", "trouble": TROUBLE}}
    pair.pods = tuple(worker(pair, number, **fields.get(number, {})) for number in (0, 1))
    assert pair.condition("Trained") == ("False", "Unschedulable")
    assert pair.message("Trained") == "0/1 nodes are available"


def test_a_worker_that_was_lost_counts_no_more_once_another_has_its_place(pair: Any) -> None:
    pair.trains(100)
    lost = worker(pair, 1, phase="Failed", trouble=views.Trouble(reason="PodFailed", message="exit code 137"))
    pair.pods = (worker(pair, 0), lost)
    assert pair.condition("Trained") == ("False", "PodFailed")
    pair.pods = (*pair.pods, worker(pair, 1, name="khazix-train-1-1-fghij", created="2026-01-02T03:04:09Z"))
    assert pair.condition("Trained") == ("False", "Running")


def test_a_refusal_is_told_in_the_words_of_the_worker_that_refused(pair: Any) -> None:
    pair.trains(100)
    pair.stored(progress=None)
    words = views.Trouble(reason="GPUUnusable", message="pod khazix-train-1-1: no driver")
    pair.pods = (worker(pair, 0, phase="Failed"), worker(pair, 1, phase="Failed", trouble=words))
    message = "Container trainer for pod ns/khazix-train-1-1 failed with exit code 64 matching FailJob rule at index 0"
    failed = {"failed": True, "failure_reason": "PodFailurePolicy", "failure_message": message}
    pair.jobs = (pair.job(**failed, busy_pods=0),)
    assert pair.condition("Trained") == ("False", "GPUUnusable")
    assert pair.message("Trained") == "pod khazix-train-1-1: no driver"


def test_a_job_goes_only_when_the_last_worker_has_saved(pair: Any) -> None:
    pair.trains(100)
    pair.settle()
    pair.edit_training(checkpoint=resources.CheckpointRule(interval_steps=500))
    assert pair.decide().actions == (plan.Suspend(job="khazix-train-1", suspended=True),)
    pair.jobs = (pair.job(suspended=True, wish="before", busy_pods=1),)
    assert pair.decide().actions == ()
    pair.jobs = (pair.job(suspended=True, wish="before", busy_pods=0),)
    assert [action.kind for action in pair.decide().actions if isinstance(action, plan.Delete)] == ["Job", "ConfigMap"]


def test_pods_know_which_worker_they_are() -> None:
    labels = {names.LABEL_WORKER_INDEX: "3", names.LABEL_JOB_NAME: "khazix-train-1"}
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels}
    assert views.pod_of({"metadata": metadata, "spec": {}}).index == 3
    assert views.pod_of({"metadata": metadata | {"labels": {}}, "spec": {}}).index == 0
