"""A voice that speaks: a generator with what it needs beside it. Trainer auditions, server and batch all call this.

The same script, style, weights and precision give the same samples, in any thread and at any time.
"""

from __future__ import annotations

import math
import pathlib
from dataclasses import dataclass

import numpy as np
import torch
from kelong_contract import layout, manifests
from kelong_contract import store as stores
from kelong_contract.orders import Precision

from kelong_speech import audio, checkpoint, config, encoders, features, script, synthesiser
from kelong_speech.text import frontend

_SEEDS = 2**63


class DigestMismatch(Exception):
    """A file in the store is not the one its manifest describes."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How to say something. `length` 1.0 is as trained, larger is slower; equal seeds give equal samples."""

    speaker: str
    length: float = 1.0
    sdp_ratio: float = 0.2
    noise: float = 0.6
    noise_w: float = 0.8
    seed: int = 0
    vector: tuple[float, ...] | None = None  # a style vector instead of the speaker's own

    def __post_init__(self) -> None:
        faults = []
        if not (math.isfinite(self.length) and self.length > 0):
            faults.append(f"length must be greater than 0, not {self.length}")
        if not 0 <= self.sdp_ratio <= 1:
            faults.append(f"sdp_ratio must be from 0 to 1, not {self.sdp_ratio}")
        for name, value in (("noise", self.noise), ("noise_w", self.noise_w)):
            if not (math.isfinite(value) and value >= 0):
                faults.append(f"{name} must be 0 or greater, not {value}")
        if not 0 <= self.seed < _SEEDS:
            faults.append(f"seed must be from 0 to 2^63 - 1, not {self.seed}")
        if faults:
            raise ValueError("; ".join(faults))


