"""What the outside sees of a running trainer: a bar or log lines, progress.json in the store, Prometheus metrics.

Stages and the loop tell it facts; it decides when and where they appear. Nothing here ever blocks a training step:
progress.json is written by a thread of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import prometheus_client
import tqdm
from kelong_contract import codec, corpora, layout, manifests, metrics
from kelong_contract.store import Store, StoreError

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 3.0
HEARTBEAT_S = 30.0  # progress.json is written this often even if nothing changed, so that a stall can be told
LOG_INTERVAL_S = 10.0  # without a terminal, a running stage says where it is this often


def now() -> str:
    """The time as manifests carry it: UTC, to the second."""
    return datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What one training step has to tell."""

    step: int
    losses: dict[str, float]
    learning_rate: float
    gradient_norms: dict[str, float]
    steps_per_s: float | None
    remaining_s: float | None


class Bar:
    """How far something is: a tqdm bar on a terminal, otherwise a log line now and then."""

    def __init__(self, name: str, total: int, unit: str, done: int = 0) -> None:
        self._name, self._total, self._unit, self._done = name, total, unit, done
        self._note, self._done_before = "", done
        self._started_at = self._logged_at = time.monotonic()
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            desc=name,
            unit=unit,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )

    def advance(self, count: int = 1, note: str = "") -> None:
        """Say that `count` more are done; `note` stands behind the bar."""
        self._done += count
        self._note = note
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        if self._bar.disable and time.monotonic() - self._logged_at >= LOG_INTERVAL_S:
            self.report()

    def reach(self, done: int, total: int) -> None:
        """Say how many are done of how many, where the total becomes known on the way (0: it is not)."""
        self._total = self._bar.total = total
        self.advance(done - self._done)

    def report(self) -> None:
        """Log where it is now, and how long the rest takes if it goes on like this."""
        self._logged_at = time.monotonic()
        told = [f"{self._name} {self._done}/{self._total} {self._unit.strip()}"]
        if self._done_before < self._done < self._total:
            s_each = (self._logged_at - self._started_at) / (self._done - self._done_before)
            told.append(f"{tqdm.tqdm.format_interval((self._total - self._done) * s_each)} left")
        log.info("%s", ", ".join((*told, self._note) if self._note else told))

    def close(self) -> None:
        """Leave the terminal's line as it is."""
        if self._bar.disable:
            self.report()
        self._bar.close()


