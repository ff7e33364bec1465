"""What a voice's weights begin with, where that is a step of another VoiceModel: found once, then remembered. Pure."""

from __future__ import annotations

from kelong_contract import conditions
from kelong_contract.conditions import Finding
from kelong_contract.resources import InitStatus

from kelong_operator.views import ObservedVoice


def resolve(seen: ObservedVoice) -> InitStatus | None:
    """The other voice and its step; None where there is none to find, or it is not there yet.

    The uid is kept from then on: what it names in the store stays, also when that VoiceModel goes.
    """
    wished = seen.spec.training.init.voice_model
    if wished is None or seen.status.training.init is not None:
        return seen.status.training.init
    if seen.init_voice is None or all(item.step != wished.step for item in seen.init_voice.status.checkpoints):
        return None
    return InitStatus(name=wished.name, uid=seen.init_voice.uid, step=wished.step)


def obstacle(seen: ObservedVoice) -> Finding | None:
    """Why training cannot begin yet."""
    wished = seen.spec.training.init.voice_model
    if wished is None or resolve(seen) is not None:
        return None
    if seen.init_voice is None:
        reason, message = conditions.MODEL_NOT_READY, f"there is no VoiceModel {wished.name} in this namespace"
    else:
        reason = conditions.STEP_NOT_FOUND
        message = f"the VoiceModel {wished.name} has no checkpoint of step {wished.step}"
    told = f"{message}; training.init begins with it, so training waits"
    return Finding(type=conditions.TRAINED, status="False", reason=reason, message=told)
