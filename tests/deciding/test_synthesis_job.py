from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest
import yaml
from kelong_contract import codec, conditions, manifests, names, orders, resources, synthesis_jobs
from kelong_operator import children, plan, synthesis_job, views

NOW = "2026-01-02T03:04:05Z"


class Synthesis:
    """One SynthesisJob of a voice that serves step 500."""

    def __init__(self, world: Any) -> None:
        world.trains(700, 500, 600)
        world.serves(500)
        self.settings = world.settings
        example = pathlib.Path(__file__).parent.parent.parent / "examples" / "synthesisjob.yaml"
        self.spec = synthesis_jobs.synthesis_job_spec(yaml.safe_load(example.read_text())["spec"])
        self.owner = views.Owner(kind=names.SYNTHESIS_JOB, namespace="ns", name="welcome", uid="uid-2", generation=1)
        self.status = synthesis_jobs.SynthesisJobStatus()
        self.voice: views.ReferredVoice | None = views.ReferredVoice(
            name="khazix", uid="uid-1", spec=world.spec, status=world.status
        )
        self.store: views.SynthesisInStore | views.StoreAway = views.SynthesisInStore()
        self.jobs: tuple[views.JobView, ...] = ()
        self.pods: tuple[views.PodView, ...] = ()
        self.input_fault: str | None = None
        self._job, self._pod = world.job, world.pod

    def settle(self) -> plan.Plan[synthesis_jobs.SynthesisJobStatus]:
        seen = views.ObservedSynthesis(
            owner=self.owner,
            spec=self.spec,
            status=self.status,
            store=self.store,
            voice=self.voice,
            input_fault=self.input_fault,
            jobs=self.jobs,
            pods=self.pods,
        )
        decided = synthesis_job.decide(seen, self.settings, NOW)
        self.status = decided.status
        return decided

    def job(self, **fields: Any) -> views.JobView:
        made: views.JobView = dataclasses.replace(self._job(), name=children.batch_job_name(self.owner), **fields)
        return made

    def pod(self, trouble: views.Trouble | None) -> views.PodView:
        name = children.batch_job_name(self.owner)
        made: views.PodView = self._pod(names.COMPONENT_BATCH, job=name, phase="Failed", ready=False, trouble=trouble)
        return made

    def record(self, made: int, lost: int, **fields: Any) -> None:
        item = manifests.SynthesisedItem(id="a", key="k", sha256="s", duration_s=2.0)
        failure = manifests.FailedItem(id="b", line=2, reason="UnspeakableText", message="no", position=3)
        basic = manifests.SynthesisManifest(
            uid="uid-2",
            voice=orders.VoiceName(namespace="ns", name="khazix", uid="uid-1"),
            step=500,
            total=made + lost,
            items=(item,) * made,
            failures=(failure,) * lost,
            audio_s=2.0 * made,
            elapsed_s=1.0,
            finished=True,
        )
        self.store = views.SynthesisInStore(record=dataclasses.replace(basic, **fields))

    def condition(self, kind: str) -> tuple[str, str]:
        self.settle()
        found = conditions.find(self.status.conditions, kind)
        assert found is not None
        return found.status, found.reason


@pytest.fixture
def synthesis(world: Any) -> Synthesis:
    return Synthesis(world)


def test_the_promoted_step_of_the_start_is_kept(synthesis: Synthesis, look: Any) -> None:
    decided = synthesis.settle()
    (order_map,) = look.created(decided, "ConfigMap")
    order = codec.loads(orders.SynthesisOrder, order_map["data"][names.ORDER_FILE].encode(), "order")
    assert (order.step, order.manifest_sha256, order.settings.length) == (500, "a" * 64, 1.1)
    assert look.created(decided, "Job")[0]["metadata"]["name"] == "welcome-batch"
    assert synthesis.voice is not None
    moved = dataclasses.replace(synthesis.voice.status, promoted_step=600)
    synthesis.voice = dataclasses.replace(synthesis.voice, status=moved)
    synthesis.jobs = (synthesis.job(),)
    assert synthesis.settle().status.resolved == synthesis_jobs.Resolved(
        uid="uid-1", step=500, manifest_sha256="a" * 64
    )


def test_a_voice_that_is_missing_or_serves_nothing_is_waited_for(synthesis: Synthesis) -> None:
    voice, synthesis.voice = synthesis.voice, None
    assert synthesis.condition("Ready") == ("False", "ModelNotReady")
    assert voice is not None
    synthesis.voice = dataclasses.replace(voice, status=resources.VoiceModelStatus())
    decided = synthesis.settle()
    assert (decided.actions, decided.again_in_s) == ((), synthesis.settings.intervals.retry_seconds)
    assert synthesis.condition("Ready") == ("False", "ModelNotReady")


def test_a_step_that_does_not_exist_is_waited_for(synthesis: Synthesis) -> None:
    synthesis.spec = dataclasses.replace(synthesis.spec, step=99)
    assert synthesis.condition("Ready") == ("False", "StepNotFound")


def test_a_missing_config_map_is_named(synthesis: Synthesis) -> None:
    synthesis.input_fault = "there is no ConfigMap lines in this namespace"
    assert synthesis.settle().actions == ()
    assert synthesis.condition("Ready") == ("False", "InputInvalid")


def test_a_job_goes_on_when_its_voice_is_deleted(synthesis: Synthesis) -> None:
    synthesis.settle()
    synthesis.jobs, synthesis.voice = (synthesis.job(),), None
    synthesis.record(2, 0)
    assert synthesis.condition("Complete") == ("True", "AllItemsSucceeded")


