from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from kelong_contract import codec, names, orders
from kelong_operator import views


def test_promoting_a_step_rolls_it_out_with_its_digest(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.edit(promoted_step=500)
    decided = world.settle()
    (deployment,), (service,) = look.applied(decided, "Deployment"), look.applied(decided, "Service")
    assert (deployment["metadata"]["name"], service["metadata"]["name"]) == ("khazix", "khazix")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    text = next(item["value"] for item in container["env"] if item["name"] == names.ENV_SERVING_ORDER)
    order = codec.loads(orders.ServingOrder, text.encode(), "order")
    assert (order.step, order.manifest_sha256, order.model_name) == (500, "a" * 64, "khazix")
    assert world.condition("Promoted") == ("False", "RollingOut")
    assert world.status.promoted_step is None
    assert "PromotionStarted" in look.told(decided)


def test_a_step_counts_as_promoted_when_its_servers_are_ready(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.edit(promoted_step=500)
    world.settle()
    world.deployment = world.servers(500, ready=0)
    world.settle()
    assert world.status.promoted_step is None
    assert world.condition("Available") == ("False", "MinimumReplicasUnavailable")
    world.deployment = world.servers(500)
    decided = world.settle()
    assert world.status.promoted_step == 500
    assert world.condition("Promoted") == ("True", "Serving")
    assert world.condition("Ready") == ("True", "Serving")
    assert look.told(decided) == ["Promoted"]
    assert world.settle().events == ()


def test_a_rollout_that_has_only_been_asked_for_is_not_done(world: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    world.edit(promoted_step=600)
    world.settle()
    world.deployment = world.servers(600, current=False)  # annotations are new, the counts are the old template's
    assert world.settle().status.promoted_step == 500
    world.deployment = world.servers(600, existing=2)  # an old server is still there
    assert world.settle().status.promoted_step == 500
    world.deployment = world.servers(600)
    assert world.settle().status.promoted_step == 600
    assert world.status.serving.previous_step == 500


def test_rolling_back_is_the_same_edit_backwards(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    world.serves(600)
    world.edit(promoted_step=500)
    assert look.served_step(world.settle()) == 500
    world.deployment = world.servers(500)
    assert world.settle().status.promoted_step == 500


def test_a_step_that_does_not_exist_waits_and_serves_when_it_appears(world: Any, look: Any) -> None:
    world.edit(promoted_step=500)
    decided = world.settle()
    assert look.served_step(decided) is None
    assert world.condition("Promoted") == ("False", "StepNotFound")
    assert "StepNotFound" in look.told(decided)
    assert decided.again_in_s <= world.settings.intervals.retry_seconds
    world.trains(500, 500)
    assert look.served_step(world.settle()) == 500


def test_removing_the_step_changes_nothing_that_serves(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    before = look.applied(world.decide(), "Deployment")
    world.edit(promoted_step=None)
    decided = world.settle()
    assert look.applied(decided, "Deployment") == before
    assert world.condition("Promoted") == ("False", "NotRequested")
    assert "step 500 goes on" in world.message("Promoted")
    assert world.condition("Ready") == ("True", "Serving")
    assert world.status.promoted_step == 500


def test_servers_deleted_by_hand_come_back_even_without_a_promoted_step(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.serves(500)
    world.edit(promoted_step=None)
    world.settle()
    world.deployment = None
    assert look.served_step(world.settle()) == 500


def test_no_replicas_stop_the_servers_and_keep_the_step(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.serves(500)
    world.edit_serving(replicas=0)
    decided = world.settle()
    assert look.applied(decided, "Deployment")[0]["spec"]["replicas"] == 0
    world.deployment = world.servers(500, ready=0)
    world.settle()
    assert world.condition("Promoted") == ("False", "ScaledToZero")
    assert world.condition("Ready") == ("False", "Training")
    assert world.status.promoted_step == 500


def test_a_step_without_a_server_does_not_count_as_promoted(world: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    world.edit_serving(replicas=0)
    world.edit(promoted_step=600)
    world.deployment = world.servers(600, ready=0)
    assert world.settle().status.promoted_step == 500
    assert world.condition("Promoted") == ("False", "ScaledToZero")
    world.edit_serving(replicas=1)
    world.deployment = world.servers(600)
    assert world.settle().status.promoted_step == 600


def test_scaling_up_is_no_new_promotion(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.serves(500)
    world.edit_serving(replicas=2)
    decided = world.settle()
    assert look.applied(decided, "Deployment")[0]["spec"]["replicas"] == 2
    world.deployment = world.servers(500, ready=1)
    assert world.settle().events == ()
    assert world.condition("Promoted") == ("True", "Serving")
    assert world.status.serving.ready_replicas == 1


def test_a_broken_checkpoint_is_not_served_and_what_serves_goes_on(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    kept = tuple(item for item in world.store.checkpoints if item.step == 500)
    world.stored(checkpoints=kept, broken={600: "its manifest has changed since it was listed"})
    world.edit(promoted_step=600)
    decided = world.settle()
    assert look.served_step(decided) == 500
    assert world.condition("Promoted") == ("False", "ChecksumMismatch")
    assert "checkpoint 600" in world.message("Promoted")
    assert world.condition("Ready") == ("False", "Degraded")
    assert "PromotionFailed" in look.told(decided)
    assert [item.step for item in world.status.checkpoints] == [500, 600]


@pytest.mark.parametrize("reason", ["Unschedulable", "SecretMissing", "ImagePullFailed", "GPUUnusable", "StepNotFound"])
def test_a_servers_trouble_is_repeated(world: Any, reason: str) -> None:
    world.trains(700, 500)
    world.edit(promoted_step=500)
    world.deployment = world.servers(500, ready=0)
    trouble = views.Trouble(reason=reason, message="in the kubelet's words")
    world.pods += (world.pod(names.COMPONENT_SERVER, step="500", ready=False, trouble=trouble),)
    assert world.condition("Promoted") == ("False", reason)
    assert "in the kubelet's words" in world.message("Promoted")


def test_servers_whose_pods_cannot_be_made_are_told_in_the_clusters_words(world: Any) -> None:
    world.trains(700, 500)
    world.edit(promoted_step=500)
    world.deployment = world.servers(500, ready=0, updated=0, existing=0, refusal='pods "k" is forbidden: quota')
    assert world.condition("Promoted") == ("False", "PodRefused")
    assert 'pods "k" is forbidden: quota' in world.message("Ready")


def test_a_rollout_that_takes_too_long_is_told_while_the_old_step_serves(world: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    world.edit(promoted_step=600)
    world.deployment = world.servers(600, existing=2, deadline_message='ReplicaSet "x" has timed out progressing.')
    assert world.condition("Promoted") == ("False", "ProgressDeadlineExceeded")
    assert world.condition("Available")[0] == "True"
    assert world.condition("Ready") == ("False", "Degraded")


def test_a_listed_step_is_promoted_even_while_the_store_is_away(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    world.serves(500)
    world.store = views.StoreAway(message="refused")
    world.edit(promoted_step=600)
    assert look.served_step(world.settle()) == 600


def test_a_step_that_nobody_has_listed_waits_for_the_store(world: Any, look: Any) -> None:
    world.store = views.StoreAway(message="refused")
    world.edit(promoted_step=600)
    assert look.served_step(world.settle()) is None
    assert world.condition("Promoted") == ("False", "StorageUnavailable")


def test_a_service_of_somebody_else_is_left_alone_and_named(world: Any, look: Any) -> None:
    world.trains(700, 500)
    world.service_is_anothers = True
    world.edit(promoted_step=500)
    decided = world.decide()
    assert look.applied(decided, "Service") == look.applied(decided, "Deployment") == []
    assert world.condition("Promoted") == ("False", "NameConflict")


def test_status_lists_the_promoted_and_the_newest_of_many_steps(world: Any) -> None:
    world.trains(300, *range(1, 301))
    world.serves(1)
    listed = [item.step for item in world.settle().status.checkpoints]
    assert len(listed) == 256
    assert listed == [1, *range(46, 301)]
    assert (world.status.checkpoints_total, world.status.latest_step) == (300, 300)


def test_a_step_shows_where_its_auditions_are(world: Any) -> None:
    world.trains(700, 500)
    unheard = dataclasses.replace(world.checkpoint(600), has_auditions=False)
    world.stored(checkpoints=(*world.store.checkpoints, unheard))
    heard, other = world.decide().status.checkpoints
    assert heard.audition_prefix == "voices/ns/khazix/uid-1/auditions/500/"
    assert other.audition_prefix is None


def test_new_checkpoints_are_told_once(world: Any, look: Any) -> None:
    world.trains(700, 500, 600)
    assert "CheckpointSaved" in look.told(world.settle())
    assert world.settle().events == ()
    world.trains(800, 500, 600, 800)
    assert look.told(world.settle()) == ["CheckpointSaved"]
