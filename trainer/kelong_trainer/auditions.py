"""What each checkpoint sounds like: a few sentences, spoken from the saved files by a process of their own.

The process runs beside training on one thread at low priority, so that no step waits for it and no random draw of
training is touched. It loads the very files that a server will load and speaks with the server's own `Voice.say`.
"""

from __future__ import annotations

import json
import logging
import os
import pathlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable

from kelong_contract import codec, layout, manifests
from kelong_contract import store as stores

from kelong_trainer import checkpoints
from kelong_trainer.context import RunContext, Stopped

log = logging.getLogger(__name__)

TRIES = 2  # a speaking process that dies (of memory, say) is started once more for the same step


class Auditions:
    """The queue of steps to be heard, and the thread that has them spoken one after another."""

    def __init__(self, context: RunContext, command: Iterable[str]) -> None:
        self._context, self._command = context, tuple(command)
        self._waiting: queue.Queue[int | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._guard = threading.Lock()  # of _process against `abandon`
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="auditions", daemon=True)
        self._thread.start()

    def catch_up(self) -> None:
        """Have every listed step spoken that has no report yet: an earlier process left it."""
        context = self._context
        for step in checkpoints.steps(context.store, context.place):
            if not context.store.exists(layout.audition_report(context.place, step)) and (
                checkpoints.manifest(context.store, context.place, step).listed
            ):
                self.add(step)

    def add(self, step: int) -> None:
        """Have a step spoken when those before it are done."""
        self._waiting.put(step)

    def finish(self) -> None:
        """Wait until all are spoken. Raises Stopped if asked to stop meanwhile: the rest is left for the next attempt."""
        self._waiting.put(None)
        if self._thread.is_alive() and self._waiting.qsize() > 1:
            log.info("waiting for the last auditions")
        while self._thread.is_alive():
            self._thread.join(timeout=0.2)
            self._context.check_stopping()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Leave what is not spoken yet."""
        with self._guard:
            self._ending.set()
            if self._process is not None:
                self._process.kill()
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (step := self._waiting.get()) is not None and not self._ending.is_set():
                self._hear(step)
        except (stores.StoreError, codec.Malformed) as error:  # raised by `finish`
            self._failure = error
        finally:
            self._end_process()
