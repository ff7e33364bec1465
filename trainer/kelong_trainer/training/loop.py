"""Training from the last saved step to the last one ordered: when to step, to save, to tell and to stop.

The first rank leads: it saves, reports and has steps heard (`train`). Other ranks only compute (`follow`). What a step
does is in `step`, what a process begins with in `beginning`, what a checkpoint is in `state` and `publish`.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from kelong_contract import codec, conditions, corpora, layout, manifests

from kelong_trainer import documents, telemetry
from kelong_trainer.context import PROGRAM, BadData, RunContext, Stopped
from kelong_trainer.launch import Seat
from kelong_trainer.lease import Lease
from kelong_trainer.scoring import auditions
from kelong_trainer.training import (
    batches,
    beginning,
    checkpoints,
    dataset,
    loading,
    loss_log,
    meeting,
    memory,
    publish,
    state,
    step,
    trend,
    watchdog,
)
from kelong_trainer.training.beginning import Training
from kelong_trainer.training.ranks import PeersLost, Ranks, counted_until
from kelong_trainer.training.step import StepResult

log = logging.getLogger(__name__)

SPEED_OVER_STEPS = 20


def train(context: RunContext, corpus: corpora.Corpus, lease: Lease, seat: Seat) -> None:
    """Train until the last step is saved and heard. Raises Stopped once asked to stop and everything is saved."""
    _set_up(context, seat)
    saved = beginning.newest(context)
    training = beginning.make(context, corpus, saved, seat)
    with memory.bounded(context.device, seat.local_size), auditions.running(context) as heard:
        heard.catch_up()
        told = meeting.Told(
            attempt=context.attempt,
            corpus_digest=codec.digest(corpus),
            step=saved.step if saved is not None else 0,
            precision=training.settings.precision,
        )
        _lead(context, corpus, lease, seat, training, told, heard)
        context.check_stopping()
        heard.finish()


def follow(context: RunContext, seat: Seat) -> None:
    """Train beside the first rank, as long as it does. Raises Stopped once any rank was asked to stop or is gone."""
    _set_up(context, seat)

    def finished() -> bool:
        saved = beginning.newest(context)
        return saved is not None and saved.step >= context.order.training.max_steps

    guest = meeting.wait_for_leader(seat, context.stopping, finished)
    if guest is None:
        log.info("nothing is left to train")
        return
    place, told = context.place, guest.told
    log.info("rank %d of attempt %d goes on after step %d", seat.rank, told.attempt, told.step)
    key = layout.corpus(place)
    corpus = documents.parse(corpora.Corpus, context.store.get(key), key, "restore it: the first rank trains on it")
    if codec.digest(corpus) != told.corpus_digest:
        raise PeersLost("the corpus is no longer the one that the first rank told of")
    saved = checkpoints.manifest(context.store, place, told.step) if told.step else None
    training = beginning.make(context, corpus, saved, seat, told.precision)
    with (
        memory.bounded(context.device, seat.local_size),
        _together(guest.come_in(context.device, context.stopping), training) as ranks,
        _loader(context, corpus, training, ranks) as loader,
    ):
        try:
            collections.deque(_steps(context, training, loader, ranks), maxlen=0)
        except step.Diverged as error:
            raise Stopped("training diverged; the first rank says how") from error
        _wait_until_saved(context, training, ranks)
    context.check_stopping()


def deterministic(device: torch.device) -> None:
    """Make equal steps give equal numbers on the CPU. On a GPU that would cost speed and still not be promised."""
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Filling fresh memory guards against bugs that we do not have, and takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")


def _set_up(context: RunContext, seat: Seat) -> None:
    deterministic(context.device)
    torch.set_num_threads(beginning.threads(context, seat))


def _lead(
    context: RunContext,
    corpus: corpora.Corpus,
    lease: Lease,
    seat: Seat,
    training: Training,
    told: meeting.Told,
    heard: auditions.Auditions,
) -> None:
    """All steps from where the state is; everything is saved when it returns or raises Stopped."""
    at, last = training.state, context.order.training.max_steps
    context.telemetry.training_begins(resumed_from=at.step, started_at=training.started_at)
    if at.step >= last:
        log.info("step %d of %d is saved: nothing is left to train", at.step, last)
        return
    if not context.store.exists(layout.corpus(context.place)):
        context.store.put(layout.corpus(context.place), codec.dumps(corpus), "application/json")
    with _together(meeting.lead(seat, told, context.device, context.stopping), training) as ranks:
        try:
            saved = _steps_and_saves(context, corpus, lease, seat, training, ranks, heard)
        except step.Diverged as error:
            raise _diverged(context, training, error) from error
        _wait_until_saved(context, training, ranks)
    if context.stopping.is_set() and saved == at.step:
        log.info("stopped after step %d; everything is saved", saved)


def _steps_and_saves(
    context: RunContext,
    corpus: corpora.Corpus,
    lease: Lease,
    seat: Seat,
    training: Training,
    ranks: Ranks,
    heard: auditions.Auditions,
) -> int:
    """Step, save and tell until the last step or until asked to stop; the step that was saved last.

    Whoever is stopped by something else, such as the loss of a rank, has its last step saved too, if that is whole.
    """
    at, order = training.state, context.order.training
    saved = at.step
    with (
        _losses(context) as losses,
        _publisher(context, lease, training, corpus, before=losses.upload, committed=heard.add) as publisher,
        _loader(context, corpus, training, ranks) as loader,
        contextlib.closing(telemetry.Bar("train", order.max_steps, " steps", done=at.step)) as bar,
    ):
        ended: Stopped | None = None
        try:
            for done in _steps(context, training, loader, ranks):
                _tell(context, done, bar)
                losses.add(manifests.LossLine(step=at.step, attempt=context.attempt, losses=done.result.losses))
                publisher.check()
                if at.step % order.interval_steps == 0 or at.step == order.max_steps:
                    publisher.save(_save(context, training, seat, listed=True))
                    saved = at.step
        except Stopped as error:
            ended = error
        if at.step > saved and not at.torn and not lease.lost():  # stopped between two intervals: no step is lost
            publisher.save(_save(context, training, seat, listed=False))
            saved = at.step
        if ended is not None:
            raise ended
    return saved


def _save(context: RunContext, training: Training, seat: Seat, *, listed: bool) -> publish.Save:
    facts = beginning.facts(context, training, seat)
    return publish.Save(snapshot=state.snapshot(training.state), facts=facts, listed=listed)


def _diverged(context: RunContext, training: Training, error: step.Diverged) -> BadData:
    """What to tell of a training that is lost; everything handed over to the publisher is in the store by now.

    Rate and precision are frozen once training has begun, so the advice is a voice that begins with a step of this one.
    """
    saved = checkpoints.steps(context.store, context.place)
    good = [number for number in saved if error.good_until is None or number <= error.good_until]
    ordered = context.order.training
    gentler = f"a training.learningRate below {ordered.learning_rate:g}"
    if training.settings.precision == "BF16":
        gentler += ", or precision FP32"
    if good:
        kept, begins = f"step {good[-1]} is the last good one", _beginning_with(context, good[-1])
    else:
        kept, begins = "no step has been saved yet" if not saved else "no step from before is saved", ""
    return BadData(
        conditions.NAN_LOSS,
        f"training diverged after step {training.state.step}: {error}; {kept}. Make a new VoiceModel with {begins}"
        f"{gentler}",
    )


def _beginning_with(context: RunContext, number: int) -> str:
    """What a VoiceModel's `init` must say to begin with a step of this voice."""
    manifest = checkpoints.manifest(context.store, context.place, number)
    begun_with = f"name: {context.order.voice.name}, step: {number}"
    present = {item.key for item in context.store.list(layout.checkpoint(context.place, number))}
    if not any(stored.key in present for stored in manifest.files if stored.name == state.DISCRIMINATORS):
        begun_with += ", fresh: [Speakers, Discriminators]"
    return f"training.init {{from: VoiceModel, voiceModel: {{{begun_with}}}}} and "


