"""What a voice is made of: its sound, its sizes, its speakers. Frozen, and saved as config.json beside every generator.

The trainer builds one with `preset`, the server reads it back with `from_json`; nothing else decides a size.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from kelong_contract import codec, layout

SYMBOLS = 118  # the original's 112 and sp1 sp2 sp3 sp4 br1 br2
FRONT_END_VERSION = 3  # raised when the front end starts to read texts otherwise than the voices so far were taught


# The two Chinese generations of the original whose files look alike: Extra-Fix has a SiLU and a cosine codebook in the
# style path, and 160 mel bands in the loss.
Variant = Literal["zh-clap", "extra-fix"]
EXTRA_FIX_MEL_BANDS = 160


class ConfigError(ValueError):
    """A configuration that cannot be used; the message lists every fault."""


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """How sound becomes frames. The decoder's upsampling must multiply to `hop_samples`."""

    sample_rate_hz: int = 44100
    n_fft: int = 2048
    hop_samples: int = 512
    win_samples: int = 2048
    mel_bands: int = 128
    mel_min_hz: float = 0.0
    mel_max_hz: float | None = None  # None: half the sample rate

    @property
    def spectrogram_bins(self) -> int:
        """Rows of the linear spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def frame_s(self) -> float:
        """Length of one frame in seconds."""
        return self.hop_samples / self.sample_rate_hz


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the generator; the defaults are those of ZH-Clap, so that its files fit exactly."""

    symbols: int = SYMBOLS
    tones: int = 12
    languages: int = 3
    speakers: int = 512  # rows of the speaker table; names are in `VoiceConfig.speakers`
    latent_channels: int = 192
    hidden_channels: int = 192
    filter_channels: int = 768
    heads: int = 2
    attention_window: int = 4
    dropout: float = 0.1
    speaker_channels: int = 256
    text_layers: int = 6
    text_kernel: int = 3
    text_feature_channels: int | None = 2048  # None: no text encoder, and nothing is paid for it
    text_feature_bottleneck: int = 1024
    style_channels: int | None = 512  # None: no style path
    style_hidden_channels: int = 1028
    style_heads: int = 32
    style_code_channels: int = 32
    style_codes: int = 64
    frame_prior_layers: int = 0  # 0: the prior is constant over a phoneme, and no log-mel is predicted
    flow_encoder: Literal["transformer", "wavenet", "convnext"] = "transformer"
    flow_couplings: int = 4
    flow_layers: int = 6
    flow_kernel: int = 5
    posterior_encoder: Literal["wavenet", "convnext"] = "wavenet"
    posterior_layers: int = 16
    posterior_kernel: int = 5
    duration_channels: int = 256
    duration_kernel: int = 3
    duration_dropout: float = 0.5
    duration_rounding: Literal["up", "nearest"] = "up"
    stochastic_durations: Literal["splines", "lognormal"] = "splines"
    stochastic_duration_flows: int = 4
    stochastic_duration_layers: int = 3
    segment_frames: int = 32
    decoder: Literal["hifigan", "vocos"] = "hifigan"
    decoder_channels: int = 512
    decoder_layers: int = 8  # of vocos; hifigan has a stage for each of the upsample rates
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 16, 8, 2, 2)
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[int, ...] = (1, 3, 5)


