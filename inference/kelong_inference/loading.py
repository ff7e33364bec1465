"""From an order to a voice that has spoken: manifest and files by digest, device, warm-up. Used by server and batch.

What does not match its digest is not served. While the store is away loading waits, with readiness false.
"""

from __future__ import annotations

import logging
import pathlib
import threading
import time
from dataclasses import dataclass

import torch
from kelong_contract import codec, conditions, layout, patience, presets, store
from kelong_contract.environment import Environment
from kelong_contract.manifests import CheckpointManifest
from kelong_contract.orders import ServingOrder, SynthesisOrder
from kelong_contract.store import Store
from kelong_speech import checkpoint, config, device, features, reading, sources, voice
from kelong_speech.features import TextEncoder
from kelong_speech.text import frontend
from kelong_speech.voice import Voice

from kelong_inference.endings import BadData, BadOrder, Stopped
from kelong_inference.errors import Refused
from kelong_inference.speaking import Speaker, UnusableVoice

log = logging.getLogger(__name__)

WARM_UP_TEXT = "你好，今天天气很好，我们一起去公园散步吧。"
WARM_UP_SEED = 0
WEIGHTS_FOLDER = "weights"  # below the work folder, by digest
MODELS_FOLDER = "models"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A voice that has spoken its warm-up."""

    speaker: Speaker
    manifest: CheckpointManifest
    warm_up_real_time_factor: float


def load(order: ServingOrder | SynthesisOrder, environment: Environment, stopping: threading.Event) -> Ready:
    """The voice of an order. Raises BadOrder, BadData, and Stopped when told to stop while the store is away."""
    begun = time.perf_counter()
    torch.set_num_threads(environment.threads)
    try:
        chosen = device.choose(order.device)
        kept = patience.PatientStore(environment.open_store(), stopping)
        manifest = _manifest(order, kept)
        speaker = Speaker(_voice(order, manifest, kept, environment.work_dir, chosen))
    except device.GPUUnusable as error:
        raise BadOrder(conditions.GPU_UNUSABLE, str(error)) from None
    except store.StoreUnavailable as error:  # a patient store raises it only once we were told to stop
        raise Stopped("Stopped", f"asked to stop while the store was away ({error})") from None
    speaker.prepare()
    loaded = time.perf_counter()
    real_time_factor = _warm_up(speaker, manifest)
    log.info(
        "step %d on %s in %s with %d threads: loaded in %.2f s, warmed up in %.2f s",
        manifest.step,
        device.describe(chosen),
        speaker.precision,
        environment.threads,
        loaded - begun,
        time.perf_counter() - loaded,
    )
    return Ready(speaker=speaker, manifest=manifest, warm_up_real_time_factor=real_time_factor)


def _manifest(order: ServingOrder | SynthesisOrder, kept: Store) -> CheckpointManifest:
    """The manifest that the order means, to the bit."""
    key = layout.checkpoint_manifest(order.voice.place(), order.step)
    try:
        data = kept.get(key)
    except store.NoSuchObject:
        message = f"step {order.step} of '{order.voice.name}' does not exist: the store has no {key}"
        raise BadData(conditions.STEP_NOT_FOUND, message) from None
    found = store.digest_bytes(data)
    if found != order.manifest_sha256:
        raise BadData(
            conditions.CHECKSUM_MISMATCH,
            f"step {order.step} is not served: its manifest {key} has the SHA-256 {found}, the order says "
            f"{order.manifest_sha256}; restore the object, or promote another step",
        )
    try:
        manifest = codec.loads(CheckpointManifest, data, key)
    except codec.Malformed as error:
        raise BadData(conditions.BAD_DATA, f"step {order.step} is not served: {error}") from None
    if (manifest.voice, manifest.step) != (order.voice, order.step):
        message = f"step {order.step} is not served: {key} is the manifest of step {manifest.step} of {manifest.voice}"
        raise BadData(conditions.CHECKSUM_MISMATCH, message)
    return manifest


def _voice(
    order: ServingOrder | SynthesisOrder,
    manifest: CheckpointManifest,
    kept: Store,
    work_dir: pathlib.Path,
    chosen: torch.device,
) -> Voice:
    """The weights, and the text encoder if the voice was trained with one."""
    try:
        settings = voice.fetch(kept, manifest.file(layout.CONFIG_FILE), work_dir / WEIGHTS_FOLDER)
        taught = config.from_json(settings.read_bytes())
        models = work_dir / MODELS_FOLDER
        return Voice.load(
            kept,
            manifest,
            work_dir / WEIGHTS_FOLDER,
            text_encoder=_text_encoder(order, taught, kept, models, chosen),
            device=chosen,
            precision=device.precision(order.precision, chosen, "the voice speaks"),
            front_end=reading.front_end(
                taught.front_end.profile, order.text, order.sources, order.voice.namespace, kept, models
            ),
        )
    except frontend.BadLexicon as error:
        raise BadOrder(conditions.BAD_ORDER, str(error)) from None
    except sources.ModelSourceUnavailable as error:
        raise BadData(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None
    except (voice.DigestMismatch, store.NoSuchObject) as error:
        raise BadData(conditions.CHECKSUM_MISMATCH, f"step {manifest.step} is not served: {error}") from None
    except (checkpoint.UnusableCheckpoint, config.ConfigError, KeyError) as error:
        raise BadData(conditions.BAD_DATA, f"step {manifest.step} is not served: {error.args[0]}") from None


def _text_encoder(
    order: ServingOrder | SynthesisOrder,
    wanted: config.VoiceConfig,
    kept: Store,
    models: pathlib.Path,
    chosen: torch.device,
) -> TextEncoder | None:
    """The text encoder, fetched only if the voice's own configuration asks for one."""
    if wanted.model.text_feature_channels is None:
        return None
    address = order.sources.text_encoder
    if address is None:
        reason = "the order names none, and this voice was trained with one"
        raise features.unavailable("text encoder", "model.sources.textEncoder", reason)
    folder = sources.resolve(address, order.voice.namespace, kept, models)
    if folder is None:
        return None  # Voice.load says what is missing
    return TextEncoder.load(folder, hidden_state=wanted.text_hidden_state, device=chosen)


def _warm_up(speaker: Speaker, manifest: CheckpointManifest) -> float:
    """Speak a sentence for real, twice: the first pays for lazy starts, the second gives the real-time factor.

    What cannot say it is not ready for anybody.
    """
    settings = presets.settings(manifest.preset, seed=WARM_UP_SEED)
    try:
        speaker.say(WARM_UP_TEXT, settings)
        begun = time.perf_counter()
        spoken = speaker.say(WARM_UP_TEXT, settings)
    except (Refused, UnusableVoice, ValueError) as error:
        message = f"step {manifest.step} is not served: it cannot say its warm-up sentence: {error}"
        raise BadData(conditions.BAD_DATA, message) from None
    return (time.perf_counter() - begun) / spoken.duration_s
