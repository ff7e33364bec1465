"""A voice that begins with a step of another one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from kelong_contract import names, resources
from kelong_operator import views

ELDER = resources.CheckpointStatus(step=500, attempt=1, created_at="", manifest_sha256="a" * 64, size_bytes=1)


@pytest.fixture
def heir(world: Any) -> Any:
    """A voice that shall begin with step 500 of `elder`."""
    other = resources.OtherVoice(name="elder", step=500)
    world.edit_training(init=resources.Init(from_="VoiceModel", voice_model=other))
    return world


def elder(world: Any, *steps: int, uid: str = "uid-elder") -> views.ReferredVoice:
    listed = tuple(dataclasses.replace(ELDER, step=step) for step in steps)
    status = resources.VoiceModelStatus(checkpoints=listed)
    return views.ReferredVoice(name="elder", uid=uid, spec=world.spec, status=status)


def begun_with(jobs: list[dict[str, Any]]) -> Any:
    (order,) = jobs
    return json.loads(order["data"][names.ORDER_FILE])["init"]["voice_model"]


def test_a_voice_that_does_not_exist_is_waited_for(heir: Any) -> None:
    decided = heir.settle()
    assert decided.actions == ()
    assert decided.again_in_s == heir.settings.intervals.retry_seconds
    assert heir.condition("Trained") == heir.condition("Ready") == ("False", "ModelNotReady")
    assert heir.message("Trained").startswith("there is no VoiceModel elder in this namespace")


def test_a_step_that_does_not_exist_is_waited_for(heir: Any) -> None:
    heir.init_voice = elder(heir, 400, 600)
    assert heir.settle().actions == ()
    assert heir.condition("Trained") == heir.condition("Ready") == ("False", "StepNotFound")
    assert heir.message("Trained").startswith("the VoiceModel elder has no checkpoint of step 500")


def test_training_begins_with_the_step_as_soon_as_it_is_there(heir: Any, look: Any) -> None:
    heir.settle()
    heir.init_voice = elder(heir, 500)
    decided = heir.settle()
    assert len(look.created(decided, "Job")) == 1
    found = begun_with(look.created(decided, "ConfigMap"))
    assert found == {
        "voice": {"namespace": "ns", "name": "elder", "uid": "uid-elder"},
        "step": 500,
        "fresh": ["Speakers"],
    }
    assert heir.status.training.init == resources.InitStatus(name="elder", uid="uid-elder", step=500)


def test_what_was_found_is_kept_whatever_becomes_of_the_other_voice(heir: Any, look: Any) -> None:
    heir.init_voice = elder(heir, 500)
    heir.settle()
    heir.init_voice = elder(heir, uid="uid-of-a-namesake")
    heir.jobs = ()
    found = begun_with(look.created(heir.settle(), "ConfigMap"))
    assert found["voice"]["uid"] == "uid-elder"
    heir.init_voice = None
    assert heir.settle().status.training.init.uid == "uid-elder"


def test_a_voice_from_scratch_has_nothing_to_find(world: Any) -> None:
    assert world.settle().status.training.init is None


INIT = {"from": "VoiceModel", "voiceModel": {"name": "khazix", "step": 500}}


@pytest.mark.parametrize(
    ("init", "status", "expected"),
    [
        (INIT, {}, 500),
        (INIT, {"training": {"init": {"name": "khazix", "uid": "uid-1", "step": 500}}}, 500),
        (INIT, {"training": {"init": {"name": "khazix", "uid": "of a namesake", "step": 500}}}, None),
        (INIT, {"latestStep": 1000}, None),
        ({"from": "VoiceModel", "voiceModel": {"name": "another", "step": 500}}, {}, None),
        ({"from": "Scratch"}, {}, None),
    ],
)
def test_the_step_is_needed_until_the_voice_has_one_of_its_own(
    init: dict[str, Any], status: dict[str, Any], expected: int | None
) -> None:
    document = {"kind": names.VOICE_MODEL, "spec": {"training": {"init": init}}, "status": status}
    assert views.init_step_of(document, "khazix", "uid-1") == expected