@dataclass(frozen=True, kw_only=True)
class FrontEndConfig:
    """Which rules made the phonemes this voice was trained on; text must be analysed by the same.

    `polyphone` is the identity of the model that read polyphones; empty where nobody knows, as in imported voices.
    """

    profile: Literal["fixed", "as-original"] = "fixed"
    version: int = FRONT_END_VERSION
    polyphone: str = ""


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One speaker: the name people use, the row of the speaker table, the usual style vector if the model takes one."""

    name: str
    id: int
    style: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class VoiceConfig:
    """Everything needed to build the generator of a checkpoint and to speak with it."""

    preset: str
    variant: Variant = "zh-clap"  # same keys and shapes can hide different maths: the file says which it is
    speakers: tuple[Speaker, ...]
    audio: AudioConfig = field(default_factory=AudioConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    text_hidden_state: int = -3  # which of the text encoder's hidden states is the feature
    format: int = 1

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def speaker_ids(self) -> dict[str, int]:
        """Speaker names and their rows in the speaker table."""
        return {speaker.name: speaker.id for speaker in self.speakers}

    def speaker(self, name: str) -> Speaker:
        """The speaker of that name; raises `ConfigError` naming those there are."""
        for speaker in self.speakers:
            if speaker.name == name:
                return speaker
        known = ", ".join(speaker.name for speaker in self.speakers)
        raise ConfigError(f"no speaker is called {name!r}; this voice has {known}")

    def to_json(self) -> bytes:
        """The content of config.json."""
        return codec.dumps(self)


# What each preset changes. `small` is for CPUs: all of it works at the frame rate, in blocks that are mostly matrix
# products, and its prior tells frames apart, so that text is learnt from soon. `tiny` keeps the demo's training steps
# short on two CPU cores: its flow has no attention over frames, whose cost grows with the square of a clip's length,
# and its decoder has three narrow stages.
_SIZES: dict[str, dict[str, Any]] = {
    "zh-clap": {},
    "tiny": {
        "latent_channels": 64,
        "hidden_channels": 64,
        "filter_channels": 192,
        "speaker_channels": 64,
        "text_layers": 2,
        "text_feature_bottleneck": 64,
        "style_hidden_channels": 64,
        "style_heads": 4,
        "style_code_channels": 16,
        "flow_encoder": "wavenet",
        "flow_couplings": 2,
        "flow_layers": 2,
        "posterior_layers": 4,
        "duration_channels": 64,
        "stochastic_duration_flows": 2,
        "decoder_channels": 64,
        "upsample_rates": (8, 8, 8),
        "upsample_kernels": (16, 16, 16),
        "resblock_kernels": (3, 7),
        "resblock_dilations": (1, 3),
    },
    "small": {
        "latent_channels": 96,
        "filter_channels": 512,
        "speaker_channels": 64,
        "text_layers": 4,
        "text_feature_bottleneck": 192,
        "style_hidden_channels": 192,
        "style_heads": 8,
        "frame_prior_layers": 4,
        "flow_encoder": "convnext",
        "flow_couplings": 2,
        "flow_layers": 3,
        "posterior_encoder": "convnext",
        "posterior_layers": 4,
        "duration_rounding": "nearest",
        "stochastic_durations": "lognormal",
        "segment_frames": 128,
        "decoder": "vocos",
        "decoder_channels": 256,
        "decoder_layers": 6,
    },
}
# Speech needs little above 12 kHz, and 75 frames a second are half the work of 86 at twice the bins.
_SOUNDS: dict[str, AudioConfig] = {
    "small": AudioConfig(sample_rate_hz=24000, n_fft=1280, hop_samples=320, win_samples=1280, mel_bands=80),
}
PRESETS = tuple(_SIZES)


def sound(preset: str) -> AudioConfig:
    """How a preset hears and makes sound."""
    return _SOUNDS.get(preset, AudioConfig())


def is_told_durations(preset: str) -> bool:
    """Whether a preset's network is told how long phonemes last in its recordings, instead of searching for it."""
    return "frame_prior_layers" in _SIZES.get(preset, {})


def preset(
    name: str,
    *,
    speakers: tuple[Speaker, ...],
    text_feature_channels: int | None = None,
    style_channels: int | None = None,
    front_end: FrontEndConfig | None = None,
) -> VoiceConfig:
    """The configuration of a preset for these speakers.

    `text_feature_channels` and `style_channels` are the widths of the configured text and style encoders, None where
    there is none. `zh-clap` needs both, 2048 and 512, to stay interchangeable. Raises `ConfigError`.
    """
    if name not in _SIZES:
        raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    reference = ModelConfig()
    wanted = (reference.text_feature_channels, reference.style_channels)
    if name == "zh-clap" and (text_feature_channels, style_channels) != wanted:
        raise ConfigError(
            f"preset zh-clap needs a text encoder of {wanted[0]} values and a style encoder of {wanted[1]}, the "
            f"sources give {text_feature_channels or 'none'} and {style_channels or 'none'}: "
            "name matching sources, or choose the preset small or tiny"
        )
    rows = reference.speakers if name == "zh-clap" else max(speaker.id for speaker in speakers) + 1
    return VoiceConfig(
        preset=name,
        speakers=speakers,
        front_end=front_end or FrontEndConfig(),
        audio=sound(name),
        model=ModelConfig(
            speakers=rows,
            text_feature_channels=text_feature_channels,
            style_channels=style_channels,
            **_SIZES[name],
        ),
    )


