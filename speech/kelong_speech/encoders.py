"""The text encoder (phonemes to a prior), the posterior encoder (spectrogram to a latent), and the transformer of both.

Attention with learned relative positions within a window follows Shaw et al. 2018 as Glow-TTS and VITS use it.

B batch, T phonemes, F frames (in `Transformer`: any time axis), C channels, H heads, G speaker channels,
W = 2 x window + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kelong_speech import layers, style
from kelong_speech.config import ModelConfig, Variant
from kelong_speech.draws import Draws

SPEAKER_LAYER = 2  # the speaker is added before this layer
MASKED_SCORE = -1e4


class RelativeAttention(nn.Module):
    """Multi-head self-attention whose scores and values also know how far apart two positions are."""

    def __init__(self, channels: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.window, self.dropout = heads, window, dropout
        self.head_channels = channels // heads
        self.emb_rel_k = nn.Parameter(torch.empty(1, 2 * window + 1, self.head_channels))
        self.emb_rel_v = nn.Parameter(torch.empty(1, 2 * window + 1, self.head_channels))
        self.conv_q = nn.Conv1d(channels, channels, 1)
        self.conv_k = nn.Conv1d(channels, channels, 1)
        self.conv_v = nn.Conv1d(channels, channels, 1)
        self.conv_o = nn.Conv1d(channels, channels, 1)
        for conv in (self.conv_q, self.conv_k, self.conv_v):
            nn.init.xavier_uniform_(conv.weight)
        for distances in (self.emb_rel_k, self.emb_rel_v):
            nn.init.normal_(distances, 0.0, self.head_channels**-0.5)

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, C, F] with mask [B, 1, F, F] to [B, C, F]."""
        query, key, value = (self._heads(conv(x)) for conv in (self.conv_q, self.conv_k, self.conv_v))
        query = query / math.sqrt(self.head_channels)
        scores = query @ key.transpose(-2, -1) + _spread(query @ self.emb_rel_k.transpose(-2, -1))  # [B, H, F, F]
        scores = scores.masked_fill(attention_mask == 0, MASKED_SCORE)
        weights = functional.dropout(scores.softmax(dim=-1), self.dropout, self.training)
        mixed = weights @ value + _gather(weights, self.window) @ self.emb_rel_v  # [B, H, F, C/H]
        return torch.as_tensor(self.conv_o(mixed.transpose(2, 3).reshape(x.shape)))

    def _heads(self, x: Tensor) -> Tensor:
        batch, _, time = x.shape
        return x.view(batch, self.heads, self.head_channels, time).transpose(2, 3)  # [B, H, F, C/H]


def _spread(near: Tensor) -> Tensor:
    """Scores by distance [B, H, F, W] laid along the diagonals of [B, H, F, F].

    Rows of F + W written into rows of F + W - 1 shift one place to the right each: row t then starts at column t.
    """
    batch, heads, time, width = near.shape
    flat = functional.pad(near, (0, time)).flatten(2)[..., : time * (time + width - 1)]
    window = width // 2
    return flat.view(batch, heads, time, time + width - 1)[..., window : window + time]


def _gather(weights: Tensor, window: int) -> Tensor:
    """The diagonals of [B, H, F, F] by distance, [B, H, F, W]: the way back of `_spread`."""
    batch, heads, time, _ = weights.shape
    flat = functional.pad(weights, (window, window)).flatten(2)
    return functional.pad(flat, (0, time)).view(batch, heads, time, time + 2 * window + 1)[..., : 2 * window + 1]


class FeedForward(nn.Module):
    """Two convolutions over time around a ReLU."""

    def __init__(self, channels: int, inner: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv_1 = nn.Conv1d(channels, inner, kernel, padding="same")
        self.conv_2 = nn.Conv1d(inner, channels, kernel, padding="same")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, F] to [B, C, F]."""
        inner = functional.dropout(functional.relu(self.conv_1(x * mask)), self.dropout, self.training)
        return torch.as_tensor(self.conv_2(inner * mask) * mask)


class Transformer(nn.Module):
    """Post-norm layers of attention and feed-forward; the speaker is added before one of them."""

    def __init__(self, config: ModelConfig, channels: int, depth: int, kernel: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.speaker_layer = min(SPEAKER_LAYER, depth - 1)
        self.spk_emb_linear = nn.Linear(config.speaker_channels, channels)
        self.attn_layers = nn.ModuleList(
            RelativeAttention(channels, config.heads, config.attention_window, config.dropout) for _ in range(depth)
        )
        self.norm_layers_1 = nn.ModuleList(layers.ChannelNorm(channels) for _ in range(depth))
        self.ffn_layers = nn.ModuleList(
            FeedForward(channels, config.filter_channels, kernel, config.dropout) for _ in range(depth)
        )
        self.norm_layers_2 = nn.ModuleList(layers.ChannelNorm(channels) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """[B, C, F] with mask [B, 1, F] and speaker [B, G, 1] to [B, C, F]."""
        attention_mask = mask.unsqueeze(2) * mask.unsqueeze(3)  # [B, 1, F, F]
        x = x * mask
        stack = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        for index, (attend, norm_1, feed, norm_2) in enumerate(stack):
            if index == self.speaker_layer:
                x = (x + self.spk_emb_linear(speaker.transpose(1, 2)).transpose(1, 2)) * mask
            x = norm_1(x + functional.dropout(attend(x, attention_mask), self.dropout, self.training))
            x = norm_2(x + functional.dropout(feed(x, mask), self.dropout, self.training))
        return x * mask


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """Texts as the generator takes them, padded to the longest; ids as `Utterance` has them, blanks inserted."""

    phone_ids: Tensor  # [B, T] int64
    tone_ids: Tensor  # [B, T] int64
    language_ids: Tensor  # [B, T] int64
    phone_counts: Tensor  # [B] int64
    speaker_ids: Tensor  # [B] int64
    text_features: Tensor | None = None  # [B, text_feature_channels, T], when the model has a text encoder
    style: Tensor | None = None  # [B, style_channels], unit length, when the model has a style path

    def to(self, device: torch.device) -> TextBatch:
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: None if value is None else value.to(device, non_blocking=True) for name, value in vars(self).items()
        }
        return TextBatch(**moved)


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the text says about the latent of each phoneme, and the hidden states durations are read from."""

    hidden: Tensor  # [B, hidden, T]
    mean: Tensor  # [B, C, T]
    log_deviation: Tensor  # [B, C, T]
    mask: Tensor  # [B, 1, T]
    commitment: Tensor  # [B]: what each item's style is from its codes; zero without a style path or training