class Voice:
    """One checkpoint, ready to speak."""

    def __init__(
        self,
        generator: synthesiser.Synthesiser,
        text_encoder: features.TextEncoder | None,
        device: torch.device,
        front_end: frontend.FrontEnd,
        precision: Precision,
    ) -> None:
        self._generator = generator.to(device).eval().requires_grad_(False)
        self._generator.settle(precision)
        self._text_encoder = text_encoder
        self._device = device
        self._front_end = front_end
        self._precision = precision

    @classmethod
    def from_parts(
        cls,
        generator: synthesiser.Synthesiser,
        *,
        text_encoder: features.TextEncoder | None = None,
        device: torch.device | None = None,
        front_end: frontend.FrontEnd | None = None,
        precision: Precision = "FP32",
    ) -> Voice:
        """A voice around a generator, which it takes over: frozen, in eval mode, on its device.

        `precision` is used as it is, however slow here; `device.precision` is what asks whether it is fast.
        `front_end` None reads by the voice's own profile, without a lexicon. Raises `sources.ModelSourceUnavailable`
        when the generator was trained with a text encoder and none of that width is given, or with another polyphone
        model; ValueError for a front end of another profile.
        """
        wanted = generator.config.model.text_feature_channels
        found = text_encoder.channels if text_encoder else None
        if wanted is not None and wanted != found:
            reason = f"this voice was trained with features of {wanted} values, the encoder given has {found or 'none'}"
            raise features.unavailable("text encoder", "model.sources.textEncoder", reason)
        profile = frontend.Profile(generator.config.front_end.profile)
        front_end = front_end or frontend.FrontEnd(profile)
        if front_end.profile is not profile:
            raise ValueError(f"this voice's texts were read by the profile '{profile}', not '{front_end.profile}'")
        taught, given = generator.config.front_end.polyphone, front_end.polyphone_identity
        if taught and taught != given:
            reason = f"this voice was taught with texts that '{taught}' read, and the source gives '{given}'"
            raise features.unavailable("polyphone model", "model.sources.polyphone", reason)
        heard = text_encoder if wanted is not None else None
        return cls(generator, heard, device or torch.device("cpu"), front_end, precision)

    @classmethod
    def load(
        cls,
        store: stores.Store,
        manifest: manifests.CheckpointManifest,
        cache_dir: pathlib.Path,
        *,
        text_encoder: features.TextEncoder | None = None,
        device: torch.device | None = None,
        front_end: frontend.FrontEnd | None = None,
        precision: Precision = "FP32",
    ) -> Voice:
        """The voice of a published step. Files are kept in `cache_dir` by digest and checked at every load.

        Raises what `from_parts` raises, `DigestMismatch`, `checkpoint.UnusableCheckpoint` or a StoreError.
        """
        settings = fetch(store, manifest.file(layout.CONFIG_FILE), cache_dir)
        weights = fetch(store, manifest.file(layout.GENERATOR_FILE), cache_dir)
        try:
            voice_config = config.from_json(settings.read_bytes())
        except config.ConfigError as error:
            raise checkpoint.UnusableCheckpoint(f"step {manifest.step}: {error}") from error
        generator = checkpoint.load_weights(weights, voice_config)
        return cls.from_parts(
            generator, text_encoder=text_encoder, device=device, front_end=front_end, precision=precision
        )

    @property
    def config(self) -> config.VoiceConfig:
        """What the voice is made of; its speakers are named there."""
        return self._generator.config

    @property
    def precision(self) -> Precision:
        """What the sound is computed in; text features and durations are in full precision always."""
        return self._precision

    def read(self, text: str) -> script.Script:
        """The script of a text, by the rules and readings of this voice. Raises `frontend.UnspeakableText`."""
        return script.read(text, self._front_end)

    def warm_up(self) -> None:
        """Reads the front end's dictionaries now, so that no text has to wait for them."""
        self._front_end.warm_up()

    def say_text(self, text: str, style: Style) -> audio.Speech:
        """Say a text of any length. Raises what `read` and `say` raise."""
        return self.say_script(self.read(text), style)

    def say_script(self, lines: script.Script, style: Style) -> audio.Speech:
        """Say every piece and the pauses between; piece k is drawn with seed + k."""
        rate = self.config.audio.sample_rate_hz
        parts: list[audio.Samples] = []
        for index, piece in enumerate(lines.pieces):
            parts.append(np.zeros(round(piece.pause_before_s * style.length * rate), dtype=np.float32))
            parts.append(self._samples(piece.utterance, style, (style.seed + index) % _SEEDS))
        return audio.Speech(samples=np.concatenate(parts), sample_rate_hz=rate)

    def say(self, utterance: frontend.Utterance, style: Style) -> audio.Speech:
        """Say one utterance. Raises `config.ConfigError` for an unknown speaker and `synthesiser.SpeechTooLong`."""
        samples = self._samples(utterance, style, style.seed)
        return audio.Speech(samples=samples, sample_rate_hz=self.config.audio.sample_rate_hz)

    def _samples(self, utterance: frontend.Utterance, style: Style, seed: int) -> audio.Samples:
        manner = synthesiser.Manner(
            length=style.length, sdp_ratio=style.sdp_ratio, noise=style.noise, noise_w=style.noise_w
        )
        batch, mixed = self._batch(utterance, style), self._precision == "BF16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=mixed):
            spoken = self._generator.infer(batch, [manner], [synthesiser.SeededNoise(seed)])
        return np.asarray(spoken.waveform[0, 0, : int(spoken.sample_counts[0])].cpu().numpy(), dtype=np.float32)

    def _batch(self, utterance: frontend.Utterance, style: Style) -> encoders.TextBatch:
        ids = utterance.ids()
        text_features = None
        if self._text_encoder:
            text_features = self._text_encoder.encode(utterance.spoken, ids.word2ph).unsqueeze(0)
        return encoders.TextBatch(
            phone_ids=torch.tensor([ids.phone_ids]),
            tone_ids=torch.tensor([ids.tone_ids]),
            language_ids=torch.tensor([ids.language_ids]),
            phone_counts=torch.tensor([len(ids.phone_ids)]),
            speaker_ids=torch.tensor([self.config.speaker(style.speaker).id]),
            text_features=text_features,
            style=self._style_vector(style),
        ).to(self._device)

    def _style_vector(self, style: Style) -> torch.Tensor | None:
        channels = self.config.model.style_channels
        if channels is None:
            return None
        vector = style.vector or self.config.speaker(style.speaker).style
        if vector is None or len(vector) != channels:
            found = "none" if vector is None else f"one of {len(vector)}"
            wanted = f"a style vector of {channels} values for {style.speaker}"
            raise ValueError(f"this voice needs {wanted}, there is {found}")
        return torch.tensor([vector])


def fetch(store: stores.Store, stored: manifests.StoredFile, cache_dir: pathlib.Path) -> pathlib.Path:
    """A checkpoint's file on the local disk, its digest checked. Raises `DigestMismatch` or a StoreError."""
    path = cache_dir / f"{stored.sha256}{pathlib.PurePosixPath(stored.name).suffix}"
    if path.is_file() and stores.digest_file(path) == stored.sha256:
        return path
    store.get_file(stored.key, path)
    found = stores.digest_file(path)
    if found != stored.sha256:
        path.unlink()
        raise DigestMismatch(
            f"{stored.key} has the digest {found}, its manifest says {stored.sha256}: the object was changed or "
            "damaged after it was published; promote another step or restore it"
        )
    return path
