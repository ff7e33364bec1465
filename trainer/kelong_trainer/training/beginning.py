"""What a process begins to train with: the newest checkpoint and all that stays true of it, or a state of its own.

Every rank does this by itself, from the same checkpoint and the same corpus.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
from dataclasses import dataclass

import safetensors
import torch
from kelong_contract import codec, conditions, corpora, layout, manifests, orders, presets
from kelong_speech import config as voice_config
from kelong_speech import sources

from kelong_trainer import telemetry
from kelong_trainer.context import BadData, BadOrder, RunContext
from kelong_trainer.corpus.clips import clip_features
from kelong_trainer.launch import Seat
from kelong_trainer.stages import phonemes
from kelong_trainer.training import checkpoints, dataset, initial, state, step

log = logging.getLogger(__name__)

# Threads beyond which a step is not faster. A `tiny` step is thousands of operations too small to share: two threads
# meet 9000 times a step, and take twice as long as one if they sleep in between, or far longer if they spin while
# anything else (an audition, say) wants the second core.
MOST_THREADS = {"tiny": 1}


@dataclass(frozen=True, kw_only=True)
class Training:
    """A state, and what of its beginning stays true for the voice's whole life.

    The sampler's position counts batches, so it means nothing with batches of another size. `begun_trained` is whether
    it began at step 0 with a generator and its judges that had learnt: then neither is treated as untrained.
    """

    state: state.TrainingState
    started_at: str
    batch_frames: int
    settings: step.StepSettings
    origin: manifests.Origin | None = None
    begun_trained: bool = False

    def rate_of_next_step(self, ordered: float) -> float:
        """The learning rate of the step after the last finished one, where the order says `ordered`."""
        at = self.state
        return state.rate_of_step(
            at.config.preset, ordered, at.position.epoch, at.step + 1, begun_trained=self.begun_trained
        )


def newest(context: RunContext) -> manifests.CheckpointManifest | None:
    """The newest checkpoint, None before the first."""
    existing = checkpoints.steps(context.store, context.place)
    return checkpoints.manifest(context.store, context.place, existing[-1]) if existing else None


def make(
    context: RunContext,
    corpus: corpora.Corpus,
    saved: manifests.CheckpointManifest | None,
    seat: Seat,
    precision: orders.Precision | None = None,
) -> Training:
    """The state to train: that of a checkpoint, or what the order begins with.

    `precision` is what the first rank computes in; None lets this one choose, as the first does.
    A damaged checkpoint is an error, never a quiet new beginning. Raises BadData or BadOrder.
    """
    if saved is None or initial.is_imported(saved):
        return _begin(context, corpus, precision)
    return _resume(context, corpus, saved, seat, precision)


def threads(context: RunContext, seat: Seat) -> int:
    """How many threads a step uses: those of the pod are shared by its ranks."""
    own = max(1, context.threads // seat.local_size)
    return min(own, MOST_THREADS.get(context.order.model.preset, own))


def facts(context: RunContext, training: Training, seat: Seat) -> state.Facts:
    """What state.json says of the state as it is now."""
    order, position = context.order.training, training.state.position
    return state.Facts(
        step=training.state.step,
        epoch=position.epoch,
        batch=position.batch,
        batch_frames=training.batch_frames,
        seed=order.seed,
        learning_rate=training.rate_of_next_step(order.learning_rate),
        ordered_learning_rate=order.learning_rate,
        started_at=training.started_at,
        threads=threads(context, seat),
        ranks=seat.size,
        device=context.telemetry.progress.device,
        cpu=state.processor(),
        torch_version=torch.__version__,
        precision=training.settings.precision,
        origin=training.origin,
        begun_trained=training.begun_trained,
        wavlm=None if training.settings.ears is None else training.settings.ears.identity,
    )


def _begin(context: RunContext, corpus: corpora.Corpus, precision: orders.Precision | None) -> Training:
    beginning = initial.find(context)
    config = beginning.adapt(_config(context, corpus))
    settings = _settings(context, config, precision)
    at = _fresh(context, config, settings)
    origin = beginning.fill(at)
    begun_trained = origin is not None and not beginning.resumes and initial.DISCRIMINATORS not in origin.fresh
    return Training(
        state=at,
        started_at=context.telemetry.progress.started_at or telemetry.now(),
        batch_frames=_batch_frames(context.order),
        settings=_judging_at_once(settings) if begun_trained else settings,
        origin=origin,
        begun_trained=begun_trained,
    )


def _resume(
    context: RunContext,
    corpus: corpora.Corpus,
    saved: manifests.CheckpointManifest,
    seat: Seat,
    precision: orders.Precision | None,
) -> Training:
    if saved.corpus_digest != codec.digest(corpus):
        raise BadData(
            conditions.DATASET_INVALID,
            f"step {saved.step} was trained on the corpus {saved.corpus_digest}, the store now holds "
            f"{codec.digest(corpus)}; restore corpus.json, or train a new voice on the new corpus",
        )
    folder = context.work_dir / "resume"
    checkpoints.fetch(context.store, saved, folder)
    try:
        config = voice_config.from_json((folder / layout.CONFIG_FILE).read_bytes())
        settings = _settings(context, config, precision)
        at = _fresh(context, config, settings)
        then = state.read(folder, at)
    except (voice_config.ConfigError, state.StateMismatch, codec.Malformed, safetensors.SafetensorError) as error:
        raise BadData(
            conditions.CHECKSUM_MISMATCH, f"training cannot resume from step {saved.step}: {error}"
        ) from error
    shutil.rmtree(folder)
    log.info("training resumes after step %d", then.step)
    training = Training(
        state=at,
        started_at=then.started_at,
        batch_frames=then.batch_frames,
        settings=_judging_at_once(settings) if then.begun_trained else settings,
        origin=then.origin,
        begun_trained=then.begun_trained,
    )
    compare(then, facts(context, training, seat))
    ordered = context.order.training.batch_frames
    if ordered not in (None, then.batch_frames):
        log.warning("training goes on with batches of %d frames as it began, not %d", then.batch_frames, ordered)
    return training


def compare(then: state.Facts, now: state.Facts) -> None:
    """Log what a resume finds changed, and what follows from it."""
    for name in ("threads", "ranks", "device", "cpu", "torch_version", "precision", "seed"):
        before, after = getattr(then, name), getattr(now, name)
        if before not in (None, after):  # None: saved without this note
            log.warning(
                "%s was %s and is %s now: the losses will differ slightly from those of an unbroken run",
                name.replace("_", " "),
                before,
                after,
            )
    if then.wavlm not in (None, now.wavlm):
        log.warning(
            "model.sources.wavlm is another than before (%s, and %s now): its discriminator was trained on what the "
            "other hears",
            then.wavlm,
            now.wavlm,
        )


def _fresh(context: RunContext, config: voice_config.VoiceConfig, settings: step.StepSettings) -> state.TrainingState:
    heard_channels = None if settings.ears is None else settings.ears.channels
    return state.fresh(config, context.order.training, context.device, heard_channels)


def _settings(
    context: RunContext, config: voice_config.VoiceConfig, precision: orders.Precision | None
) -> step.StepSettings:
    """What every step is told, with the WavLM that the order names; without one none of it is imported."""
    training, address = context.order.training, context.order.model.sources.wavlm
    precision = precision or step.precision(training, context.device)
    context.telemetry.computes_in(precision)
    if address is None or address == "none":
        return step.settings(training, config, precision)
    from kelong_trainer.training import wavlm

    try:
        folder = sources.resolve(address, context.order.voice.namespace, context.store, context.work_dir / "models")
        assert folder is not None  # only `none` has no folder
        ears = wavlm.Ears.load(folder, config.audio.sample_rate_hz, context.device)
    except sources.ModelSourceUnavailable as error:
        message = f"model.sources.wavlm '{address}': {error}"
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, message) from None
    return step.settings(training, config, precision, ears)


def _judging_at_once(settings: step.StepSettings) -> step.StepSettings:
    """A voice that can be understood, with judges that know speech, has no need to wait for them."""
    return dataclasses.replace(settings, judges_from=1)


def _batch_frames(order: orders.TrainingOrder) -> int:
    """Padded frames of a batch; with several ranks it is what all of them together take."""
    return order.training.batch_frames or presets.DEFAULTS[order.model.preset].batch_frames


def _config(context: RunContext, corpus: corpora.Corpus) -> voice_config.VoiceConfig:
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
            front_end=voice_config.FrontEndConfig(
                profile=context.order.training.profile, polyphone=phonemes.front_end(context).polyphone_identity
            ),
        )
    except voice_config.ConfigError as error:
        raise BadOrder(conditions.BAD_ORDER, str(error)) from error
