"""Keys that wait to be dealt with: each once, one at a time, later again, and with patience after a failure."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kelong_operator.telemetry import Telemetry

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0


@dataclass(frozen=True)
class Key:
    """Names a resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Failed(Exception):
    """Dealing with a key did not work out; it comes again after a wait that grows with each failure."""


class Workqueue:
    """Belongs to one event loop. A key that is added while it is dealt with comes again right afterwards."""

    def __init__(self, counted: Telemetry, jitter: random.Random | None = None) -> None:
        self._counted = counted
        self._jitter = jitter or random.Random()  # spreads retries; nothing that is decided depends on it
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._again: set[Key] = set()
        self._begun: dict[Key, float] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    def add(self, key: Key) -> None:
        """Deal with the key as soon as a worker is free."""
        if key in self._begun:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)
        self._counted.waiting(len(self._waiting))

    def add_later(self, key: Key, delay_s: float) -> None:
        """Deal with the key then; an earlier appointment stays, a later one is moved forward."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and not timer.cancelled() and timer.when() <= loop.time() + delay_s:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(delay_s, self._due, key)

    def longest_work_s(self) -> float:
        """How long the slowest key has been in work: a worker that hangs shows here."""
        now = time.monotonic()
        return max((now - begun for begun in tuple(self._begun.values())), default=0.0)

    async def work(self, deal_with: Callable[[Key], Awaitable[float | None]]) -> None:
        """One worker, for ever. `deal_with` returns in how many seconds to come again (None: not by itself)."""
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._begun[key] = time.monotonic()
            self._counted.waiting(len(self._waiting))
            try:
                self._settle(key, await deal_with(key))
            except Failed as error:
                wait_s = self._wait_after_failure(key)
                log.warning("%s: %s; again in %.0f s", key, error, wait_s)
                self.add_later(key, wait_s)
            except Exception:
                # A fault of ours. It must not end the worker, or every other resource would stand still with this one.
                wait_s = self._wait_after_failure(key)
                log.exception("%s: a fault in the operator; again in %.0f s", key, wait_s)
                self.add_later(key, wait_s)
            finally:
                del self._begun[key]
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    def _settle(self, key: Key, again_in_s: float | None) -> None:
        self._failures.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if again_in_s is not None:
            self.add_later(key, again_in_s)

    def _wait_after_failure(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 10), LONGEST_WAIT_S)
        return wait_s * self._jitter.uniform(0.7, 1.0)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
