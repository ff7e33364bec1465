"""The invertible flow between the posterior's latent and the text's prior: additive couplings and channel flips.

`transformer` couplings are those of ZH-Clap (VITS2); `wavenet` couplings are those of VITS, whose cost grows with a
clip's length and not with its square; `convnext` couplings are those blocks of the preset `small`.

B batch, C latent channels, F frames, G speaker channels.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from kelong_speech import encoders, frames, layers
from kelong_speech.config import ModelConfig


class _Invertible(Protocol):
    def __call__(self, x: Tensor, mask: Tensor, speaker: Tensor, *, reverse: bool) -> Tensor: ...


class Coupling(nn.Module):
    """Moves the second half of the channels by an amount read from the first half; volume preserving."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        half, hidden = config.latent_channels // 2, config.hidden_channels
        self.pre = nn.Conv1d(half, hidden, 1)
        self.enc: nn.Module
        if config.flow_encoder == "transformer":
            self.enc = encoders.Transformer(config, hidden, config.flow_layers, config.flow_kernel)
        else:
            self.enc = layers.WaveNet(hidden, config.flow_kernel, config.flow_layers, config.speaker_channels)
        self.post = nn.Conv1d(hidden, half, 1)
        nn.init.zeros_(self.post.weight)  # starts as the identity
        if self.post.bias is not None:
            nn.init.zeros_(self.post.bias)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor, *, reverse: bool) -> Tensor:
        """[B, C, F] to [B, C, F], there or back."""
        kept, moved = x.chunk(2, dim=1)
        shift = self.post(self.enc(self.pre(kept) * mask, mask, speaker)) * mask
        moved = (moved - shift) * mask if reverse else shift + moved * mask
        return torch.cat([kept, moved], dim=1)


class FrameCoupling(nn.Module):
    """A coupling whose amount comes from blocks at the frame rate; it starts as the identity."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        half, hidden = config.latent_channels // 2, config.hidden_channels
        self.enc = frames.Stack(half, half, hidden, config.flow_layers, config.speaker_channels, still=True)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor, *, reverse: bool) -> Tensor:
        """[B, C, F] to [B, C, F], there or back."""
        kept, moved = x.chunk(2, dim=1)
        shift = self.enc(kept, mask, speaker)
        moved = moved - shift if reverse else moved + shift
        return torch.cat([kept, moved], dim=1) * mask


class Flip(nn.Module):
    """Reverses the order of the channels, so that the next coupling moves the other half."""

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor, *, reverse: bool) -> Tensor:
        """[B, C, F] to [B, C, F]; its own inverse."""
        return x.flip(1)


class Flow(nn.Module):
    """Couplings and flips in turn."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        coupling = FrameCoupling if config.flow_encoder == "convnext" else Coupling
        steps: list[nn.Module] = []
        for _ in range(config.flow_couplings):
            steps += [coupling(config), Flip()]
        self.flows = nn.ModuleList(steps)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor, *, reverse: bool = False) -> Tensor:
        """Posterior latent [B, C, F] to the prior's space; with `reverse` back. Mask [B, 1, F], speaker [B, G, 1]."""
        step: _Invertible
        for step in reversed(self.flows) if reverse else self.flows:
            x = step(x, mask, speaker, reverse=reverse)
        return x