class TextEncoder(nn.Module):
    """Phonemes, tones, text features and style to the prior of the latent."""

    def __init__(self, config: ModelConfig, variant: Variant = "zh-clap") -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.scale = math.sqrt(hidden)
        self.emb = _embedding(config.symbols, hidden)
        self.tone_emb = _embedding(config.tones, hidden)
        self.language_emb = _embedding(config.languages, hidden)
        self.has_text_features = config.text_feature_channels is not None
        if config.text_feature_channels is not None:
            # Named in the order of the files, which is not the order of use.
            self.bert_proj = nn.Conv1d(config.text_feature_bottleneck, hidden, 1)
            self.bert_pre_proj = nn.Conv1d(config.text_feature_channels, config.text_feature_bottleneck, 1)
        self.has_style = config.style_channels is not None
        if config.style_channels is not None:
            self.in_feature_net = style.feature_net(config.style_channels, config.style_hidden_channels, variant)
            self.emo_vq = style.VectorQuantiser(
                config.style_channels, config.style_heads, config.style_code_channels, config.style_codes, variant
            )
            self.out_feature_net = nn.Linear(config.style_channels, hidden)
        self.encoder = Transformer(config, hidden, config.text_layers, config.text_kernel)
        self.proj = nn.Conv1d(hidden, 2 * config.latent_channels, 1)

    def forward(self, text: TextBatch, speaker: Tensor, draws: Draws | None = None) -> Prior:
        """The prior of a batch; speaker [B, G, 1]. A style path in training mode needs draws."""
        x = self.emb(text.phone_ids) + self.tone_emb(text.tone_ids) + self.language_emb(text.language_ids)  # [B, T, H]
        commitment = x.new_zeros(len(x))
        if self.has_text_features:
            features = _given(text.text_features, "text_features")
            x = x + self.bert_proj(self.bert_pre_proj(features)).transpose(1, 2)
        if self.has_style:
            coded = self.emo_vq(self.in_feature_net(_given(text.style, "style")).unsqueeze(1), draws)
            commitment = coded.commitment
            x = x + self.out_feature_net(coded.vectors)
        mask = length_mask(text.phone_counts, x.shape[1]).to(x.dtype)
        hidden = self.encoder((x * self.scale).transpose(1, 2), mask, speaker)
        mean, log_deviation = (self.proj(hidden) * mask).chunk(2, dim=1)
        return Prior(hidden=hidden, mean=mean, log_deviation=log_deviation, mask=mask, commitment=commitment)


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """What a recording says about the latent of each frame."""

    latent: Tensor  # [B, C, F]
    mean: Tensor  # [B, C, F]
    log_deviation: Tensor  # [B, C, F]
    mask: Tensor  # [B, 1, F]


class PosteriorEncoder(nn.Module):
    """The linear spectrogram of a recording to a distribution over latents, and one draw from it."""

    def __init__(self, config: ModelConfig, bins: int) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.pre = nn.Conv1d(bins, hidden, 1)
        self.enc = layers.WaveNet(hidden, config.posterior_kernel, config.posterior_layers, config.speaker_channels)
        self.proj = nn.Conv1d(hidden, 2 * config.latent_channels, 1)

    def forward(self, spectrogram: Tensor, frame_counts: Tensor, speaker: Tensor, noise: Tensor) -> Posterior:
        """[B, bins, F] with counts [B], speaker [B, G, 1] and standard normal noise [B, C, F]."""
        mask = length_mask(frame_counts, spectrogram.shape[2]).to(spectrogram.dtype)
        stats = self.proj(self.enc(self.pre(spectrogram) * mask, mask, speaker)) * mask
        mean, log_deviation = stats.chunk(2, dim=1)
        latent = (mean + noise * log_deviation.exp()) * mask
        return Posterior(latent=latent, mean=mean, log_deviation=log_deviation, mask=mask)


def length_mask(counts: Tensor, longest: int) -> Tensor:
    """[B] to [B, 1, longest]: true where an item has a position."""
    return (torch.arange(longest, device=counts.device) < counts.unsqueeze(1)).unsqueeze(1)


def _embedding(rows: int, channels: int) -> nn.Embedding:
    table = nn.Embedding(rows, channels)
    nn.init.normal_(table.weight, 0.0, channels**-0.5)
    return table


def _given(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise ValueError(
            f"this model needs TextBatch.{name}, and the batch has none; compute it with kelong_speech.features"
        )
    return value
