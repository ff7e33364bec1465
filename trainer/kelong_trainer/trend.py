"""Notices a training that gets worse and worse while all its numbers are still numbers.

Two losses tell: `mel`, how far what is said is from the recordings, and `divergence`, how far the text is from what is
said. Both fall for as long as anything is learned, and wander by a tenth or two when all is learned; clipped gradients
keep single bad batches from mattering. What is lost once they have doubled, or for the divergence, which begins at
hundreds, grown tenfold, does not come back by itself.
"""

from __future__ import annotations

import collections
import statistics
from collections.abc import Mapping

from kelong_trainer.step import Diverged

WINDOW_STEPS = 200  # medians over so many steps are compared
WORSE_BY = {"mel": 2.0, "divergence": 10.0}


class Trend:
    """The course of the losses since the process began."""

    def __init__(self) -> None:
        self._recent = {name: collections.deque[float](maxlen=WINDOW_STEPS) for name in WORSE_BY}
        self._best = dict.fromkeys(WORSE_BY, float("inf"))
        self._steps = 0

    def follow(self, losses: Mapping[str, float]) -> None:
        """Take in a step's losses; raises Diverged when a loss has left its best level for good."""
        for name, recent in self._recent.items():
            recent.append(losses[name])
        self._steps += 1
        if self._steps % WINDOW_STEPS:
            return
        for name, recent in self._recent.items():
            level = statistics.median(recent)
            best = self._best[name] = min(self._best[name], level)
            if best > 0 and level > WORSE_BY[name] * best:
                raise Diverged(
                    f"the loss {name} has risen from {best:.3g} to {level:.3g}, medians over {WINDOW_STEPS} steps; "
                    "the last checkpoints may be worse than those before"
                )