@dataclass(frozen=True, kw_only=True)
class _Done:
    """A finished step."""

    step: int
    result: StepResult
    learning_rate: float
    steps_per_s: float


def _steps(context: RunContext, training: Training, loader: loading.Loader, ranks: Ranks) -> Iterator[_Done]:
    """Train step after step until the last, or until any rank is asked to stop.

    Raises step.Diverged on all ranks, Stopped, also as PeersLost.
    """
    at, order = training.state, context.order.training
    told = context.telemetry
    budget = memory.Budget(
        context.store,
        context.place,
        told.progress.device,
        training.batch_frames,
        told.computes_at_once,
        is_shared=ranks.size > 1,
    )
    finished: collections.deque[float] = collections.deque([time.monotonic()], maxlen=SPEED_OVER_STEPS + 1)
    course = trend.Trend(begun_after=at.step)
    with watchdog.watching(PROGRAM) as watching:
        while at.step < order.max_steps and not _asked_to_stop(context, ranks):
            loaded = loader.next()
            rate = training.rate_of_next_step(order.learning_rate)
            if at.step + 1 == training.settings.judges_from > 1:
                log.info("from step %d on, judges hear what is spoken", at.step + 1)
            with watching.step():
                result = _run_step(training, loaded.batch, rate, ranks, budget)
            course.follow(result.losses)
            at.position = loaded.after
            finished.append(time.monotonic())
            steps_per_s = (len(finished) - 1) / (finished[-1] - finished[0])
            yield _Done(step=at.step, result=result, learning_rate=rate, steps_per_s=steps_per_s)


