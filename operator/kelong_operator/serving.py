"""The serving side of a VoiceModel: which step its servers should speak with, and how far they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kelong_contract import conditions, names
from kelong_contract.conditions import Finding
from kelong_contract.resources import ServingStatus

from kelong_operator import children, order_book, pinning
from kelong_operator.plan import Action, Apply, Lane
from kelong_operator.settings import Settings
from kelong_operator.views import DeploymentView, ObservedVoice, StoreAway, Trouble


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the servers should speak with: a step and its manifest's digest."""

    step: int
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The target, if any, and why the promoted step is not it (None where it is)."""

    target: Target | None
    obstacle: Finding | None


def choose(seen: ObservedVoice) -> Choice:
    """Which step should serve. Whatever stands in the way of another one, what serves goes on."""
    requested, current = seen.spec.promoted_step, _current(seen)
    if requested is None:
        told = f"; step {current.step} goes on serving" if current is not None else ""
        return Choice(target=current, obstacle=_no(conditions.NOT_REQUESTED, f"spec.promotedStep is not set{told}"))
    if isinstance(seen.store, StoreAway):
        known = {item.step: item.manifest_sha256 for item in seen.status.checkpoints}
        if requested in known:
            return Choice(target=Target(step=requested, manifest_sha256=known[requested]), obstacle=None)
        if current is not None and current.step == requested:
            return Choice(target=current, obstacle=None)
        message = f"step {requested} is looked for when the store can be reached"
        return Choice(target=current, obstacle=_no(conditions.STORAGE_UNAVAILABLE, message))
    if requested in seen.store.broken:
        message = f"checkpoint {requested} is not served: {seen.store.broken[requested]}"
        return Choice(target=current, obstacle=_no(conditions.CHECKSUM_MISMATCH, message))
    for checkpoint in seen.store.checkpoints:
        if checkpoint.step == requested:
            target = Target(step=requested, manifest_sha256=checkpoint.manifest_sha256)
            return Choice(target=target, obstacle=None)
    message = f"there is no checkpoint of step {requested} in the store yet; it serves as soon as it appears"
    return Choice(target=current, obstacle=_no(conditions.STEP_NOT_FOUND, message))


def decide(seen: ObservedVoice, settings: Settings) -> Lane:
    """What to do about pins, Deployment and Service, and the conditions Promoted and Available."""
    anothers = [
        kind
        for kind, taken in (
            ("Deployment", seen.deployment is not None and not seen.deployment.owned),
            ("Service", seen.service_is_anothers),
        )
        if taken
    ]
    choice = choose(seen)
    pin = pinning.decide(seen, choice.target.step if choice.target is not None else None)
    if choice.target is not None and anothers:
        message = f"the {anothers[0]} {seen.owner.name} exists and belongs to something else; rename this VoiceModel"
        nothing = Finding(
            type=conditions.AVAILABLE, status="False", reason=conditions.NAME_CONFLICT, message="no server can be made"
        )
        findings = (_no(conditions.NAME_CONFLICT, message), nothing)
        return Lane(findings=findings, actions=pin, again_in_s=settings.intervals.resync_seconds)
    findings = (_promoted(seen, choice), _available(seen, choice))
    if choice.target is None:
        waiting = choice.obstacle is not None and choice.obstacle.reason != conditions.NOT_REQUESTED
        again_in_s = settings.intervals.retry_seconds if waiting else settings.intervals.resync_seconds
        return Lane(findings=findings, actions=pin, again_in_s=again_in_s)
    target = choice.target
    order = order_book.serving_order(seen.owner, seen.spec, target.step, target.manifest_sha256, settings)
    deployment = children.build_deployment(seen.owner, seen.spec, order, settings)
    service = children.build_service(seen.owner)
    settled = findings[0].reason in (conditions.SERVING, conditions.NOT_REQUESTED, conditions.SCALED_TO_ZERO)
    again_in_s = settings.intervals.resync_seconds if settled else settings.intervals.retry_seconds
    actions: tuple[Action, ...] = (*pin, Apply(body=service), Apply(body=deployment))
    return Lane(findings=findings, actions=actions, again_in_s=again_in_s)


def is_rolled_out(seen: ObservedVoice, target: Target | None) -> bool:
    """Whether the servers are all of the target, and as many as wished for are ready. No server is no rollout.

    Once that was so, one ready server is enough: scaling up is no new rollout.
    """
    servers, wished = seen.deployment, seen.spec.serving.replicas
    if wished == 0 or target is None or servers is None or not servers.owned or not _carries(servers, target):
        return False
    if servers.existing != servers.updated:
        return False
    if seen.status.promoted_step == target.step:
        return servers.available >= 1
    return servers.current and servers.replicas == wished and min(servers.updated, servers.available) >= wished


def status_of(seen: ObservedVoice) -> tuple[int | None, ServingStatus]:
    """`status.promotedStep` (moves only when the rollout is complete) and `status.serving`."""
    target, servers, known = choose(seen).target, seen.deployment, seen.status.serving
    promoted, previous = seen.status.promoted_step, known.previous_step if known is not None else None
    if target is not None and is_rolled_out(seen, target) and promoted != target.step:
        promoted, previous = target.step, promoted
    return promoted, ServingStatus(
        replicas=servers.existing if servers is not None else 0,
        ready_replicas=servers.ready if servers is not None else 0,
        updated_replicas=servers.updated if servers is not None else 0,
        selector=children.server_selector(seen.owner),
        step=target.step if target is not None else None,
        previous_step=previous,
        manifest_sha256=target.manifest_sha256 if target is not None else None,
        url=children.server_url(seen.owner) if target is not None else None,
    )


def _current(seen: ObservedVoice) -> Target | None:
    """What was rolled out last: by the Deployment, or by status where the Deployment is gone."""
    servers, known = seen.deployment, seen.status.serving
    if servers is not None and servers.owned and servers.step > 0 and servers.manifest_sha256:
        return Target(step=servers.step, manifest_sha256=servers.manifest_sha256)
    if known is not None and known.step is not None and known.manifest_sha256 is not None:
        return Target(step=known.step, manifest_sha256=known.manifest_sha256)
    return None


def _promoted(seen: ObservedVoice, choice: Choice) -> Finding:
    target, servers = choice.target, seen.deployment
    if choice.obstacle is not None or target is None:
        return choice.obstacle or _no(conditions.NOT_REQUESTED, "spec.promotedStep is not set")
    if seen.spec.serving.replicas == 0:
        return _no(conditions.SCALED_TO_ZERO, f"step {target.step} would serve, but serving.replicas is 0")
    if is_rolled_out(seen, target):
        message = f"step {target.step} serves"
        return Finding(type=conditions.PROMOTED, status="True", reason=conditions.SERVING, message=message)
    trouble = _server_trouble(seen, target)
    if servers is not None and servers.deadline_message is not None and _carries(servers, target):
        told = trouble.message if trouble is not None else servers.deadline_message
        return _no(conditions.PROGRESS_DEADLINE_EXCEEDED, f"step {target.step} did not become ready: {told}")
    if trouble is not None:
        return _no(trouble.reason, f"step {target.step} is not ready: {trouble.message}")
    before = f"; step {seen.status.promoted_step} serves until then" if seen.status.promoted_step else ""
    return _no(conditions.ROLLING_OUT, f"the servers of step {target.step} are starting{before}")


def _available(seen: ObservedVoice, choice: Choice) -> Finding:
    kind, servers, wished = conditions.AVAILABLE, seen.deployment, seen.spec.serving.replicas
    if choice.target is None:
        message = "no step has been promoted"
        return Finding(type=kind, status="False", reason=conditions.NO_PROMOTED_STEP, message=message)
    if wished == 0:
        message = "serving.replicas is 0"
        return Finding(type=kind, status="False", reason=conditions.SCALED_TO_ZERO, message=message)
    if servers is not None and servers.available > 0:
        reason, message = conditions.MINIMUM_REPLICAS_AVAILABLE, "a server is ready to speak"
        return Finding(type=kind, status="True", reason=reason, message=message)
    reason, message = conditions.MINIMUM_REPLICAS_UNAVAILABLE, "no server is ready to speak"
    return Finding(type=kind, status="False", reason=reason, message=message)


def _carries(servers: DeploymentView, target: Target) -> bool:
    return (servers.step, servers.manifest_sha256) == (target.step, target.manifest_sha256)


def _server_trouble(seen: ObservedVoice, target: Target) -> Trouble | None:
    """Why a server of the step is not ready, or why there is none."""
    for pod in seen.pods:
        of_step = pod.component == names.COMPONENT_SERVER and pod.step == str(target.step)
        if of_step and not pod.ready and pod.trouble is not None:
            return pod.trouble
    servers = seen.deployment
    if servers is not None and servers.refusal is not None and _carries(servers, target):
        return Trouble(reason=conditions.POD_REFUSED, message=f"its pods cannot be made: {servers.refusal}")
    return None


def _no(reason: str, message: str) -> Finding:
    return Finding(type=conditions.PROMOTED, status="False", reason=reason, message=message)
