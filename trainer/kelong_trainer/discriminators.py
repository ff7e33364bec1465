"""The judges that the generator is trained against: one over the raw waveform, five over its periods (HiFi-GAN, VITS).

Kong et al. 2020, Kim et al. 2021. Parameter names and shapes are the original's (`D_*.pth`), so that its files load.
`step` calls them; nothing else does.

B batch, C channels, S samples, P period, K kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE = 0.1
PERIODS = (2, 3, 5, 7, 11)


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Widths of the judges' layers; the defaults are the original's."""

    scale_channels: tuple[int, ...] = (16, 64, 256, 1024, 1024, 1024)
    scale_groups: tuple[int, ...] = (1, 4, 16, 64, 256, 1)
    period_channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)


_SIZES = {
    "zh-clap": DiscriminatorConfig(),
    "tiny": DiscriminatorConfig(
        scale_channels=(4, 8, 16, 32, 64, 64), scale_groups=(1, 1, 2, 4, 4, 1), period_channels=(4, 8, 16, 32, 64)
    ),
}


def preset(name: str) -> DiscriminatorConfig:
    """The widths that belong to a preset of the generator."""
    return _SIZES[name]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the judges say of a batch of sound: a map of scores each (1 real, 0 made), and what they saw on the way."""

    scores: tuple[Tensor, ...]
    features: tuple[tuple[Tensor, ...], ...]


class _NormedConv(nn.Module):
    """A weight-normed strided convolution; with `flat` the weight carries a last dimension of 1, as in 2-D files."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, flat: bool) -> None:
        super().__init__()
        plain = nn.Conv1d(inputs, outputs, kernel, groups=groups)
        assert plain.bias is not None
        weight = plain.weight.detach()
        weight = weight.unsqueeze(-1) if flat else weight
        self.bias = nn.Parameter(plain.bias.detach())
        self.weight_g = nn.Parameter(torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True))
        self.weight_v = nn.Parameter(weight)
        self.stride, self.groups, self.padding, self.flat = stride, groups, (kernel - 1) // 2, flat

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, S] to [B, outputs, ceil(S / stride)]."""
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        weight = weight.squeeze(-1) if self.flat else weight
        return functional.conv1d(x, weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups)


class _Judge(nn.Module):
    """A stack of convolutions whose every output is a feature map; the last is the score."""

    def __init__(self, convs: Sequence[_NormedConv], post: _NormedConv) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = post

    def forward(self, sound: Tensor) -> tuple[Tensor, ...]:
        """[B, 1, S] to the feature maps."""
        x = self.arrange(sound)
        maps = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), LEAKY_SLOPE)
            maps.append(x)
        return (*maps, self.conv_post(x))

    def arrange(self, sound: Tensor) -> Tensor:
        """The sound as this judge looks at it."""
        return sound


class _ScaleJudge(_Judge):
    """Looks at the waveform at falling resolution."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        kernels = (15, 41, 41, 41, 41, 5)
        strides = (1, 4, 4, 4, 4, 1)
        inputs = (1, *config.scale_channels)
        sizes = zip(inputs, config.scale_channels, kernels, strides, config.scale_groups, strict=False)
        super().__init__(
            [
                _NormedConv(a, b, kernel, stride=stride, groups=groups, flat=False)
                for a, b, kernel, stride, groups in sizes
            ],
            _NormedConv(config.scale_channels[-1], 1, 3, flat=False),
        )


class _PeriodJudge(_Judge):
    """Looks at every P-th sample. The original folds [B, 1, S] to [B, 1, S/P, P] for 2-D kernels of width 1.

    P columns that never meet are P rows of a batch, so we fold them there: the same numbers, and much faster on a CPU.
    """

    def __init__(self, period: int, config: DiscriminatorConfig) -> None:
        inputs = (1, *config.period_channels)
        strides = (3,) * (len(config.period_channels) - 1) + (1,)
        sizes = zip(inputs, config.period_channels, strides, strict=False)
        super().__init__(
            [_NormedConv(a, b, 5, stride=stride, flat=True) for a, b, stride in sizes],
            _NormedConv(config.period_channels[-1], 1, 3, flat=True),
        )
        self.period = period

    def arrange(self, sound: Tensor) -> Tensor:
        """[B, 1, S] to [B x P, 1, ceil(S / P)], the end filled by reflection."""
        short = -sound.shape[-1] % self.period
        padded = functional.pad(sound, (0, short), "reflect") if short else sound
        columns = padded.view(sound.shape[0], -1, self.period).transpose(1, 2)  # [B, P, S/P]
        return columns.reshape(sound.shape[0] * self.period, 1, -1)


class Discriminators(nn.Module):
    """All judges together (`MultiPeriodDiscriminator` in VITS)."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        judges: list[_Judge] = [_ScaleJudge(config), *(_PeriodJudge(period, config) for period in PERIODS)]
        self.discriminators = nn.ModuleList(judges)

    def forward(self, sound: Tensor) -> Judgement:
        """[B, 1, S] to the judgement; real and made sound may share one batch."""
        maps = tuple(judge(sound) for judge in self.discriminators)
        return Judgement(scores=tuple(features[-1] for features in maps), features=maps)