def _asked_to_stop(context: RunContext, ranks: Ranks) -> bool:
    """Whether any rank was asked to stop; all take it as if they had been."""
    agreed = ranks.any(context.stopping.is_set())  # what may be set since then is for the next step
    if agreed:
        context.stopping.set()
    return agreed


def _run_step(training: Training, batch: batches.Batch, rate: float, ranks: Ranks, budget: memory.Budget) -> StepResult:
    """One step, in smaller pieces each time that it does not fit into memory.

    Where another rank's memory ended, this one only finds it gone: all begin again, and that is nobody's fault.
    """
    while True:
        try:
            return step.run(training.state, batch, rate, training.settings, ranks, budget.frames_at_once)
        except memory.Exhausted as error:
            budget.halve(batch)
            if not error.repeatable:
                raise Stopped(f"{error}: training begins again at the last saved step, in smaller pieces") from error
        except PeersLost as error:
            if budget.is_halved_elsewhere():
                raise Stopped("a step did not fit into another rank's memory: training begins again") from error
            raise


def _tell(context: RunContext, done: _Done, bar: telemetry.Bar) -> None:
    left = context.order.training.max_steps - done.step
    context.telemetry.training_step(
        telemetry.StepFigures(
            step=done.step,
            losses=done.result.losses,
            learning_rate=done.learning_rate,
            gradient_norms=done.result.gradient_norms,
            steps_per_s=done.steps_per_s,
            remaining_s=left / done.steps_per_s,
        )
    )
    bar.advance(note=_note(done.result.losses, done.steps_per_s))


def _note(losses: dict[str, float], steps_per_s: float) -> str:
    names = {"mel": "mel", "kl": "divergence", "durations": "durations", "judges": "discriminators"}
    shown = [f"{name} {losses[key]:.2f}" for name, key in names.items() if key in losses]
    return ", ".join([*shown, f"{1 / steps_per_s:.2f} s/step"])


@contextlib.contextmanager
def _together(ranks: Ranks, training: Training) -> Iterator[Ranks]:
    """All ranks begin with the first one's tensors; the group is given up in order unless something went wrong.

    Raises context.Faulty where the first rank loses the others before a step is finished.
    """
    begun_after = training.state.step
    with counted_until(lambda: training.state.step > begun_after, leads=ranks.rank == 0):
        for network in training.state.networks.values():
            ranks.share(network)
        yield ranks
    if ranks.group is not None:
        dist.destroy_process_group(ranks.group)


def _wait_until_saved(context: RunContext, training: Training, ranks: Ranks) -> None:
    """Let no rank leave before the last step is in the store: a pod that ended well is not started again.

    Should the first one have to begin again, it would wait for the others in vain.
    """
    if training.state.step >= context.order.training.max_steps:
        ranks.any(False)


@contextlib.contextmanager
def _publisher(
    context: RunContext,
    lease: Lease,
    training: Training,
    corpus: corpora.Corpus,
    *,
    before: Callable[[], None],
    committed: Callable[[int], None],
) -> Iterator[publish.Publisher]:
    """Whatever ends training, what was handed over is written first: it may be the last good step."""
    config, digest = training.state.config, codec.digest(corpus)
    publisher = publish.Publisher(context, lease, config, digest, before=before, committed=committed)
    try:
        yield publisher
    except BaseException:
        publisher.wait()
        raise
    publisher.close()


@contextlib.contextmanager
def _losses(context: RunContext) -> Iterator[loss_log.LossLog]:
    path = pathlib.Path(context.work_dir) / "losses" / f"{context.attempt}.jsonl"
    losses = loss_log.LossLog(context.store, layout.losses(context.place, context.attempt), path)
    try:
        yield losses
    finally:
        losses.close()


@contextlib.contextmanager
def _loader(context: RunContext, corpus: corpora.Corpus, training: Training, ranks: Ranks) -> Iterator[loading.Loader]:
    at, seed = training.state, context.order.training.seed
    clips = dataset.Dataset(corpus, at.config, context.store, context.place, context.work_dir)
    loader = loading.Loader(clips, training.batch_frames, seed, at.position, at.config.audio.hop_samples, ranks)
    try:
        yield loader
    finally:
        loader.close()
