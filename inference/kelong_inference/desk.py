"""The desk in front of the one voice: a bounded queue, one worker thread, and the event loop kept free.

A request that does not fit is refused at once with the time after which to try again. One whose client has gone is
dropped: at once while it waits, at its next sentence while it is spoken.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kelong_inference.errors import Refused

T = TypeVar("T")

_SMOOTHING = 0.2  # weight of the newest request in the mean that Retry-After is made from
_LONGEST_RETRY_S = 60


class Desk:
    """Takes work for one thread, at most `places` at a time, those being worked on included."""

    def __init__(self, places: int, changed: Callable[[int], None]) -> None:
        self._places = places
        self._changed = changed
        self._taken = 0
        self._mean_s = 1.0
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")

    async def ask(self, work: Callable[[threading.Event], T]) -> T:
        """What `work` returns, done in its turn; raises Refused if the queue is full.

        `work` is given an event that is set when the caller was cancelled, and may then end early in any way.
        """
        if self._taken >= self._places:
            message = f"{self._taken} requests wait already, the limit is {self._places}; try again a little later"
            raise Refused("Busy", message, retry_after_s=self._retry_after_s())
        loop = asyncio.get_running_loop()
        abandoned = threading.Event()
        self._move(+1)
        task = self._thread.submit(self._timed, work, abandoned)
        task.add_done_callback(lambda _: _leave(loop, self._move))
        try:
            return await asyncio.wrap_future(task)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    def close(self) -> None:
        """Drop what waits; what is being spoken is told to stop."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[threading.Event], T], abandoned: threading.Event) -> T:
        begun = time.perf_counter()
        try:
            return work(abandoned)
        finally:
            self._mean_s += _SMOOTHING * (time.perf_counter() - begun - self._mean_s)

    def _move(self, change: int) -> None:
        self._taken += change
        self._changed(self._taken)

    def _retry_after_s(self) -> int:
        """When about half of the queue should be done: sooner than that a new try finds it full again."""
        return max(1, min(_LONGEST_RETRY_S, math.ceil(self._taken * self._mean_s / 2)))


def _leave(loop: asyncio.AbstractEventLoop, move: Callable[[int], None]) -> None:
    """Free a place, on the event loop's own thread; a loop that is closed has no queue to count any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(move, -1)
