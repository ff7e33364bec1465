"""Clips that are trained with less than is known of them, chosen by chance at each step.

Without the text encoder's features a clip must be spoken from its phonemes: where that never happens, characters
over-rule phonemes, and a corrected reading is not spoken as corrected. Without its own style vector it is spoken in the
speaker's usual style, which is what most speech is asked for in.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from kelong_speech.config import VoiceConfig
from kelong_speech.draws import Draws
from kelong_speech.encoders import TextBatch
from torch import Tensor
from torch.nn import functional

_EMPTY_STYLE_SEED = 0x656D7074  # any number will do, as long as it stays


def apply(
    text: TextBatch, drawn: Draws, styles: Tensor | None, *, text_feature_share: float, style_share: float
) -> TextBatch:
    """The batch with the features of a share of the clips zeroed, and the style of a share replaced.

    `styles` [speakers, channels] is what replaces a style. Which clips they are depends on seed, step and clip alone.
    """
    features, style = text.text_features, text.style
    if features is not None and text_feature_share > 0:
        kept = _kept(drawn, "text features", text_feature_share, features)
        features = features * kept.view(-1, 1, 1)
    if style is not None and styles is not None and style_share > 0:
        kept = _kept(drawn, "style", style_share, style).view(-1, 1)
        style = kept * style + (1 - kept) * styles.to(style)[text.speaker_ids]
    return dataclasses.replace(text, text_features=features, style=style)


def replacing_styles(config: VoiceConfig, profile: Literal["fixed", "as-original"]) -> Tensor | None:
    """What stands for a clip's own style, a row a speaker: [speakers, channels], None for a model without styles.

    `fixed`: how the speaker usually sounds. `as-original`: one fixed vector of unit length for all. The original's came
    without a word of what it was computed from, so this is one of our own; only the share of clips feels it.
    """
    model = config.model
    if model.style_channels is None:
        return None
    empty = torch.randn(model.style_channels, generator=torch.Generator().manual_seed(_EMPTY_STYLE_SEED))
    rows = functional.normalize(empty, dim=0).repeat(model.speakers, 1)
    if profile == "fixed":
        for speaker in config.speakers:
            if speaker.style is not None:
                rows[speaker.id] = torch.tensor(speaker.style)
    return rows


def _kept(drawn: Draws, purpose: str, share: float, like: Tensor) -> Tensor:
    """1 for a clip that keeps what it has, 0 for one that does not: [B]."""
    return torch.tensor([float(fraction >= share) for fraction in drawn.fractions(purpose)]).to(like)
