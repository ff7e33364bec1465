"""How long each phoneme lasts: a plain predictor and a stochastic one (a flow over durations, Kim et al. 2021).

Both read the text encoder's hidden states without sending a gradient back into it.

B batch, T phonemes, H hidden, G speaker channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kelong_speech import layers, splines
from kelong_speech.config import ModelConfig

BINS = 10
_LOG_2PI = math.log(2 * math.pi)


class DurationPredictor(nn.Module):
    """Two convolutions to one logarithm of frames per phoneme."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, inner, kernel = config.hidden_channels, config.duration_channels, config.duration_kernel
        self.dropout = config.duration_dropout
        self.conv_1 = nn.Conv1d(hidden, inner, kernel, padding=kernel // 2)
        self.norm_1 = layers.ChannelNorm(inner)
        self.conv_2 = nn.Conv1d(inner, inner, kernel, padding=kernel // 2)
        self.norm_2 = layers.ChannelNorm(inner)
        self.proj = nn.Conv1d(inner, 1, 1)
        self.cond = nn.Conv1d(config.speaker_channels, hidden, 1)

    def forward(self, hidden: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """[B, H, T] with mask [B, 1, T] and speaker [B, G, 1] to log durations in frames [B, 1, T]."""
        x = hidden.detach() + self.cond(speaker.detach())
        for conv, norm in ((self.conv_1, self.norm_1), (self.conv_2, self.norm_2)):
            x = functional.dropout(norm(functional.relu(conv(x * mask))), self.dropout, self.training)
        return torch.as_tensor(self.proj(x * mask) * mask)


class _Affine(nn.Module):
    """Scale and shift of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(channels, 1))
        self.logs = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        if reverse:
            return (x - self.m) * torch.exp(-self.logs) * mask, x.new_zeros(x.shape[0])
        return (self.m + torch.exp(self.logs) * x) * mask, (self.logs * mask).sum(dim=(1, 2))


class _Flip(nn.Module):
    def forward(self, x: Tensor, mask: Tensor, condition: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        return x.flip(1), x.new_zeros(x.shape[0])


class _SplineCoupling(nn.Module):
    """Moves the second channel along a spline whose knots are read from the first channel and the condition."""

    def __init__(self, channels: int, kernel: int, depth: int) -> None:
        super().__init__()
        self.channels = channels
        self.pre = nn.Conv1d(1, channels, 1)
        self.convs = layers.SeparableStack(channels, kernel, depth, dropout=0.0)
        self.proj = nn.Conv1d(channels, 3 * BINS - 1, 1)
        nn.init.zeros_(self.proj.weight)
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        kept, moved = x.chunk(2, dim=1)  # [B, 1, T] each
        knots = self.proj(self.convs(self.pre(kept), mask, condition)) * mask
        knots = knots.float().transpose(1, 2).unsqueeze(1)  # [B, 1, T, 3 BINS - 1]; the spline needs full precision
        widths, heights, slopes = knots.split([BINS, BINS, BINS - 1], dim=-1)
        scale = math.sqrt(self.channels)
        moved, log_slope = splines.transform(moved, widths / scale, heights / scale, slopes, inverse=reverse)
        return torch.cat([kept, moved], dim=1) * mask, (log_slope * mask).sum(dim=(1, 2))


class StochasticDurationPredictor(nn.Module):
    """A conditional flow over (log duration, auxiliary noise): durations vary as they do in speech."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, kernel, depth = config.hidden_channels, config.duration_kernel, config.stochastic_duration_layers
        count, dropout = config.stochastic_duration_flows, config.duration_dropout
        self.flows = _steps(hidden, kernel, depth, count)
        self.post_pre = nn.Conv1d(1, hidden, 1)
        self.post_proj = nn.Conv1d(hidden, hidden, 1)
        self.post_convs = layers.SeparableStack(hidden, kernel, depth, dropout)
        self.post_flows = _steps(hidden, kernel, depth, count)
        self.pre = nn.Conv1d(hidden, hidden, 1)
        self.proj = nn.Conv1d(hidden, hidden, 1)
        self.convs = layers.SeparableStack(hidden, kernel, depth, dropout)
        self.cond = nn.Conv1d(config.speaker_channels, hidden, 1)

    def negative_log_likelihood(
        self, hidden: Tensor, mask: Tensor, speaker: Tensor, frames: Tensor, noise: Tensor
    ) -> Tensor:
        """A bound on -log p(frames) of each item [B]; frames per phoneme [B, 1, T], standard normal noise [B, 2, T]."""
        x = self._condition(hidden, mask, speaker)
        h = self.post_proj(self.post_convs(self.post_pre(frames), mask)) * mask
        noise = noise * mask
        # Variational dequantisation: u fills the whole-number steps of the durations, v is an extra dimension.
        drawn, log_volume = _run(self.post_flows, noise, mask, x + h)
        u, v = drawn.chunk(2, dim=1)
        log_volume = log_volume + ((functional.logsigmoid(u) + functional.logsigmoid(-u)) * mask).sum(dim=(1, 2))
        log_q = (-0.5 * (_LOG_2PI + noise**2) * mask).sum(dim=(1, 2)) - log_volume

        log_frames = torch.log(((frames - torch.sigmoid(u)) * mask).clamp_min(1e-5)) * mask
        z, log_volume = _run(self.flows, torch.cat([log_frames, v], dim=1), mask, x)
        log_volume = log_volume - log_frames.sum(dim=(1, 2))
        return (0.5 * (_LOG_2PI + z**2) * mask).sum(dim=(1, 2)) - log_volume + log_q

    def sample(self, hidden: Tensor, mask: Tensor, speaker: Tensor, noise: Tensor) -> Tensor:
        """Log durations in frames [B, 1, T] from scaled normal noise [B, 2, T].

        The step after the affine one is left out on this way, as it always was with this family of models: voices are
        trained and tuned by ear with it missing.
        """
        x = self._condition(hidden, mask, speaker)
        affine, _, *later = self.flows
        z = noise
        for step in [*reversed(later), affine]:
            z, _ = step(z, mask, x, reverse=True)
        return z[:, :1]

    def _condition(self, hidden: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        x = self.pre(hidden.detach()) + self.cond(speaker.detach())
        return torch.as_tensor(self.proj(self.convs(x, mask)) * mask)


class LogNormalDurations(nn.Module):
    """The stochastic predictor of the preset `small`: one normal distribution over each logarithm of frames.

    The flow over splines costs hundreds of small operations a step, each far below what it takes to start it on a CPU;
    for durations of a few frames a mean and a deviation say nearly as much. It has the flow's interface.
    """

    SPREAD = (-4.0, 1.0)  # bounds of the log deviation
    DROPOUT = 0.2

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, kernel = config.hidden_channels, config.duration_kernel
        self.conv = nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2)
        self.norm = layers.ChannelNorm(hidden)
        self.proj = nn.Conv1d(hidden, 2, 1)
        self.cond = nn.Conv1d(config.speaker_channels, hidden, 1)

    def negative_log_likelihood(
        self, hidden: Tensor, mask: Tensor, speaker: Tensor, frames: Tensor, noise: Tensor
    ) -> Tensor:
        """-log p(log frames) of each item [B]; frames per phoneme [B, 1, T]. The noise is not needed."""
        mean, log_deviation = self._statistics(hidden, mask, speaker)
        gap = (torch.log(frames.clamp_min(1)) - mean) * torch.exp(-log_deviation)
        return ((0.5 * (_LOG_2PI + gap**2) + log_deviation) * mask).sum(dim=(1, 2))

    def sample(self, hidden: Tensor, mask: Tensor, speaker: Tensor, noise: Tensor) -> Tensor:
        """Log durations in frames [B, 1, T] from scaled normal noise [B, 2, T], of which one row is used."""
        mean, log_deviation = self._statistics(hidden, mask, speaker)
        return (mean + torch.exp(log_deviation) * noise[:, :1]) * mask

    def _statistics(self, hidden: Tensor, mask: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        x = (hidden.detach() + self.cond(speaker.detach())) * mask
        x = functional.dropout(self.norm(functional.relu(self.conv(x))), self.DROPOUT, self.training)
        mean, log_deviation = self.proj(x * mask).float().chunk(2, dim=1)
        return mean, log_deviation.clamp(*self.SPREAD)


def stochastic(config: ModelConfig) -> StochasticDurationPredictor | LogNormalDurations:
    """The stochastic predictor that a configuration names."""
    return (
        LogNormalDurations(config)
        if config.stochastic_durations == "lognormal"
        else StochasticDurationPredictor(config)
    )


def _steps(hidden: int, kernel: int, depth: int, count: int) -> nn.ModuleList:
    steps: list[nn.Module] = [_Affine(2)]
    for _ in range(count):
        steps += [_SplineCoupling(hidden, kernel, depth), _Flip()]
    return nn.ModuleList(steps)


def _run(steps: nn.ModuleList, z: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
    """All steps forward: the image and the summed log-volume of each item [B]."""
    total = z.new_zeros(z.shape[0])
    for step in steps:
        z, log_volume = step(z, mask, condition, reverse=False)
        total = total + log_volume
    return z, total
