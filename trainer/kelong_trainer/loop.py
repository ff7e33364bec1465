"""Training from the last saved step to the last one ordered: when to step, to save, to tell and to stop.

`__main__` calls `train` with the corpus that preprocessing left. What a step does is in `step`, what a checkpoint is in
`state` and `publish`.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator

import safetensors
import torch
from kelong_contract import codec, conditions, layout, manifests, orders
from kelong_speech import config as voice_config

from kelong_trainer import (
    auditions,
    checkpoints,
    clip_features,
    dataset,
    initial,
    loss_log,
    publish,
    state,
    step,
    telemetry,
)
from kelong_trainer.context import BadData, BadOrder, RunContext
from kelong_trainer.lease import Lease

log = logging.getLogger(__name__)

# Padded frames of a batch where the order names none: what fits 24 GB of GPU memory, and two CPU cores' patience.
BATCH_FRAMES = {"zh-clap": 8000, "tiny": 3000}
# Threads beyond which a step is not faster. A `tiny` step is thousands of operations too small to share: two threads
# meet 9000 times a step, and take twice as long as one if they sleep in between, or far longer if they spin while
# anything else (an audition, say) wants the second core.
MOST_THREADS = {"tiny": 1}
SPEED_OVER_STEPS = 20


def train(context: RunContext, corpus: manifests.Corpus, lease: Lease) -> None:
    """Train until the last step is saved and heard. Raises Stopped once asked to stop and everything is saved."""
    deterministic(context.device)
    torch.set_num_threads(_threads(context))
    training = _resume(context, corpus) or _begin(context, corpus)
    with auditions.running(context) as heard:
        heard.catch_up()
        try:
            _run(context, corpus, lease, training, heard)
        except step.Diverged as error:
            raise _diverged(context, training.state.step + 1, error) from error
        context.check_stopping()
        heard.finish()


def deterministic(device: torch.device) -> None:
    """Make equal steps give equal numbers on the CPU. On a GPU that would cost speed and still not be promised."""
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Filling fresh memory guards against bugs that we do not have, and takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")


def _threads(context: RunContext) -> int:
    return min(context.threads, MOST_THREADS.get(context.order.model.preset, context.threads))


class _Training:
    """A state, and what of its beginning stays true for the voice's whole life.

    The sampler's position counts batches, so it means nothing with batches of another size. `origin` is what the
    weights began with, `begins` whether no step of this training has been saved yet.
    """

    def __init__(
        self,
        at: state.TrainingState,
        started_at: str,
        batch_frames: int,
        origin: manifests.Origin | None,
        *,
        begins: bool,
    ) -> None:
        self.state, self.started_at, self.batch_frames = at, started_at, batch_frames
        self.origin, self.begins = origin, begins


def _begin(context: RunContext, corpus: manifests.Corpus) -> _Training:
    started_at = context.telemetry.progress.started_at or telemetry.now()
    beginning = initial.find(context)
    at = state.fresh(beginning.adapt(_config(context, corpus)), context.order.training, context.device)
    return _Training(at, started_at, _batch_frames(context.order), beginning.fill(at), begins=True)


def _batch_frames(order: orders.TrainingOrder) -> int:
    return order.training.batch_frames or BATCH_FRAMES[order.model.preset]


def _resume(context: RunContext, corpus: manifests.Corpus) -> _Training | None:
    """The newest checkpoint that training left: a damaged one is an error, never a quiet new beginning."""
    existing = checkpoints.steps(context.store, context.place)
    if not existing:
        return None
    newest = checkpoints.manifest(context.store, context.place, existing[-1])
    if initial.is_imported(newest):
        return None
    if newest.corpus_digest != codec.digest(corpus):
        raise BadData(
            conditions.DATASET_INVALID,
            f"step {newest.step} was trained on the corpus {newest.corpus_digest}, the store now holds "
            f"{codec.digest(corpus)}; restore corpus.json, or train a new voice on the new corpus",
        )
    folder = context.work_dir / "resume"
    checkpoints.fetch(context.store, newest, folder)
    try:
        config = voice_config.from_json((folder / layout.CONFIG_FILE).read_bytes())
        at = state.fresh(config, context.order.training, context.device)
        facts = state.read(folder, at)
    except (voice_config.ConfigError, state.StateMismatch, codec.Malformed, safetensors.SafetensorError) as error:
        raise BadData(
            conditions.CHECKSUM_MISMATCH, f"training cannot resume from step {newest.step}: {error}"
        ) from error
    shutil.rmtree(folder)
    log.info("training resumes after step %d", facts.step)
    training = _Training(at, facts.started_at, facts.batch_frames, facts.origin, begins=False)
    _compare(facts, _facts(context, training))
    ordered = context.order.training.batch_frames
    if ordered not in (None, facts.batch_frames):
        log.warning("training goes on with batches of %d frames as it began, not %d", facts.batch_frames, ordered)
    return training


def _compare(then: state.Facts, now: state.Facts) -> None:
    for name in ("threads", "device", "cpu", "torch_version", "seed"):
        before, after = getattr(then, name), getattr(now, name)
        if before != after:
            log.warning(
                "%s was %s and is %s now: the losses will differ slightly from those of an unbroken run",
                name.replace("_", " "),
                before,
                after,
            )


def _facts(context: RunContext, training: _Training) -> state.Facts:
    order, position = context.order.training, training.state.position
    return state.Facts(
        step=training.state.step,
        epoch=position.epoch,
        batch=position.batch,
        batch_frames=training.batch_frames,
        seed=order.seed,
        learning_rate=state.learning_rate(order.learning_rate, position.epoch),
        ordered_learning_rate=order.learning_rate,
        started_at=training.started_at,
        threads=_threads(context),
        device=context.telemetry.progress.device,
        cpu=state.processor(),
        torch_version=torch.__version__,
        origin=training.origin,
    )


def _config(context: RunContext, corpus: manifests.Corpus) -> voice_config.VoiceConfig:
    """The voice's configuration: the preset, its speakers, and the widths of the encoders of its features."""
    kept = dataset.FeatureFiles(context.store, context.work_dir / "features")
    try:
        return voice_config.preset(
            context.order.model.preset,
            speakers=tuple(
                voice_config.Speaker(name=name, id=row, style=kept.usual_style(corpus, name))
                for name, row in corpus.speakers.items()
            ),
            text_feature_channels=kept.channels(corpus, clip_features.TEXT),
            style_channels=kept.channels(corpus, clip_features.STYLE),
            front_end=voice_config.FrontEndConfig(profile=context.order.training.profile),
        )
    except voice_config.ConfigError as error:
        raise BadOrder(conditions.BAD_ORDER, str(error)) from error


