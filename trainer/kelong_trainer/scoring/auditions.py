"""What each checkpoint sounds like: a few sentences, spoken from the saved files by a process of their own.

The process (`speaking`) runs beside training on one thread at low priority, so that no step waits for it and no random
draw of training is touched. What it says is judged there too. It lives as long as there is something to say; asked to
stop, the rest is left for the next attempt, which finds out what is missing.

The judges' models may be larger than the voice, and where memory ends the whole container may be killed, training and
all. So a mark is left in the store before a step is judged. A step that has one already is spoken and not judged, and
once that has been so of several, judging is given up: else every attempt would be killed by the same judge.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator

from kelong_contract import codec, layout, manifests, names
from kelong_contract import store as stores

from kelong_trainer.context import RunContext
from kelong_trainer.scoring import speaking
from kelong_trainer.training import checkpoints

log = logging.getLogger(__name__)

# A speaking process that dies (of memory, say) is started once more for the same step, from then on without the judges,
# whose models may be larger than the voice.
TRIES = 2
MOST_KILLS = 2  # so many steps whose judging did not end: a pod may be killed for other reasons, but hardly twice there
ORDER_FILE = "audition-order.json"


@contextlib.contextmanager
def running(context: RunContext) -> Iterator[Auditions]:
    """Auditions for as long as the block lasts; what is not spoken at its end is abandoned."""
    heard = Auditions(context)
    try:
        yield heard
    finally:
        heard.abandon()


class Auditions:
    """The queue of steps to be heard, and the thread that has them spoken one after another."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._waiting: queue.Queue[int | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._is_judging = True
        self._abandoned = False
        self._guard = threading.Lock()  # of the process and of `_abandoned`
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="auditions", daemon=True)
        self._thread.start()

    def catch_up(self) -> None:
        """Have every listed step spoken that has no report yet: an earlier process left it."""
        context = self._context
        self._give_up_judging()
        for step in checkpoints.steps(context.store, context.place):
            if context.store.exists(layout.audition_report(context.place, step)):
                continue
            if checkpoints.manifest(context.store, context.place, step).listed:
                self.add(step)

    def add(self, step: int) -> None:
        """Have a step spoken when those before it are done."""
        self._waiting.put(step)

    def finish(self) -> None:
        """Wait until all are spoken; raises Stopped if asked to stop meanwhile."""
        self._waiting.put(None)
        while self._thread.is_alive():
            self._thread.join(timeout=0.2)
            self._context.check_stopping()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Leave what is not spoken yet."""
        with self._guard:
            self._abandoned = True
            if self._process is not None:
                self._process.kill()
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (step := self._waiting.get()) is not None and not self._abandoned:
                self._hear(step)
        except Exception as error:  # raised again by `finish`, in the thread that can deal with it
            self._failure = error
        finally:
            self._end_process()

    def _hear(self, step: int) -> None:
        """Have one step spoken, and judged unless that was tried in vain."""
        store, mark = self._context.store, layout.audition_judging(self._context.place, step)
        if not self._is_judging:
            self._speak(step, judged=False)
        elif store.exists(mark):
            log.warning("step %d is spoken and not judged: when that was tried before, this process was killed", step)
            self._speak(step, judged=False)
        else:
            store.put(mark, codec.dumps({"attempt": self._context.attempt}), "application/json")
            try:
                self._speak(step, judged=True)
            finally:
                store.delete(mark)

    def _give_up_judging(self) -> None:
        """Judge nothing any more if the marks of earlier attempts say that it kills."""
        place = self._context.place
        keys = {item.key for item in self._context.store.list(layout.all_auditions(place))}
        steps = {step for key in keys if (step := layout.audition_judging_step(place, key)) is not None}
        if len(steps) >= MOST_KILLS:
            self._is_judging = False
            log.warning(
                "no step is judged: judging the steps %s killed this process. Give training.resources more memory and "
                "delete judging.json beside their auditions to have the next ones judged",
                ", ".join(map(str, sorted(steps))),
            )

    def _speak(self, step: int, *, judged: bool) -> None:
        """Have one step spoken. If the process dies every time, the step's report says so.

        A step may be removed, by retention or by a person, while it waits or is spoken: then there is nothing to hear.
        """
        for attempt in range(1, TRIES + 1):
            if not self._context.store.exists(layout.checkpoint_manifest(self._context.place, step)):
                log.info("step %d was removed before it was heard", step)
                return
            process = self._start_process()
            if process is None:
                return
            if _ask(process, step, judged=judged and self._is_judging):
                self._tell(step)
                return
            self._end_process()
            if self._abandoned:
                return
            self._is_judging = False
            log.warning(
                "speaking step %d ended with exit status %d; from here on nothing is judged", step, process.returncode
            )
            if attempt == TRIES:
                with contextlib.suppress(stores.NoSuchObject):  # removed while it was spoken
                    self._report_death(step, process.returncode)

    def _start_process(self) -> subprocess.Popen[str] | None:
        """The running process or a new one; None once abandoned."""
        with self._guard:
            if self._abandoned or self._process is not None:
                return None if self._abandoned else self._process
            context = self._context
            order = context.work_dir / ORDER_FILE
            order.write_bytes(codec.dumps(context.order))
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "kelong_trainer.scoring.speaking",
                    str(order),
                    str(context.work_dir / "auditions"),
                ],
                env=os.environ | {names.ENV_THREADS: "1", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C at a terminal is for us; the process ends with its standard input
            )
            return self._process

    def _end_process(self) -> None:
        with self._guard:
            process, self._process = self._process, None
        if process is not None and process.stdin is not None and process.stdout is not None:
            with contextlib.suppress(BrokenPipeError):  # it is gone already
                process.stdin.close()
            process.wait()
            process.stdout.close()

    def _tell(self, step: int) -> None:
        """Say what the judges say of a step that has just been heard; it may be gone again."""
        key = layout.audition_report(self._context.place, step)
        try:
            report = codec.loads(manifests.AuditionReport, self._context.store.get(key), key)
        except stores.NoSuchObject:
            log.info("step %d was removed once it was heard", step)
            return
        self._context.telemetry.heard(report)
        figures = codec.encode(report.figures, drop_none=True)
        told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        log.info("step %d has been heard%s", step, f": {told}" if told else "")

    def _report_death(self, step: int, status: int) -> None:
        message = f"the process that speaks auditions ended with exit status {status} every time"
        speaking.report_failure(self._context.store, self._context.order, step, message)


def _ask(process: subprocess.Popen[str], step: int, *, judged: bool) -> bool:
    """Hand a step to the process; whether it answers that the step's report is written."""
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    line = f"{step}\n" if judged else f"{step} {speaking.UNJUDGED}\n"
    with contextlib.suppress(BrokenPipeError):  # it died; the missing answer says so
        process.stdin.write(line)
        process.stdin.flush()
    return process.stdout.readline() == line