def as_variant(config: VoiceConfig, variant: Variant) -> VoiceConfig:
    """The same voice with the maths of that variant."""
    bands = EXTRA_FIX_MEL_BANDS if variant == "extra-fix" else AudioConfig.mel_bands
    if variant == config.variant:
        return config
    return dataclasses.replace(config, variant=variant, audio=dataclasses.replace(config.audio, mel_bands=bands))


def from_json(data: bytes) -> VoiceConfig:
    """Read a config.json; raises `ConfigError` for a format, field or size this version does not know."""
    try:
        return codec.loads(VoiceConfig, data, layout.CONFIG_FILE)
    except codec.Malformed as error:
        raise ConfigError(str(error)) from None


def _faults(config: VoiceConfig) -> list[str]:
    """Every reason why no generator can be built from this."""
    audio, model = config.audio, config.model
    found: list[str] = []
    found += _hifigan_faults(config) if model.decoder == "hifigan" else _vocos_faults(audio)
    if model.hidden_channels % model.heads:
        found.append(f"hidden_channels {model.hidden_channels} is not a multiple of heads {model.heads}")
    if model.latent_channels % 2:
        found.append(f"latent_channels {model.latent_channels} must be even: each coupling moves one half")
    if config.front_end.version != FRONT_END_VERSION:
        found.append(f"front end version {config.front_end.version} is not this program's, {FRONT_END_VERSION}")
    return found + _speaker_faults(config)


def _hifigan_faults(config: VoiceConfig) -> list[str]:
    audio, model, found = config.audio, config.model, []
    product = math.prod(model.upsample_rates)
    if product != audio.hop_samples:
        rates = " x ".join(map(str, model.upsample_rates))
        found.append(f"upsample rates {rates} = {product} samples a frame, but the hop is {audio.hop_samples} samples")
    if len(model.upsample_rates) != len(model.upsample_kernels):
        found.append(f"{len(model.upsample_rates)} upsample rates but {len(model.upsample_kernels)} upsample kernels")
    for rate, kernel in zip(model.upsample_rates, model.upsample_kernels, strict=False):
        if kernel < rate or (kernel - rate) % 2:
            found.append(f"upsample kernel {kernel} must exceed its rate {rate} by an even number")
    if model.decoder_channels % 2 ** len(model.upsample_rates):
        found.append(f"decoder_channels {model.decoder_channels} cannot be halved {len(model.upsample_rates)} times")
    return found


def _vocos_faults(audio: AudioConfig) -> list[str]:
    if audio.n_fft % (2 * audio.hop_samples) or audio.win_samples != audio.n_fft:
        return [
            f"vocos needs windows of n_fft samples that are an even number of hops, not {audio.win_samples} of "
            f"{audio.n_fft} every {audio.hop_samples}"
        ]
    return []


def _speaker_faults(config: VoiceConfig) -> list[str]:
    found = []
    names = [speaker.name for speaker in config.speakers]
    ids = [speaker.id for speaker in config.speakers]
    if not names:
        found.append("a voice needs at least one speaker")
    if len(set(names)) != len(names) or len(set(ids)) != len(ids):
        found.append(f"speaker names and ids must each be given once, not {names} with {ids}")
    for speaker in config.speakers:
        if not 0 <= speaker.id < config.model.speakers:
            found.append(f"speaker {speaker.name} has id {speaker.id}, the table has {config.model.speakers} rows")
        if speaker.style is not None and len(speaker.style) != config.model.style_channels:
            found.append(
                f"the style of {speaker.name} has {len(speaker.style)} values, not {config.model.style_channels}"
            )
    return found
