"""Which steps training must not delete, whatever its retention says. Pure."""

from __future__ import annotations

from kelong_operator.plan import Pin
from kelong_operator.views import ObservedVoice, VoiceInStore


def steps(seen: ObservedVoice, target: int | None) -> tuple[int, ...]:
    """The steps to keep: the one asked for (also before it exists), the target, what serves, what served before.

    Beside them what unfinished SynthesisJobs speak with, and what other voices begin with.
    """
    served = seen.status.serving
    previous = served.previous_step if served is not None else None
    wanted = {seen.spec.promoted_step, target, seen.status.promoted_step, previous, *seen.needed_steps}
    return tuple(sorted(step for step in wanted if step is not None))


def decide(seen: ObservedVoice, target: int | None) -> tuple[Pin, ...]:
    """What to do before the target is rolled out. A store that is away holds up no server, as ever."""
    wanted = steps(seen, target)
    if not isinstance(seen.store, VoiceInStore) or seen.store.pins == wanted:
        return ()
    found = any(checkpoint.step == target for checkpoint in seen.store.checkpoints)
    return (Pin(steps=wanted, must_exist=target if found else None),)
