"""The waveform decoder: HiFi-GAN's generator (Kong et al. 2020) with a speaker condition.

B batch, C channels, F frames, S samples = F x hop, G speaker channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kelong_speech import layers
from kelong_speech.config import ModelConfig

LAST_SLOPE = 0.01  # before the last convolution the slope is torch's default, not LEAKY_SLOPE


class ResBlock(nn.Module):
    """Pairs of dilated and plain convolutions, each pair with a residual."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(layers.NormedConv1d(channels, channels, kernel, gap) for gap in dilations)
        self.convs2 = nn.ModuleList(layers.NormedConv1d(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, C, F] to [B, C, F]; x is already masked."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = _masked(dilated(functional.leaky_relu(x, layers.LEAKY_SLOPE)), mask)
            x = x + _masked(plain(functional.leaky_relu(y, layers.LEAKY_SLOPE)), mask)
        return x


class Decoder(nn.Module):
    """Latent frames to samples."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.rates = config.upsample_rates
        self.conv_pre = nn.Conv1d(config.latent_channels, config.decoder_channels, 7, padding=3)
        widths = [config.decoder_channels // 2**stage for stage in range(len(self.rates) + 1)]
        self.ups = nn.ModuleList(
            layers.NormedUpsampling(widths[stage], widths[stage + 1], kernel, rate)
            for stage, (rate, kernel) in enumerate(zip(self.rates, config.upsample_kernels, strict=True))
        )
        self.blocks_per_stage = len(config.resblock_kernels)
        self.resblocks = nn.ModuleList(
            ResBlock(width, kernel, config.resblock_dilations)
            for width in widths[1:]
            for kernel in config.resblock_kernels
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=False)
        self.cond = nn.Conv1d(config.speaker_channels, config.decoder_channels, 1)

    def forward(self, latent: Tensor, speaker: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, C, F] and speaker [B, G, 1] to a waveform [B, 1, S] in -1..1.

        With mask [B, 1, F] every item sounds as it does alone: what lies beyond its end stays silent at every stage,
        just as the zero padding of a lone item would be.
        """
        x = layers.wide(_masked(self.conv_pre(latent) + self.cond(speaker), mask))
        mask = None if mask is None else layers.like(mask, x)
        for stage, up in enumerate(self.ups):
            if mask is not None:
                mask = mask.repeat_interleave(self.rates[stage], dim=-1)
            x = _masked(up(functional.leaky_relu(x, layers.LEAKY_SLOPE)), mask)
            first = stage * self.blocks_per_stage
            blocks = [self.resblocks[first + index](x, mask) for index in range(self.blocks_per_stage)]
            x = sum(blocks[1:], start=blocks[0]) / self.blocks_per_stage
        last = layers.convolve(functional.leaky_relu(x, LAST_SLOPE), self.conv_post.weight, None)
        return torch.tanh(layers.narrow(last))


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask
