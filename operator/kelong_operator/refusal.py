"""The plan for a resource that cannot be carried out: say why, and leave everything else as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from kelong_contract import conditions
from kelong_contract.conditions import Finding
from kelong_contract.resources import Condition, VoiceModelStatus
from kelong_contract.synthesis_jobs import SynthesisJobStatus

from kelong_operator.plan import Plan
from kelong_operator.settings import Settings
from kelong_operator.views import Owner

Status = TypeVar("Status", bound=VoiceModelStatus | SynthesisJobStatus)


def refuse(
    owner: Owner,
    known: Status,
    why: str,
    settings: Settings,
    now: str,
    reason: str = conditions.INVALID_SPEC,
) -> Plan[Status]:
    """Ready turns false with this reason; every other condition stays."""
    finding = Finding(type=conditions.READY, status="False", reason=reason, message=why)
    before: tuple[Condition, ...] = known.conditions
    others = tuple(item for item in before if item.type != conditions.READY)
    after = (*conditions.merge(before, (finding,), owner.generation, now), *others)
    return Plan(
        status=replace(known, observed_generation=owner.generation, conditions=after),
        events=conditions.events(before, after),
        again_in_s=settings.intervals.resync_seconds,
    )