class Clock:
    """Moves a bar of whole seconds by fractions of them."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._done_s, self._shown_s = bar, 0.0, 0

    def advance(self, seconds: float) -> None:
        """Say that so much more is done."""
        self._done_s += seconds
        whole = int(self._done_s) - self._shown_s
        self._shown_s += whole
        self._bar.advance(whole)


class Telemetry:
    """The one mouth of a trainer process. `superseded` says, before each write, whether a newer attempt has begun."""

    def __init__(
        self,
        *,
        store: Store,
        place: layout.Voice,
        progress: manifests.Progress,
        superseded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._place, self._superseded = store, place, superseded
        self._progress = progress
        self._lock = threading.Lock()  # guards _progress, _dirty and the two flags
        self._wake = threading.Condition(self._lock)
        self._dirty, self._urgent, self._closing = True, True, False
        self.registry = prometheus_client.CollectorRegistry()
        self._labels = (place.namespace, place.name)
        gauge = metrics.gauge
        self._step = gauge(metrics.TRAINING_STEP, self.registry)
        self._loss = gauge(metrics.TRAINING_LOSS, self.registry)
        self._learning_rate = gauge(metrics.TRAINING_LEARNING_RATE, self.registry)
        self._gradient_norm = gauge(metrics.TRAINING_GRADIENT_NORM, self.registry)
        self._steps_per_second = gauge(metrics.TRAINING_STEPS_PER_SECOND, self.registry)
        self._frames_at_once = gauge(metrics.TRAINING_FRAMES_AT_ONCE, self.registry)
        self._recorded = gauge(metrics.DATASET_SECONDS, self.registry)
        self._clips = gauge(metrics.DATASET_CLIPS, self.registry)
        self._kept = gauge(metrics.DATASET_KEPT_SECONDS, self.registry)
        self._graded = gauge(metrics.DATASET_GRADE_SECONDS, self.registry)
        self._dropped = gauge(metrics.DATASET_DROPPED_SECONDS, self.registry)
        self._stage_seconds = gauge(metrics.STAGE_SECONDS, self.registry)
        self._audition_step = gauge(metrics.AUDITION_STEP, self.registry)
        self._audition_figure = gauge(metrics.AUDITION_FIGURE, self.registry)
        self._saves = metrics.counter(metrics.CHECKPOINT_SAVES, self.registry).labels(*self._labels)
        self._save_seconds = metrics.histogram(metrics.CHECKPOINT_SECONDS, self.registry).labels(*self._labels)
        self._step.labels(*self._labels).set(progress.step)
        gauge(metrics.TRAINING_MAX_STEPS, self.registry).labels(*self._labels).set(progress.max_steps)
        self._writer = threading.Thread(target=self._write_progress, name="progress", daemon=True)

    def start(self, metrics_port: int) -> None:
        """Serve metrics on the port (0: not at all) and begin to write progress.json."""
        if metrics_port:
            prometheus_client.start_http_server(metrics_port, registry=self.registry)
        self._writer.start()

    def close(self) -> None:
        """Write progress.json a last time and wait for it."""
        with self._wake:
            self._closing = self._urgent = True
            self._wake.notify_all()
        self._writer.join()

    @property
    def progress(self) -> manifests.Progress:
        """What progress.json says or is about to say."""
        with self._lock:
            return self._progress

    def runs_on(self, device: str) -> None:
        """Which device was chosen."""
        self._change(device=device)

    def computes_in(self, precision: str) -> None:
        """Which precision a step uses."""
        self._change(precision=precision)

    def computes_at_once(self, frames: int) -> None:
        """How many padded frames fit into memory, since a batch did not."""
        self._frames_at_once.labels(*self._labels).set(frames)
        self._change(urgent=True, frames_at_once=frames)

    @contextlib.contextmanager
    def stage(self, name: str, total: int, unit: str = "files") -> Iterator[Bar]:
        """A preprocessing stage that does its work now: `with telemetry.stage("slice", 12) as bar: bar.advance()`."""
        started = time.monotonic()
        self._change(urgent=True, stage=name)
        bar = Bar(name, total, unit)
        try:
            yield bar
        finally:
            bar.close()
        took_s = time.monotonic() - started
        self._finish_stage(name, took_s)
        log.info("%s finished in %.1f s", name, took_s)

    def cached_stage(self, name: str) -> None:
        """A preprocessing stage whose result lay in the store already."""
        self._finish_stage(name, 0.0)
        log.info("%s was done before", name)

    def dataset(self, report: corpora.CorpusReport) -> None:
        """What the corpus holds. A reason or grade that an earlier report had and this one has not is absent."""
        dropped_s = {dropped.reason: dropped.duration_s for dropped in report.dropped}
        self._recorded.labels(*self._labels).set(report.duration_s)
        self._clips.labels(*self._labels).set(report.clips)
        self._kept.labels(*self._labels).set(report.kept_s)
        self._dropped.clear()
        _set_each(self._dropped, self._labels, dropped_s)
        self._graded.clear()
        _set_each(self._graded, self._labels, {item.grade: item.duration_s for item in report.grades})
        self._change(urgent=True, kept_s=report.kept_s, dropped_s=dropped_s)
        reasons = ", ".join(f"{item.duration_s:.1f} s {item.reason}" for item in report.dropped)
        log.info(
            "the corpus has %d clips, %.1f s of %.1f s%s",
            report.clips,
            report.kept_s,
            report.duration_s,
            f"; left out: {reasons}" * bool(reasons),
        )

    def review_begins(self) -> None:
        """The corpus is made, and nothing happens until a person has looked at it."""
        self._change(urgent=True, stage="review")

    def training_begins(self, *, resumed_from: int, started_at: str) -> None:
        """Training goes on after the step `resumed_from` (0: from the beginning)."""
        self._change(
            urgent=True,
            stage="train",
            resumed_from=resumed_from,
            step=resumed_from,
            started_at=started_at,
            problem=None,
        )
        self._step.labels(*self._labels).set(resumed_from)

    def training_step(self, figures: StepFigures) -> None:
        """A training step is finished."""
        self._step.labels(*self._labels).set(figures.step)
        self._learning_rate.labels(*self._labels).set(figures.learning_rate)
        _set_each(self._loss, self._labels, figures.losses)
        _set_each(self._gradient_norm, self._labels, figures.gradient_norms)
        if figures.steps_per_s is not None:
            self._steps_per_second.labels(*self._labels).set(figures.steps_per_s)
        self._change(
            step=figures.step,
            losses=figures.losses,
            learning_rate=figures.learning_rate,
            gradient_norms=figures.gradient_norms,
            steps_per_s=figures.steps_per_s,
            remaining_s=figures.remaining_s,
        )

    def checkpoint_saved(self, took_s: float) -> None:
        """A checkpoint is committed to the store."""
        self._saves.inc()
        self._save_seconds.observe(took_s)
        self._change(urgent=True)

    def heard(self, report: manifests.AuditionReport) -> None:
        """A step has been heard. A figure that no judge gave is absent, never that of the step before."""
        self._audition_step.labels(*self._labels).set(report.step)
        self._audition_figure.clear()
        _set_each(self._audition_figure, self._labels, codec.encode(report.figures, drop_none=True))

    def done(self) -> None:
        """The last step is trained and everything is published."""
        self._change(urgent=True, stage="done", remaining_s=0.0)

    def problem(self, reason: str, message: str) -> None:
        """The trainer is about to stop because of something that a person must act on."""
        self._change(urgent=True, problem=manifests.Problem(reason=reason, message=message))

    def _finish_stage(self, name: str, took_s: float) -> None:
        self._stage_seconds.labels(*self._labels, name).set(took_s)
        with self._lock:
            finished = self._progress.finished_stages
        if name not in finished:
            self._change(urgent=True, stage=name, finished_stages=(*finished, name))

    def _change(self, *, urgent: bool = False, **fields: object) -> None:
        with self._wake:
            self._progress = dataclasses.replace(self._progress, **fields)  # type: ignore[arg-type]
            self._dirty = True
            self._urgent = self._urgent or urgent
            if urgent:
                self._wake.notify_all()

    def _write_progress(self) -> None:
        """Write what changed: at once when urgent, otherwise every few seconds; a last time when closing."""
        written_at = 0.0
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._urgent, timeout=PROGRESS_INTERVAL_S)
                closing, changed = self._closing, self._dirty
                self._dirty = self._urgent = False
                progress = dataclasses.replace(self._progress, updated_at=now())
            if changed or closing or time.monotonic() - written_at > HEARTBEAT_S:
                written_at = time.monotonic()
                try:
                    if self._superseded():
                        log.warning("a newer attempt writes progress now; attempt %d is silent", progress.attempt)
                        return
                    self._store.put(layout.progress(self._place), codec.dumps(progress), "application/json")
                except StoreError as error:
                    log.warning("progress.json was not written: %s", error)
            if closing:
                return


def serve_nothing(metrics_port: int) -> None:
    """Answer scrapes (on port 0: do not), for a pod whose annotations promise metrics that the first pod alone tells.

    The pods of a Job have one template, so Prometheus is sent to each of them.
    """
    if metrics_port:
        prometheus_client.start_http_server(metrics_port, registry=prometheus_client.CollectorRegistry())


def _set_each(gauge: prometheus_client.Gauge, labels: tuple[str, str], values: Mapping[str, float]) -> None:
    for name, value in values.items():
        gauge.labels(*labels, name).set(value)