@pytest.mark.parametrize(
    ("made", "lost", "kind", "reason"),
    [
        (2, 0, "Complete", "AllItemsSucceeded"),
        (1, 1, "Complete", "SomeItemsFailed"),
        (0, 2, "Failed", "NoItemSucceeded"),
    ],
)
def test_the_manifest_is_the_verdict(synthesis: Synthesis, made: int, lost: int, kind: str, reason: str) -> None:
    synthesis.settle()
    synthesis.jobs = (synthesis.job(),)
    synthesis.record(made, lost)
    assert synthesis.condition(kind) == ("True", reason)
    assert synthesis.status.items == synthesis_jobs.ItemCounts(total=2, succeeded=made, failed=lost)
    assert synthesis.status.completion_time == NOW
    synthesis.jobs, synthesis.store = (), views.StoreAway(message="away")
    assert synthesis.settle().actions == ()  # terminal is terminal
    assert synthesis.condition(kind) == ("True", reason)


def test_what_the_batch_door_could_not_get_over_is_told(synthesis: Synthesis) -> None:
    synthesis.settle()
    synthesis.jobs = (synthesis.job(failed=True, failure_reason="PodFailurePolicy"),)
    problem = manifests.Problem(reason="SpeakerNotFound", message="the voice has no speaker 'Nobody'")
    synthesis.record(0, 0, finished=False, problem=problem)
    assert synthesis.condition("Failed") == ("True", "SpeakerNotFound")


def test_a_batch_that_ended_before_it_could_write_is_told_with_the_reason_it_gave(synthesis: Synthesis) -> None:
    synthesis.settle()
    synthesis.jobs = (synthesis.job(failed=True, failure_reason="PodFailurePolicy"),)
    trouble = views.Trouble(reason="BadOrder", message="pod p ended with exit code 64 (Error): step is 0")
    synthesis.pods = (synthesis.pod(trouble),)
    assert synthesis.condition("Failed") == ("True", "BadOrder")


def test_a_batch_that_gets_no_pod_is_told_with_where_to_look(synthesis: Synthesis) -> None:
    synthesis.settle()
    synthesis.jobs = (synthesis.job(start_time="2026-01-02T03:03:30Z"),)
    assert synthesis.condition("Ready") == ("False", "Scheduling")
    found = conditions.find(synthesis.status.conditions, "Ready")
    assert found is not None and "kubectl describe job welcome-batch" in found.message


def test_suspend_pauses_and_resumes_the_job(synthesis: Synthesis) -> None:
    synthesis.settle()
    synthesis.jobs = (synthesis.job(),)
    synthesis.spec = dataclasses.replace(synthesis.spec, suspend=True)
    assert synthesis.settle().actions == (plan.Suspend(job="welcome-batch", suspended=True),)
    synthesis.jobs = (synthesis.job(suspended=True),)
    synthesis.spec = dataclasses.replace(synthesis.spec, suspend=False)
    assert synthesis.settle().actions == (plan.Suspend(job="welcome-batch", suspended=False),)


def test_a_job_left_by_a_namesake_is_waited_for_and_then_made_anew(synthesis: Synthesis, look: Any) -> None:
    synthesis.jobs = (synthesis.job(owned=False, leaving=True, complete=True),)
    decided = synthesis.settle()
    assert (decided.actions, decided.events) == ((), ())
    assert synthesis.condition("Ready") == ("False", "Replacing")
    assert synthesis.condition("Failed") == ("False", "NotFailed")
    synthesis.jobs = ()
    assert look.created(synthesis.settle(), "Job")[0]["metadata"]["name"] == "welcome-batch"


def test_a_name_that_is_taken_is_said_and_heals_when_it_is_free(synthesis: Synthesis, look: Any) -> None:
    synthesis.jobs = (synthesis.job(owned=False),)
    assert synthesis.settle().actions == ()
    assert synthesis.condition("Ready") == ("False", "NameConflict")
    assert synthesis.condition("Failed") == ("False", "NotFailed")
    synthesis.jobs = ()
    assert look.created(synthesis.settle(), "Job")


def test_an_operator_cut_off_after_making_the_job_loses_nothing(synthesis: Synthesis, look: Any) -> None:
    (made,) = look.created(synthesis.settle(), "Job")
    written = synthesis.status
    synthesis.status = synthesis_jobs.SynthesisJobStatus()  # which it had not written
    assert synthesis.voice is not None
    moved = dataclasses.replace(synthesis.voice.status, promoted_step=600)
    synthesis.voice = dataclasses.replace(synthesis.voice, status=moved)
    metadata = made["metadata"] | {"uid": "job-1", "creationTimestamp": NOW}
    synthesis.jobs = (views.job_of(made | {"metadata": metadata}, synthesis.owner.uid),)
    found = synthesis.settle().status
    assert found.resolved == synthesis_jobs.Resolved(uid="uid-1", step=500, manifest_sha256="a" * 64)
    for field in ("resolved", "job_name", "start_time", "output_prefix", "manifest_key"):
        assert getattr(found, field) == getattr(written, field) is not None, field


def test_a_batch_pod_that_saved_when_told_to_stop_is_followed(synthesis: Synthesis) -> None:
    synthesis.settle()
    synthesis.jobs = (synthesis.job(start_time="2026-01-01T00:00:00Z"),)
    synthesis.pods = (synthesis.pod(None),)
    assert synthesis.settle().events == ()
    assert synthesis.condition("Ready") == ("False", "Scheduling")
    found = conditions.find(synthesis.status.conditions, "Ready")
    assert found is not None and "the next pod goes on from what is saved" in found.message
