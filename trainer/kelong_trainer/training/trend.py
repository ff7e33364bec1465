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
from dataclasses import dataclass

from kelong_trainer.training.step import Diverged

WINDOW_STEPS = 200  # medians over so many steps are compared
WORSE_BY = {"mel": 2.0, "divergence": 10.0}


@dataclass(frozen=True, kw_only=True)
class _Level:
    """A loss's median over a window, and the window's last step."""

    median: float
    step: int


class Trend:
    """The course of the losses since the process began, after the step `begun_after`."""

    def __init__(self, begun_after: int = 0) -> None:
        self._recent = {name: collections.deque[float](maxlen=WINDOW_STEPS) for name in WORSE_BY}
        self._best = {name: _Level(median=float("inf"), step=begun_after) for name in WORSE_BY}
        self._step = self._begun_after = begun_after

    def follow(self, losses: Mapping[str, float]) -> None:
        """Take in a step's losses; raises Diverged when a loss has left its best level for good."""
        for name, recent in self._recent.items():
            recent.append(losses[name])
        self._step += 1
        if (self._step - self._begun_after) % WINDOW_STEPS:
            return
        for name, recent in self._recent.items():
            now = _Level(median=statistics.median(recent), step=self._step)
            best = self._best[name] = min(self._best[name], now, key=lambda level: level.median)
            if best.median > 0 and now.median > WORSE_BY[name] * best.median:
                raise Diverged(
                    f"the loss {name} has risen from {best.median:.3g} (until step {best.step}) to {now.median:.3g}, "
                    f"medians over {WINDOW_STEPS} steps",
                    good_until=best.step,
                )
