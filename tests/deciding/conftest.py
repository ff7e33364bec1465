"""A small world for deciding: a voice's spec, what is seen of it, and the plan that follows. No clock, no network."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, Literal

import pytest
import yaml
from kelong_contract import codec, conditions, corpora, manifests, names, resources
from kelong_operator import beginning, children, order_book, plan, settings, views, voice_model

NOW = "2026-01-02T03:04:05Z"
SHA = "a" * 64
CONFIGURATION = {
    "store": {"endpoint": "http://store:9000", "bucket": "kelong", "secretName": "kelong-store"},
    "images": {"trainer": "trainer:1", "inference": "inference:1"},
    "presets": {
        name: {
            "sources": {"recogniser": "store:whisper"},
            "training": {"gpuCount": 1, "resources": {"requests": {"cpu": "2", "memory": "4Gi"}}},
            "serving": {"gpuCount": int(name == "zh-clap")},
        }
        for name in settings.PRESETS
    },
}


class World:
    """One VoiceModel with what the operator can see of it; `decide` gives the plan, `settle` also keeps its status."""

    def __init__(self) -> None:
        self.settings = codec.decode(settings.Settings, CONFIGURATION, "settings", codec.camel_case)
        self.owner = views.Owner(kind=names.VOICE_MODEL, namespace="ns", name="khazix", uid="uid-1", generation=1)
        example = pathlib.Path(__file__).parent.parent.parent / "examples" / "voicemodel.yaml"
        self.spec = resources.voice_model_spec(yaml.safe_load(example.read_text())["spec"])
        self.status = resources.VoiceModelStatus()
        self.store: views.VoiceInStore | views.StoreAway = views.VoiceInStore(listing_digest="listing-1")
        self.jobs: tuple[views.JobView, ...] = ()
        self.pods: tuple[views.PodView, ...] = ()
        self.deployment: views.DeploymentView | None = None
        self.needed_steps: tuple[int, ...] = ()
        self.service_is_anothers = False
        self.init_voice: views.ReferredVoice | None = None
        self.meeting: Literal["missing", "ours", "another's"] = "missing"

    def see(self) -> views.ObservedVoice:
        return views.ObservedVoice(
            owner=self.owner,
            spec=self.spec,
            status=self.status,
            store=self.store,
            jobs=self.jobs,
            pods=self.pods,
            deployment=self.deployment,
            needed_steps=self.needed_steps,
            service_is_anothers=self.service_is_anothers,
            init_voice=self.init_voice,
            meeting=self.meeting,
        )

    def decide(self) -> plan.Plan[resources.VoiceModelStatus]:
        return voice_model.decide(self.see(), self.settings, NOW)

    def settle(self) -> plan.Plan[resources.VoiceModelStatus]:
        """Decide, and remember the status as the API server would."""
        decided = self.decide()
        self.status = decided.status
        return decided

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition, as they would be written now."""
        found = conditions.find(self.decide().status.conditions, kind)
        assert found is not None, kind
        return found.status, found.reason

    def message(self, kind: str) -> str:
        found = conditions.find(self.decide().status.conditions, kind)
        assert found is not None, kind
        return found.message

    def edit(self, **fields: Any) -> None:
        """A user's edit: the spec changes, and its generation with it."""
        self.spec = dataclasses.replace(self.spec, **fields)
        self.owner = dataclasses.replace(self.owner, generation=self.owner.generation + 1)

    def edit_training(self, **fields: Any) -> None:
        self.edit(training=dataclasses.replace(self.spec.training, **fields))

    def edit_serving(self, **fields: Any) -> None:
        self.edit(serving=dataclasses.replace(self.spec.serving, **fields))

    def order_digest(self) -> str:
        order = order_book.training_order(self.owner, self.spec, self.settings, beginning.resolve(self.see()))
        return codec.digest(order)

    def job(self, attempt: int = 1, **fields: Any) -> views.JobView:
        """A training Job as it would have been made from the spec of now."""
        basic = views.JobView(
            name=children.training_job_name(self.owner, attempt),
            uid=f"job-{attempt}",
            owned=True,
            leaving=False,
            deleting=False,
            attempt=attempt,
            created=NOW,
            suspended=False,
            start_time=None,
            busy_pods=1,
            complete=False,
            failed=False,
            failure_reason="",
            failure_message="",
            generation=self.owner.generation,
            wish=order_book.training_wish(self.spec),
            preparing=order_book.preparing_wish(self.spec),
            order_digest=self.order_digest(),
            start_step=0,
            listing_digest="listing-1",
            resolved=None,
        )
        return dataclasses.replace(basic, **fields)

    def pod(self, component: str = names.COMPONENT_TRAINER, **fields: Any) -> views.PodView:
        basic = views.PodView(
            name=f"{component}-pod",
            component=component,
            job=children.training_job_name(self.owner, 1) if component == names.COMPONENT_TRAINER else "",
            index=0,
            step="",
            created=NOW,
            phase="Running",
            node="gpu-1",
            ready=True,
            deleting=False,
            trouble=None,
        )
        return dataclasses.replace(basic, **fields)

    def progress(self, step: int = 0, **fields: Any) -> manifests.Progress:
        basic = manifests.Progress(
            attempt=1,
            order_digest=self.order_digest(),
            updated_at=NOW,
            stage="train",
            device="cpu",
            step=step,
            max_steps=self.spec.training.max_steps,
            started_at=NOW,
        )
        return dataclasses.replace(basic, **fields)

    def checkpoint(self, step: int, sha: str = SHA, attempt: int = 1) -> views.Checkpoint:
        return views.Checkpoint(
            step=step, attempt=attempt, created_at=NOW, manifest_sha256=sha, size_bytes=10, has_auditions=True
        )

    def report(self, clips: int = 7) -> corpora.CorpusReport:
        return corpora.CorpusReport(
            digest="d",
            clips=clips,
            recordings=2,
            duration_s=100.4,
            kept_s=80.2,
            speakers=(corpora.SpeakerTotals(name="Khazix", id=0, clips=clips, duration_s=80.2),),
            dropped=(corpora.Dropped(reason="TooShort", count=3, duration_s=20.2),),
        )

    def stored(self, **fields: Any) -> None:
        """What the store holds from now on, beside what it held."""
        base = self.store if isinstance(self.store, views.VoiceInStore) else views.VoiceInStore()
        self.store = dataclasses.replace(base, **fields)

    def trains(self, step: int, *checkpoints: int) -> None:
        """Training is under way at a step, with these checkpoints saved."""
        self.jobs, self.pods = (self.job(),), (self.pod(),)
        made = tuple(self.checkpoint(item) for item in checkpoints)
        saved = max(checkpoints, default=0)
        self.stored(progress=self.progress(step), report=self.report(), checkpoints=made, saved_step=saved)

    def servers(self, step: int, ready: int = 1, **fields: Any) -> views.DeploymentView:
        basic = views.DeploymentView(
            owned=True,
            deleting=False,
            current=True,
            step=step,
            manifest_sha256=SHA,
            replicas=self.spec.serving.replicas,
            ready=ready,
            updated=self.spec.serving.replicas,
            available=ready,
            existing=self.spec.serving.replicas,
            refusal=None,
            deadline_message=None,
        )
        return dataclasses.replace(basic, **fields)

    def serves(self, step: int) -> None:
        """The step has been promoted, and its servers are ready."""
        self.edit(promoted_step=step)
        self.deployment = self.servers(step)
        self.settle()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    return World


def created(decided: plan.Plan[Any], kind: str) -> list[dict[str, Any]]:
    return [dict(item.body) for item in decided.actions if isinstance(item, plan.Create) and item.body["kind"] == kind]


def applied(decided: plan.Plan[Any], kind: str) -> list[dict[str, Any]]:
    return [dict(item.body) for item in decided.actions if isinstance(item, plan.Apply) and item.body["kind"] == kind]


@pytest.fixture
def look() -> type:
    """Short ways to look into a plan."""

    class Look:
        created = staticmethod(created)
        applied = staticmethod(applied)

        @staticmethod
        def served_step(decided: plan.Plan[Any]) -> int | None:
            found = applied(decided, "Deployment")
            return int(found[0]["metadata"]["annotations"][names.ANNOTATION_STEP]) if found else None

        @staticmethod
        def told(decided: plan.Plan[Any]) -> list[str]:
            return [event.reason for event in decided.events]

    return Look
