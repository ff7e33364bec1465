"""The style path: a CLAP vector is squeezed through a small residual net and a codebook per head.

The codebook follows van den Oord et al. 2017 with exponential moving averages (Razavi et al. 2019): its rows are
buffers that follow the batch in training mode only: the batch of all processes that train together, so that the codes
stay the same in each. Tensor names are those of the original's files.

B batch, N vectors per item (1 here), C style channels, H heads, K codes per head, D channels per head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kelong_speech.config import Variant
from kelong_speech.draws import Draws

DECAY = 0.85
DEAD_BELOW = 2.0  # a code with a smaller running count is replaced
COMMITMENT_WEIGHT = 0.1
EPSILON = 1e-5


class _Gate(nn.Module):
    """A gated pair of projections without biases: silu(a x) * b x."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.c_fc1 = nn.Linear(channels, inner, bias=False)
        self.c_fc2 = nn.Linear(channels, inner, bias=False)
        self.c_proj = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.c_proj(functional.silu(self.c_fc1(x)) * self.c_fc2(x)))


class _Residual(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mlp = _Gate(channels, inner)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(x + self.mlp(self.norm(x)))


def feature_net(channels: int, inner: int, variant: Variant = "zh-clap") -> nn.Sequential:
    """[B, C] to [B, C] through `inner` channels; Extra-Fix has a SiLU where ZH-Clap has a GELU."""
    return nn.Sequential(
        nn.Linear(channels, inner, bias=False),
        nn.SiLU() if variant == "extra-fix" else nn.GELU(),
        nn.LayerNorm(inner),
        _Residual(inner, channels),
        nn.Linear(inner, channels, bias=False),
    )


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Vectors replaced by their codes. `commitment` pulls the encoder towards its codes (zero outside training)."""

    vectors: Tensor  # [B, N, C]
    indices: Tensor  # [B, N, H]
    commitment: Tensor  # [B]: each item's own


class _Codebook(nn.Module):
    """K codes for each of H heads, chosen by distance, or by angle: then parts and codes have unit length."""

    initted: Tensor
    cluster_size: Tensor
    embed_avg: Tensor
    embed: Tensor

    def __init__(self, heads: int, codes: int, channels: int, *, by_angle: bool = False) -> None:
        super().__init__()
        self.by_angle = by_angle
        embed = nn.init.kaiming_uniform_(torch.empty(heads, codes, channels))
        embed = functional.normalize(embed, dim=-1) if by_angle else embed
        self.register_buffer("initted", torch.ones(1))
        self.register_buffer("cluster_size", torch.zeros(heads, codes))
        self.register_buffer("embed_avg", embed.clone())
        self.register_buffer("embed", embed)

    def forward(self, x: Tensor, draws: Draws | None) -> tuple[Tensor, Tensor]:
        """[H, B N, D] to its codes [H, B N, D] and their indices [H, B N]; given draws the codes follow the batch."""
        with torch.autocast(x.device.type, enabled=False):  # running averages need their full precision
            return self._choose(x.float(), draws)

    def _choose(self, x: Tensor, draws: Draws | None) -> tuple[Tensor, Tensor]:
        scores = x.detach() @ self.embed.mT if self.by_angle else -torch.cdist(x.detach(), self.embed)  # [H, B N, K]
        if draws is not None:
            heads, rows, choices = scores.shape
            uniform = draws.uniform("codes", (rows // len(draws), heads, choices), scores).flatten(0, 1).transpose(0, 1)
            scores = scores - torch.log((-torch.log(uniform.clamp_min(1e-20))).clamp_min(1e-20))  # Gumbel noise
        indices = scores.argmax(dim=-1)
        codes = self.embed.gather(1, indices.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        if draws is not None:
            self._follow(x.detach(), indices, draws)
        return codes, indices

    @torch.no_grad()
    def _follow(self, x: Tensor, indices: Tensor, draws: Draws) -> None:
        x = draws.together(x.transpose(0, 1)).transpose(0, 1)
        indices = draws.together(indices.transpose(0, 1)).transpose(0, 1)
        chosen = functional.one_hot(indices, self.embed.shape[1]).to(x.dtype)  # [H, N, K]
        self.cluster_size.lerp_(chosen.sum(dim=1), 1 - DECAY)
        self.embed_avg.lerp_(chosen.transpose(1, 2) @ x, 1 - DECAY)
        total = self.cluster_size.sum(dim=-1, keepdim=True)
        smoothed = (self.cluster_size + EPSILON) / (total + EPSILON * self.cluster_size.shape[-1]) * total
        mean = self.embed_avg / smoothed.unsqueeze(-1)
        self.embed.copy_(functional.normalize(mean, dim=-1) if self.by_angle else mean)
        dead = (self.cluster_size < DEAD_BELOW).unsqueeze(-1)  # [H, K, 1]
        generator = draws.common("dead codes", x.device)
        picks = torch.randint(x.shape[1], self.cluster_size.shape, generator=generator, device=x.device)
        fresh = x.gather(1, picks.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        self.embed.copy_(torch.where(dead, fresh, self.embed))
        self.embed_avg.copy_(torch.where(dead, fresh * DEAD_BELOW, self.embed_avg))
        self.cluster_size.clamp_min_(DEAD_BELOW)


class VectorQuantiser(nn.Module):
    """Splits a vector over heads and replaces each part by the nearest code of its head.

    Extra-Fix first scales each part to unit length and takes the code of the smallest angle.
    """

    def __init__(self, channels: int, heads: int, code_channels: int, codes: int, variant: Variant = "zh-clap") -> None:
        super().__init__()
        self.heads = heads
        self.project_in = nn.Linear(channels, heads * code_channels)
        self.project_out = nn.Linear(heads * code_channels, channels)
        self._codebook = _Codebook(heads, codes, code_channels, by_angle=variant == "extra-fix")

    def forward(self, x: Tensor, draws: Draws | None = None) -> Quantised:
        """[B, N, C] to its quantised form; the gradient passes straight through the choice.

        In training mode it needs draws, chooses among near codes by chance, and its codes follow the batch.
        """
        batch, count, _ = x.shape
        parts = self.project_in(x).view(batch * count, self.heads, -1).transpose(0, 1)  # [H, B N, D]
        parts = functional.normalize(parts, dim=-1) if self._codebook.by_angle else parts
        codes, indices = self._codebook(parts, draws if self.training else None)
        commitment = x.new_zeros(batch)
        if self.training:
            apart = ((parts - codes.detach()) ** 2).mean(dim=(0, 2))  # [B N]
            commitment = COMMITMENT_WEIGHT * apart.view(batch, count).mean(dim=1)
            codes = parts + (codes - parts).detach()
        joined = codes.transpose(0, 1).reshape(batch, count, -1)
        return Quantised(
            vectors=self.project_out(joined),
            indices=indices.transpose(0, 1).reshape(batch, count, self.heads),
            commitment=commitment,
        )
