"""What can go wrong with a training pod, and what the operator makes of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from kelong_contract import manifests, resources
from kelong_operator import plan, views

TROUBLES = [
    ("Unschedulable", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
    ("SecretMissing", 'pod x: secret "kelong-store" not found'),
    ("ImagePullFailed", "pod x: ErrImagePull"),
    ("OutOfMemory", "pod x ended with exit code 137 (OOMKilled)"),
]


def failed(world: Any, code: int, **fields: Any) -> views.JobView:
    message = f"Container trainer for pod ns/p failed with exit code {code} matching FailJob rule at index 0"
    reasons = {"failure_reason": "PodFailurePolicy", "failure_message": message}
    return world.job(failed=True, busy_pods=0, **(reasons | fields))


@pytest.mark.parametrize(("reason", "message"), TROUBLES)
def test_a_pods_trouble_is_repeated_in_its_own_words(world: Any, reason: str, message: str) -> None:
    trouble = views.Trouble(reason=reason, message=message)
    world.jobs, world.pods = (world.job(),), (world.pod(phase="Pending", ready=False, trouble=trouble),)
    assert world.condition("Trained") == ("False", reason)
    assert world.message("Trained") == message
    assert world.condition("Ready") == ("False", reason)
    assert world.decide().actions == ()


def test_a_job_that_gets_no_pod_is_told_with_where_to_look(world: Any, look: Any) -> None:
    world.jobs = (world.job(start_time="2026-01-02T03:03:50Z"),)
    assert world.message("Trained") == "the Job khazix-train-1 waits for its pod"
    world.settle()
    world.jobs = (world.job(start_time="2026-01-02T03:03:30Z"),)
    decided = world.settle()
    assert world.condition("Trained") == ("False", "Scheduling")
    assert "kubectl describe job khazix-train-1" in world.message("Ready")
    assert look.told(decided) == []


def test_trouble_of_a_pod_that_was_replaced_is_forgotten(world: Any) -> None:
    trouble = views.Trouble(reason="OutOfMemory", message="exit code 137")
    old = world.pod(name="old", phase="Failed", ready=False, created="2026-01-01T00:00:00Z", trouble=trouble)
    world.trains(100)
    world.pods = (old, world.pod())
    assert world.condition("Trained") == ("False", "Running")


def test_bad_data_ends_without_a_retry(world: Any, look: Any) -> None:
    problem = manifests.Problem(reason="TooFewClips", message="no recording can be used")
    world.jobs = (failed(world, 65),)
    world.stored(progress=world.progress(0, stage="slice", started_at=None, problem=problem))
    decided = world.settle()
    assert decided.actions == ()
    assert world.condition("DatasetReady") == ("False", "TooFewClips")
    assert world.message("DatasetReady") == "no recording can be used"
    assert world.condition("Ready") == ("False", "DatasetInvalid")
    assert "DatasetInvalid" in look.told(decided)
    assert world.settle().actions == ()
    assert world.settle().events == ()


@pytest.mark.parametrize(
    ("reason", "message"), [("GPUUnusable", "driver 470 is too old"), ("ModelSourceUnavailable", "store:whisper")]
)
def test_a_bad_order_is_told_with_the_trainers_reason(world: Any, reason: str, message: str) -> None:
    problem = manifests.Problem(reason=reason, message=message)
    world.jobs = (failed(world, 64),)
    world.stored(progress=world.progress(0, started_at=None, problem=problem))
    assert world.condition("Trained") == ("False", reason)
    assert world.message("Trained") == message
    assert world.condition("Ready") == ("False", "TrainingFailed")


def test_a_trainer_that_could_not_even_reach_the_store_is_told_in_its_last_words(world: Any) -> None:
    world.jobs = (failed(world, 64),)
    trouble = views.Trouble(reason="PodFailed", message="pod p ended with exit code 64: KELONG_STORE_URL is ''")
    world.pods = (world.pod(phase="Failed", ready=False, trouble=trouble),)
    assert world.condition("Trained") == ("False", "BadOrder")
    assert "KELONG_STORE_URL" in world.message("Trained")


def is_removed(decided: plan.Plan[Any]) -> bool:
    removed = [action.name for action in decided.actions if isinstance(action, plan.Delete)]
    return removed == ["khazix-train-1", "khazix-train-1-order"]


def test_after_bad_data_the_next_attempt_comes_with_new_recordings(world: Any, look: Any) -> None:
    world.jobs = (failed(world, 65),)
    world.settle()
    world.stored(listing_digest="listing-2")
    assert is_removed(world.settle())
    assert world.condition("DatasetReady")[0] == "Unknown"
    world.jobs = ()
    assert look.created(world.settle(), "Job")[0]["metadata"]["name"] == "khazix-train-2"


def test_after_a_bad_order_the_next_attempt_comes_with_what_it_lacked(world: Any) -> None:
    world.jobs = (failed(world, 64),)
    assert world.settle().actions == ()
    world.stored(listing_digest="listing-2")
    assert is_removed(world.settle())


@pytest.mark.parametrize("elsewhere", ["claim", "bucket"])
def test_recordings_that_cannot_be_watched_are_said_to_need_a_word(world: Any, elsewhere: str) -> None:
    problem = manifests.Problem(reason="TooFewClips", message="no recording can be used")
    claim = resources.VolumeSource(claim_name="recordings")
    bucket = resources.S3Source(prefix="a/", endpoint="https://s3.example.com", bucket="mine", secret_name="keys")
    source = (
        resources.Source(type="PersistentVolumeClaim", persistent_volume_claim=claim)
        if elsewhere == "claim"
        else resources.Source(type="S3", s3=bucket)
    )
    world.edit(dataset=resources.Dataset(source=source))
    world.jobs = (failed(world, 65),)
    world.stored(progress=world.progress(0, stage="slice", started_at=None, problem=problem), listing_digest=None)
    assert world.decide().actions == ()
    assert world.message("DatasetReady").startswith(problem.message)
    assert "set spec.suspend to true and back" in world.message("DatasetReady")


def test_after_bad_data_the_next_attempt_comes_with_a_changed_spec(world: Any) -> None:
    world.jobs = (failed(world, 65),)
    world.settle()
    world.edit_training(backoff_limit=4)
    assert is_removed(world.settle())


def test_after_bad_data_toggling_suspend_forces_the_next_attempt(world: Any, look: Any) -> None:
    world.jobs = (failed(world, 65),)
    world.settle()
    world.edit(suspend=True)
    assert is_removed(world.settle())
    world.jobs = ()
    assert world.settle().actions == ()
    assert world.condition("Suspended") == ("True", "UserRequested")
    world.edit(suspend=False)
    assert look.created(world.settle(), "Job")[0]["metadata"]["name"] == "khazix-train-2"


def test_a_used_up_budget_ends_training_if_no_step_was_gained(world: Any) -> None:
    world.trains(700, 500)
    world.jobs = (failed(world, 1, failure_reason="BackoffLimitExceeded", failure_message="too often", start_step=500),)
    assert world.decide().actions == ()
    assert world.condition("Trained") == ("False", "BackoffLimitExceeded")
    assert world.condition("Ready") == ("False", "TrainingFailed")


def test_the_budget_starts_afresh_when_steps_have_advanced(world: Any) -> None:
    world.trains(700, 500)
    world.jobs = (failed(world, 1, failure_reason="BackoffLimitExceeded", failure_message="too often", start_step=0),)
    assert world.settle().actions == ()  # first its number is written down, so that no crash gives it twice
    assert is_removed(world.settle())


def test_no_attempt_begins_while_the_last_one_is_being_removed(world: Any) -> None:
    world.jobs = (failed(world, 1, deleting=True),)
    world.status = dataclasses.replace(world.status, observed_generation=1)
    assert world.decide().actions == ()
    assert world.condition("Trained") == ("False", "Replacing")


def test_while_the_store_is_away_nothing_is_lost_and_nothing_begins(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.settle()
    before = world.status
    world.store = views.StoreAway(message="the store cannot be reached: refused")
    decided = world.settle()
    assert decided.actions == ()
    assert look.told(decided) == ["StorageUnavailable"]
    assert decided.again_in_s <= world.settings.intervals.retry_seconds
    assert world.condition("StorageAvailable") == ("False", "StorageUnavailable")
    assert world.condition("CheckpointAvailable") == ("True", "Uploaded")
    assert world.condition("DatasetReady") == ("True", "Prepared")
    assert (world.status.checkpoints, world.status.dataset) == (before.checkpoints, before.dataset)
    assert world.status.training.current_step == 700


def test_a_new_voice_waits_for_the_store(world: Any) -> None:
    world.store = views.StoreAway(message="the store cannot be reached: refused")
    assert world.decide().actions == ()
    assert world.condition("Ready") == ("False", "StorageUnavailable")


def test_a_pod_that_saved_when_told_to_stop_is_no_trouble(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.jobs = (world.job(start_time="2026-01-01T00:00:00Z"),)
    world.settle()
    world.pods = (world.pod(phase="Failed", ready=False),)
    decided = world.settle()
    assert look.told(decided) == []
    assert world.condition("Trained") == ("False", "Scheduling")
    assert world.message("Trained") == "pod trainer-pod was stopped; the next pod goes on from what is saved"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (64, "GPUUnusable"),
        (65, "TooFewClips"),
        (65, "DatasetInvalid"),
        (65, "SpeakersOverlap"),
        (65, "RecordingsChanged"),
        (65, "NaNLoss"),
    ],
)
def test_a_reason_that_was_only_said_and_not_stored_counts(world: Any, look: Any, code: int, reason: str) -> None:
    status = {"exitCode": code, "reason": "Error", "message": f"{reason}: this is why"}
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    containers = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": status}}]}
    said = views.pod_of({"metadata": metadata, "spec": {}, "status": containers})
    world.jobs, world.pods = (failed(world, code),), (world.pod(phase="Failed", ready=False, trouble=said.trouble),)
    decided = world.settle()
    assert world.condition("Trained") == ("False", reason)
    assert "TrainingFailed" in look.told(decided)
