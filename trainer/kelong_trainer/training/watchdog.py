"""Ends a training process whose step no longer comes to an end, so that it is started again from the last checkpoint.

A hung GPU or a lost peer gives no error and no exit: the pod would look busy for days. Only the time inside a step
counts. Loading, saving and evaluation lie between steps; they wait for the store, whose absence may last.
"""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kelong_contract import farewell

EXIT_STUCK = 1  # a fault that trying again may cure
MEDIAN_OVER_STEPS = 50
LOOK_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a step may take.

    `factor` times the median of the steps before: batches differ in length by a factor of three at most, and a machine
    that is shared or throttled by another three. But never less than `least_s`: steps of a second may stall for minutes
    on a busy disk, and a rank that waits for one that is gone is to learn of that first (`meeting.SILENCE`). A
    process's first steps compile, tune and read from cold caches: `first_s`.
    """

    factor: float = 10.0
    least_s: float = 900.0
    first_s: float = 1800.0
    first_steps: int = 5


class Watchdog:
    """Looks at the clock from a thread of its own and calls `stuck`, with a sentence, if a step takes too long."""

    def __init__(
        self,
        stuck: Callable[[str], None],
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._stuck, self._limits, self._clock = stuck, limits or Limits(), clock
        self._took_s: collections.deque[float] = collections.deque(maxlen=MEDIAN_OVER_STEPS)
        self._guard = threading.Lock()  # of the times, which the thread reads
        self._steps = 0
        self._began_s: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(look_every_s,), name="watchdog", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """One step: only in here does time count."""
        began_s = self._clock()
        with self._guard:
            self._began_s = began_s
        try:
            yield
        finally:
            with self._guard:
                self._took_s.append(self._clock() - began_s)
                self._began_s = None
                self._steps += 1

    def limit_s(self) -> float:
        """How long the step under way may take."""
        with self._guard:
            if self._steps < self._limits.first_steps:
                return self._limits.first_s
            return max(self._limits.factor * statistics.median(self._took_s), self._limits.least_s)

    def look(self) -> None:
        """Call `stuck` if the step under way has taken too long."""
        limit_s = self.limit_s()
        with self._guard:
            so_far_s = 0.0 if self._began_s is None else self._clock() - self._began_s
        if so_far_s > limit_s:
            self._closing.set()
            self._stuck(f"a training step has taken {so_far_s:.0f} s, which is more than {limit_s:.0f} s")

    def close(self) -> None:
        """Look no longer."""
        self._closing.set()
        self._thread.join()

    def _run(self, look_every_s: float) -> None:
        while not self._closing.wait(look_every_s):
            self.look()


@contextlib.contextmanager
def watching(program: str, limits: Limits | None = None, *, look_every_s: float = LOOK_EVERY_S) -> Iterator[Watchdog]:
    """A watchdog over this process: a stuck step writes the stack of every thread and ends it."""

    def end(what: str) -> None:
        faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
        farewell.say(program, f"{what}: this process ends, to go on from the last checkpoint")
        os._exit(EXIT_STUCK)  # nothing of it can be trusted to clean up

    watchdog = Watchdog(end, limits, look_every_s=look_every_s)
    try:
        yield watchdog
    finally:
        watchdog.close()
