"""The config.json beside the original's files: what of it matters here, and one written for what we trained.

Ours carries our own configuration in a part `kelong`, which the original ignores: so an export comes back unchanged.
"""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass, field
from typing import Any

from kelong_contract import codec
from kelong_speech.config import AudioConfig, VoiceConfig

from kelong_trainer.interchange.original_files import Unusable

VERSION = "2.4"  # what ZH-Clap and Extra-Fix call themselves
LEARNING_RATE = 2e-4  # what the original's own config.json orders
WAVLM_CHANNELS = 768
SAMPLES_OF_INT16 = 32768.0


@dataclass(frozen=True, kw_only=True)
class LegacyConfig:
    """What an original's config.json says that matters here. `kelong` is our own configuration, where we wrote it."""

    mel_bands: int | None = None
    speakers: dict[str, int] = field(default_factory=dict)
    learning_rate: float | None = None
    kelong: dict[str, Any] | None = None


def read(path: pathlib.Path) -> LegacyConfig:
    """A config.json of the original's form. Raises Unusable."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Unusable(f"{path} is not JSON: {error}") from None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise Unusable(f"{path} has no part 'data': it is not the config.json of Bert-VITS2")
    ours, train = document.get("kelong"), document.get("train")
    if not isinstance(ours, dict):
        _check_audio(path, data)
    rate = train.get("learning_rate") if isinstance(train, dict) else None
    return LegacyConfig(
        mel_bands=data.get("n_mel_channels"),
        speakers=_speakers(path, data.get("spk2id", {})),
        learning_rate=float(rate) if isinstance(rate, int | float) else None,
        kelong=ours if isinstance(ours, dict) else None,
    )


def document(config: VoiceConfig, learning_rate: float, *, wavlm: bool, durations: bool) -> bytes:
    """The config.json for files that we write: with them the original speaks, and trains on."""
    audio, model = config.audio, config.model
    content = {
        "train": {
            "log_interval": 200,
            "eval_interval": 1000,
            "seed": 42,
            "epochs": 1000,
            "learning_rate": learning_rate,
            "betas": [0.8, 0.99],
            "eps": 1e-9,
            "batch_size": 8,
            "bf16_run": False,
            "fp16_run": False,
            "lr_decay": 0.99996,
            "segment_size": model.segment_frames * audio.hop_samples,
            "init_lr_ratio": 1,
            "warmup_epochs": 0,
            "c_mel": 45,
            "c_kl": 1.0,
            "c_commit": 1.0 if config.variant == "extra-fix" else 100,
            "skip_optimizer": True,
            "freeze_ZH_bert": False,
            "freeze_JP_bert": False,
            "freeze_EN_bert": False,
            "freeze_emo": False,
        },
        "data": {
            "training_files": "filelists/train.list",
            "validation_files": "filelists/val.list",
            "max_wav_value": SAMPLES_OF_INT16,
            "sampling_rate": audio.sample_rate_hz,
            "filter_length": audio.n_fft,
            "hop_length": audio.hop_samples,
            "win_length": audio.win_samples,
            "n_mel_channels": audio.mel_bands,
            "mel_fmin": audio.mel_min_hz,
            "mel_fmax": audio.mel_max_hz,
            "add_blank": True,
            "n_speakers": model.speakers,
            "cleaned_text": True,
            "spk2id": config.speaker_ids,
        },
        "model": _model(config) | {"use_duration_discriminator": durations, "use_wavlm_discriminator": wavlm},
        "version": VERSION,
        "kelong": codec.encode(config),
    }
    return (json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _model(config: VoiceConfig) -> dict[str, Any]:
    model = config.model
    dilations = list(model.resblock_dilations)
    return {
        "use_spk_conditioned_encoder": True,
        "use_noise_scaled_mas": True,
        "use_mel_posterior_encoder": False,
        "inter_channels": model.latent_channels,
        "hidden_channels": model.hidden_channels,
        "filter_channels": model.filter_channels,
        "n_heads": model.heads,
        "n_layers": model.text_layers,
        "kernel_size": model.text_kernel,
        "p_dropout": model.dropout,
        "resblock": "1",
        "resblock_kernel_sizes": list(model.resblock_kernels),
        "resblock_dilation_sizes": [dilations for _ in model.resblock_kernels],
        "upsample_rates": list(model.upsample_rates),
        "upsample_initial_channel": model.decoder_channels,
        "upsample_kernel_sizes": list(model.upsample_kernels),
        "n_layers_q": 3,
        "use_spectral_norm": False,
        "gin_channels": model.speaker_channels,
        "slm": {
            "model": "./slm/wavlm-base-plus",
            "sr": 16000,
            "hidden": WAVLM_CHANNELS,
            "nlayers": 13,
            "initial_channel": 64,
        },
    }


def _check_audio(path: pathlib.Path, data: dict[str, Any]) -> None:
    audio = AudioConfig()
    wanted = {
        "sampling_rate": audio.sample_rate_hz,
        "filter_length": audio.n_fft,
        "hop_length": audio.hop_samples,
        "win_length": audio.win_samples,
    }
    wrong = [f"{key} {data[key]}" for key, value in wanted.items() if key in data and data[key] != value]
    if wrong:
        expected = ", ".join(f"{key} {value}" for key, value in wanted.items())
        raise Unusable(f"{path} says {', '.join(wrong)}; a Chinese generation has {expected}")


def _speakers(path: pathlib.Path, found: Any) -> dict[str, int]:
    if not isinstance(found, dict) or not all(isinstance(row, int) for row in found.values()):
        raise Unusable(f"{path}: data.spk2id must give each speaker's name a row of the table")
    return {str(name): row for name, row in found.items()}