def _run(
    context: RunContext, corpus: manifests.Corpus, lease: Lease, training: _Training, heard: auditions.Auditions
) -> None:
    """All steps from where the state is; everything is saved when it returns or raises Stopped."""
    at, order = training.state, context.order.training
    last = order.max_steps
    context.telemetry.training_begins(resumed_from=at.step, started_at=training.started_at)
    if at.step >= last:
        log.info("step %d of %d is saved: nothing is left to train", at.step, last)
        return
    if training.begins:
        context.store.put(layout.corpus(context.place), codec.dumps(corpus), "application/json")
    saved = at.step
    with (
        _losses(context) as losses,
        _publisher(context, lease, training, corpus, before=losses.upload, committed=heard.add) as publisher,
        _loader(context, corpus, training) as loader,
    ):
        for figures in _steps(context, training, loader):
            losses.add(manifests.LossLine(step=at.step, attempt=context.attempt, losses=figures.losses))
            publisher.check()
            if at.step % order.interval_steps == 0 or at.step == last:
                publisher.save(_save(context, training, listed=True))
                saved = at.step
        if at.step > saved and not lease.lost():  # asked to stop between two intervals: no step is lost
            publisher.save(_save(context, training, listed=False))
            saved = at.step
    if context.stopping.is_set() and saved == at.step:
        log.info("stopped after step %d; everything is saved", saved)


def _save(context: RunContext, training: _Training, *, listed: bool) -> publish.Save:
    return publish.Save(snapshot=state.snapshot(training.state), facts=_facts(context, training), listed=listed)


def _diverged(context: RunContext, at_step: int, error: step.Diverged) -> BadData:
    """What to tell of a step that gave no numbers; everything handed over to the publisher is in the store by now."""
    saved = checkpoints.steps(context.store, context.place)
    kept = f"step {saved[-1]} is the last good one" if saved else "no step has been saved yet"
    return BadData(
        conditions.NAN_LOSS,
        f"training diverged at step {at_step}: {error}; {kept}. Lower training.learningRate "
        f"(now {context.order.training.learning_rate:g}) or use precision FP32",
    )


def _steps(context: RunContext, training: _Training, loader: dataset.Loader) -> Iterator[telemetry.StepFigures]:
    """Train step after step until the last or until asked to stop, and tell telemetry of each.

    Raises step.Diverged.
    """
    at, order = training.state, context.order.training
    settings = step.StepSettings(seed=order.seed, precision=order.precision, profile=order.profile)
    finished: collections.deque[float] = collections.deque([time.monotonic()], maxlen=SPEED_OVER_STEPS + 1)
    bar = telemetry.Bar("train", order.max_steps, " steps", done=at.step)
    with contextlib.closing(bar):
        while at.step < order.max_steps and not context.stopping.is_set():
            loaded = loader.next()
            rate = state.learning_rate(order.learning_rate, at.position.epoch)
            result = step.run(at, loaded.batch, rate, settings)
            at.position = loaded.after
            finished.append(time.monotonic())
            steps_per_s = (len(finished) - 1) / (finished[-1] - finished[0])
            figures = telemetry.StepFigures(
                step=at.step,
                losses=result.losses,
                learning_rate=rate,
                gradient_norms=result.gradient_norms,
                steps_per_s=steps_per_s,
                remaining_s=(order.max_steps - at.step) / steps_per_s,
            )
            context.telemetry.training_step(figures)
            bar.advance(note=_note(result.losses, steps_per_s))
            yield figures


def _note(losses: dict[str, float], steps_per_s: float) -> str:
    shown = {"mel": "mel", "kl": "divergence", "durations": "durations", "judges": "discriminators"}
    return ", ".join(f"{name} {losses[key]:.2f}" for name, key in shown.items()) + f", {1 / steps_per_s:.2f} s/step"


@contextlib.contextmanager
def _publisher(
    context: RunContext,
    lease: Lease,
    training: _Training,
    corpus: manifests.Corpus,
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
def _loader(context: RunContext, corpus: manifests.Corpus, training: _Training) -> Iterator[dataset.Loader]:
    at, seed = training.state, context.order.training.seed
    clips = dataset.Dataset(corpus, at.config, context.store, context.place, context.work_dir)
    loader = dataset.Loader(clips, training.batch_frames, seed, at.position, at.config.audio.hop_samples)
    try:
        yield loader
    finally:
        loader.close()
