"""Whatever happens in whatever order, and wherever the operator is cut off: the promises hold.

The world here plays the Job controller, the Deployment controller and the trainer, one random thing at a time; the
operator may be cut off after any of its writes. At the end all is left alone, and everything must come to rest.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import hypothesis
from hypothesis import strategies
from kelong_contract import names, resources
from kelong_operator import plan, views, voice_model

KINDS = [
    "look",
    "cut off",
    "pod starts",
    "prepared",
    "train",
    "save",
    "pod ends",
    "pod fails",
    "bad data",
    "ready",
    "finish",
    "suspend",
    "resume",
    "interval",
    "lexicon",
    "review",
    "trust",
    "promote",
    "forget",
    "scale",
    "store away",
    "store back",
    "more steps",
    "tidy",
]
# Half of the lives begin with what chance alone seldom strings together: a voice in training, with steps to promote.
UNDER_WAY = [("look", 0), ("pod starts", 0), ("save", 0), ("save", 0), ("save", 0), ("look", 0)]
ANYTHING = strategies.lists(strategies.tuples(strategies.sampled_from(KINDS), strategies.integers(0, 3)), max_size=40)
HAPPENINGS = strategies.builds(lambda first, then: first + then, strategies.sampled_from([[], UNDER_WAY]), ANYTHING)
FAILURE = {"failure_reason": "PodFailurePolicy", "failure_message": "failed with exit code 65 matching"}


class Cluster:
    """The parts of Kubernetes and of the trainer that matter to a decision."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.step = 0
        self.attempts: list[int] = []
        self.stored = world.store
        self.unseen: set[int] = set()

    def look(self, cut_off_after: int | None = None) -> None:
        """One pass of the operator, cut off after so many writes."""
        world = self.world
        decided = voice_model.decide(world.see(), world.settings, "2026-01-02T03:04:05Z")
        for count, action in enumerate(decided.actions):
            if count == cut_off_after:
                return
            self.carry_out(action)
        if cut_off_after is None:
            self.check(decided.status)
            world.status = decided.status

    def carry_out(self, action: plan.Action) -> None:
        world = self.world
        if isinstance(action, plan.Create) and action.body["kind"] == "Job":
            marks = action.body["metadata"]["annotations"]
            attempt = int(action.body["metadata"]["labels"][names.LABEL_ATTEMPT])
            assert attempt not in self.attempts, "an attempt began twice"
            assert not any(job.busy_pods for job in world.jobs), "a second pod would train"
            self.attempts.append(attempt)
            job = world.job(attempt, busy_pods=0, generation=int(marks[names.ANNOTATION_GENERATION]))
            digest, wish = marks[names.ANNOTATION_ORDER_DIGEST], marks[names.ANNOTATION_WISH]
            start = int(marks[names.ANNOTATION_STEP])
            made = dataclasses.replace(job, order_digest=digest, wish=wish, start_step=start)
            world.jobs += (dataclasses.replace(made, preparing=marks[names.ANNOTATION_PREPARING]),)
        elif isinstance(action, plan.Suspend):
            world.jobs = tuple(dataclasses.replace(job, suspended=action.suspended) for job in world.jobs)
        elif isinstance(action, plan.Delete) and action.kind == "Job":
            assert all(job.busy_pods == 0 for job in world.jobs), "a pod would be lost with what it has not saved"
            world.jobs, world.pods = (), ()
        elif isinstance(action, plan.Apply) and action.body["kind"] == "Deployment":
            marks = action.body["metadata"]["annotations"]
            step, replicas = int(marks[names.ANNOTATION_STEP]), action.body["spec"]["replicas"]
            if isinstance(world.store, views.StoreAway):
                self.unseen.add(step)  # nothing can be pinned
            else:
                assert step in self.stored.pins, "a step is rolled out that training may delete"
            before = world.deployment
            if before is None:
                world.deployment = world.servers(step, ready=0, updated=0, existing=0)
            elif (before.step, before.replicas) != (step, replicas):
                updated = before.updated if before.step == step else 0
                world.deployment = dataclasses.replace(
                    before, step=step, replicas=replicas, updated=updated, current=False
                )

        elif isinstance(action, plan.Pin):
            self.keep_only(pins=action.steps)

    def happen(self, what: str, number: int) -> None:
        world, jobs = self.world, self.world.jobs
        live = bool(jobs) and not jobs[0].finished
        if what == "look":
            self.look()
        elif what == "cut off":
            self.look(cut_off_after=number)
        elif what == "pod starts" and live and not jobs[0].suspended:
            world.jobs = (dataclasses.replace(jobs[0], busy_pods=1),)
            world.pods = (world.pod(job=jobs[0].name),)
        elif what == "prepared" and live and jobs[0].busy_pods and self.step == 0 and world.spec.review:
            self.keep(saved=False, stage="review", started_at=None)
        elif what in ("train", "save") and live and jobs[0].busy_pods:
            self.step = min(self.step + 100 * (number + 1), world.spec.training.max_steps)
            self.keep(saved=what == "save")
        elif what == "finish" and live and jobs[0].busy_pods:
            self.step = world.spec.training.max_steps
            self.keep(saved=True, stage="done")
            world.jobs, world.pods = (dataclasses.replace(jobs[0], busy_pods=0, complete=True),), ()
        elif what == "pod ends" and live:
            world.jobs, world.pods = (dataclasses.replace(jobs[0], busy_pods=0),), ()
        elif what in ("pod fails", "bad data") and live:
            fields = FAILURE if what == "bad data" else {"failure_reason": "BackoffLimitExceeded"}
            world.jobs, world.pods = (dataclasses.replace(jobs[0], busy_pods=0, failed=True, **fields),), ()
        else:
            self.wish(what, number)

    def wish(self, what: str, number: int) -> None:
        world, servers = self.world, self.world.deployment
        if what == "ready" and servers is not None:
            wished = servers.replicas
            world.deployment = dataclasses.replace(
                servers, ready=wished, available=wished, updated=wished, existing=wished, current=True
            )
        elif what in ("suspend", "resume"):
            world.edit(suspend=what == "suspend")
        elif what == "interval":
            rule = dataclasses.replace(world.spec.training.checkpoint, interval_steps=1000 + number)
            world.edit_training(checkpoint=rule)
        elif what in ("review", "trust"):
            world.edit(review=what == "review")
        elif what == "lexicon":
            world.edit(text=resources.Text(lexicon={"重庆": f"chong2 qing{number + 1}"}))
        elif what == "more steps":
            world.edit_training(max_steps=world.spec.training.max_steps + 1000)
        elif what == "promote" and world.status.checkpoints:
            listed = world.status.checkpoints
            world.edit(promoted_step=listed[number % len(listed)].step)
        elif what == "forget":
            world.edit(promoted_step=None)
        elif what == "scale":
            world.edit_serving(replicas=number)
        elif what == "tidy" and isinstance(world.store, views.VoiceInStore):
            self.tidy()
        elif what == "store away":
            world.store = views.StoreAway(message="refused")
        elif what == "store back":
            world.store = self.stored

    def keep(self, *, saved: bool, stage: str = "train", **said: Any) -> None:
        """The trainer writes; it waits for a store that is away, so what it wrote is there when the store is back."""
        world = self.world
        job = world.jobs[0]
        said |= {"stage": stage, "order_digest": job.order_digest, "pod": f"{job.name}-x7f2p"}
        progress = world.progress(self.step, **said)
        fields: dict[str, Any] = {"progress": progress, "report": world.report()}
        if saved:
            made = {item.step: item for item in self.stored.checkpoints} | {self.step: world.checkpoint(self.step)}
            fields |= {"checkpoints": tuple(made[step] for step in sorted(made)), "saved_step": self.step}
        self.stored = dataclasses.replace(self.stored, **fields)
        if isinstance(world.store, views.VoiceInStore):
            world.store = self.stored

    def tidy(self) -> None:
        """The trainer keeps the newest step and the pinned ones."""
        found = self.stored.checkpoints
        stay = tuple(item for item in found if item.step in (found[-1].step, *(self.stored.pins or ())))
        self.keep_only(checkpoints=stay)
        servers = self.world.deployment
        assert servers is None or servers.step in self.unseen | {item.step for item in stay}, "what serves is deleted"

    def keep_only(self, **fields: Any) -> None:
        self.world.store = self.stored = dataclasses.replace(self.stored, **fields)

    def check(self, status: Any) -> None:
        before, world = self.world.status, self.world
        assert (status.training.attempt or 0) >= (before.training.attempt or 0)
        assert status.observed_generation == world.owner.generation
        saved = {item.step for item in self.stored.checkpoints}
        if isinstance(world.store, views.VoiceInStore):
            assert {item.step for item in status.checkpoints} <= saved
        if status.promoted_step != before.promoted_step:
            servers = world.deployment
            assert servers is not None and servers.step == status.promoted_step
            assert servers.available >= world.spec.serving.replicas > 0, "a step counts as promoted that nobody speaks"

    def rest(self) -> None:
        """Nothing more happens but what Kubernetes does by itself: pods stop when told, servers become ready."""
        self.happen("store back", 0)
        for _ in range(12):
            if self.world.jobs and (self.world.jobs[0].suspended or self.world.jobs[0].finished):
                self.happen("pod ends", 0)
            self.happen("ready", 0)
            self.look()


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(HAPPENINGS)
@hypothesis.example([*UNDER_WAY, ("scale", 0), ("promote", 0)])
@hypothesis.example([("review", 0), *UNDER_WAY[:2], ("prepared", 0), ("look", 0), ("suspend", 0), ("store away", 0)])
@hypothesis.example([("review", 0), *UNDER_WAY[:2], ("prepared", 0), ("look", 0), ("pod ends", 0), ("trust", 0)])
@hypothesis.example([*UNDER_WAY, ("promote", 0), ("look", 0), ("ready", 0), ("look", 0), ("scale", 0), ("promote", 1)])
def test_promises_hold_whatever_happens(make_world: Any, happenings: list[tuple[str, int]]) -> None:
    cluster = Cluster(make_world())
    for what, number in happenings:
        cluster.happen(what, number)
    cluster.rest()
    world = cluster.world
    decided = voice_model.decide(world.see(), world.settings, "2026-01-09T00:00:00Z")
    assert decided.status == world.status, "deciding on its own outcome must change nothing"
    assert decided.events == ()
    assert not any(
        isinstance(action, plan.Create | plan.Suspend | plan.Delete | plan.Pin) for action in decided.actions
    )
    if world.spec.promoted_step in {item.step for item in cluster.stored.checkpoints}:
        assert world.deployment is not None
        assert world.deployment.step == world.spec.promoted_step
        assert world.status.promoted_step == world.spec.promoted_step or world.spec.serving.replicas == 0
    assert len(world.jobs) <= 1
