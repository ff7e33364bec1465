"""The judges that the generator is trained against, and nothing of how: `step` and `losses` know that.

- over the waveform: one of it raw, five of its periods (HiFi-GAN, Kong et al. 2020; VITS, Kim et al. 2021): `D_*.pth`
- over what a frozen WavLM hears in it (StyleTTS 2, Li et al. 2023): `WD_*.pth`
- over durations (VITS2, Kong et al. 2023; the recurrent form of Bert-VITS2 since 2.3): `DUR_*.pth`

Parameter names, shapes and order are the original's, so that its files load.

B batch, C channels, S samples, P period, K kernel, T phonemes, H hidden, G speaker channels, N WavLM frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from kelong_speech import layers
from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE = 0.1
PERIODS = (2, 3, 5, 7, 11)
DURATION_DROPOUT = 0.1


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Widths of the judges' layers; the defaults are the original's.

    They begin to judge at the step `from_step`, and hear so many `frames` of a segment (None: all of it).
    """

    scale_channels: tuple[int, ...] = (16, 64, 256, 1024, 1024, 1024)
    scale_groups: tuple[int, ...] = (1, 4, 16, 64, 256, 1)
    period_channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    from_step: int = 1
    frames: int | None = None


_SIZES = {
    "zh-clap": DiscriminatorConfig(),
    # A voice that cannot speak yet learns nothing from judges of how natural it sounds, and they cost half a step.
    "small": DiscriminatorConfig(
        scale_channels=(8, 32, 64, 128, 128, 128),
        scale_groups=(1, 4, 8, 16, 16, 1),
        period_channels=(16, 32, 64, 128, 128),
        from_step=4_000,
        frames=64,
    ),
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

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Each [B, inputs, S] to [B, outputs, ceil(S / stride)]; the weight is normed once for all of them."""
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        weight = weight.squeeze(-1) if self.flat else weight
        return tuple(
            functional.conv1d(x, weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups)
            for x in inputs
        )


class _Judge(nn.Module):
    """A stack of convolutions whose every output is a feature map; the last is the score."""

    def __init__(self, convs: Sequence[_NormedConv], post: _NormedConv) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = post

    def forward(self, *sounds: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Each [B, 1, S] to its feature maps."""
        seen = tuple(self.arrange(sound) for sound in sounds)
        maps = []
        for conv in self.convs:
            seen = tuple(functional.leaky_relu(x, LEAKY_SLOPE) for x in conv(*seen))
            maps.append(seen)
        maps.append(self.conv_post(*seen))
        return tuple(zip(*maps, strict=True))

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

    def forward(self, *sounds: Tensor) -> tuple[Judgement, ...]:
        """A judgement of each [B, 1, S]. They do not share a batch: their gradients go different ways."""
        judged = [judge(*sounds) for judge in self.discriminators]
        return tuple(
            Judgement(scores=tuple(features[-1] for features in maps), features=maps)
            for maps in zip(*judged, strict=True)
        )


class WavLMDiscriminator(nn.Module):
    """Tells recordings from what the generator says by what a WavLM hears in both.

    `channels` are the WavLM's hidden states stacked: 13 x 768 = 9984 for WavLM base plus. The WavLM is not part of it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pre = _NormedConv(channels, 64, 1, flat=False)
        self.convs = nn.ModuleList(_NormedConv(a, b, 5, flat=False) for a, b in ((64, 128), (128, 256), (256, 256)))
        self.conv_post = _NormedConv(256, 1, 3, flat=False)

    def forward(self, *heard: Tensor) -> tuple[Tensor, ...]:
        """Each of stacked hidden states [B, C, N] to scores [B, N]: 1 real, 0 made."""
        x = self.pre(*heard)
        for conv in self.convs:
            x = tuple(functional.leaky_relu(each, LEAKY_SLOPE) for each in conv(*x))
        return tuple(scores.squeeze(1) for scores in self.conv_post(*x))


class DurationDiscriminator(nn.Module):
    """Tells the durations that the alignment found from predicted ones, phoneme by phoneme.

    It reads the text encoder's hidden states and the speaker without sending a gradient back into them.
    """

    def __init__(self, hidden_channels: int, speaker_channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(hidden_channels, hidden_channels, 3, padding=1)
        self.norm_1 = layers.ChannelNorm(hidden_channels)
        self.conv_2 = nn.Conv1d(hidden_channels, hidden_channels, 3, padding=1)
        self.norm_2 = layers.ChannelNorm(hidden_channels)
        self.dur_proj = nn.Conv1d(1, hidden_channels, 1)
        self.LSTM = nn.LSTM(2 * hidden_channels, hidden_channels, batch_first=True, bidirectional=True)
        self.cond = nn.Conv1d(speaker_channels, hidden_channels, 1)
        self.output_layer = nn.Sequential(nn.Linear(2 * hidden_channels, 1), nn.Sigmoid())

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor,
        speaker: Tensor,
        candidates: Sequence[Tensor],
        *,
        into_padding: bool = False,
    ) -> tuple[Tensor, ...]:
        """For each of the candidates, log durations [B, 1, T], the scores [B, T]: 1 found, 0 predicted.

        hidden [B, H, T], mask [B, 1, T], speaker [B, G, 1]. Scores of phonemes that the mask leaves out mean nothing;
        the others do not depend on how far the batch is padded, unless the LSTM reads `into_padding` as the original's.
        """
        x = hidden.detach() + self.cond(speaker.detach())
        for conv, norm in ((self.conv_1, self.norm_1), (self.conv_2, self.norm_2)):
            x = functional.dropout(norm(functional.relu(conv(x * mask))), DURATION_DROPOUT, self.training)
        count = len(candidates)
        told = self.dur_proj(torch.cat(list(candidates)))  # [count x B, H, T]
        both = torch.cat([x.repeat(count, 1, 1), told], dim=1).transpose(1, 2)  # [count x B, T, 2 H]
        if into_padding:
            read, _ = self.LSTM(both)
        else:
            read = self._read(both, mask.sum(dim=(1, 2)).long().repeat(count))
        return tuple(self.output_layer(read).squeeze(2).chunk(count))

    def _read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The LSTM both ways, the way back from each item's own end: [B, T, 2 H] to [B, T, 2 H]."""
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        read, _ = self.LSTM(packed)
        return nn.utils.rnn.pad_packed_sequence(read, batch_first=True, total_length=x.shape[1])[0]
