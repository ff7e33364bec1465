"""Small building blocks of the generator: norms, weight-normed convolutions, the gated and the separable stack.

Parameter names are those of the original's files (`gamma`, `beta`, `weight_g`, `weight_v`), so that checkpoints stay
interchangeable. Used by `encoders`, `flow`, `durations`, `decoder`; the trainer's discriminators use the convolutions.

B batch, C channels, F time (phonemes or frames), L layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE = 0.1


def wide(x: Tensor) -> Tensor:
    """[B, C, F] as convolutions over it are fastest; the normed convolutions take and give either form.

    On a CPU that is [B, C, 1, F] with the channels of a frame side by side in memory: oneDNN's convolutions then need
    not rearrange what they read and write, and take half to two thirds of the time.
    """
    if x.device.type != "cpu":
        return x
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def narrow(x: Tensor) -> Tensor:
    """The way back of `wide`."""
    return x.squeeze(2) if x.dim() == 4 else x


def like(x: Tensor, other: Tensor) -> Tensor:
    """[B, C, F] in the form that `other` has."""
    return x.unsqueeze(2) if other.dim() == 4 else x


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int = 1) -> Tensor:
    """A convolution over time that keeps the length: [B, inputs, F], wide or not, with [outputs, inputs, kernel]."""
    padding = dilation * (weight.shape[2] - 1) // 2
    if x.dim() == 3:
        return functional.conv1d(x, weight, bias, padding=padding, dilation=dilation)
    return functional.conv2d(x, weight.unsqueeze(2), bias, padding=(0, padding), dilation=(1, dilation))


def settle(network: nn.Module, form: torch.dtype = torch.float32) -> None:
    """Compute every effective weight once and for all: for a network that only speaks from now on.

    The weights of its convolutions and matrix products are kept in `form`: where autocast to it is to run, it would
    otherwise convert them each time.
    """
    for module in network.modules():
        if isinstance(module, _WeightNorm):
            module.settle(form)
        elif isinstance(module, nn.Conv1d | nn.Linear):
            module.to(form)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of [B, C, F]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, F] to [B, C, F]."""
        return functional.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta, 1e-5).transpose(1, 2)


class _WeightNorm(nn.Module):
    """A weight kept as direction `weight_v` and length `weight_g` over dimension 0 (Salimans and Kingma 2016).

    Written out because torch's own parametrisation stores other names than the files we exchange.
    """

    def __init__(self, initial: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias)
        self.weight_g = nn.Parameter(
            torch.linalg.vector_norm(initial, dim=tuple(range(1, initial.dim())), keepdim=True)
        )
        self.weight_v = nn.Parameter(initial)
        self._settled: Tensor | None = None

    def weight(self) -> Tensor:
        """The effective weight."""
        return torch._weight_norm(self.weight_v, self.weight_g, 0) if self._settled is None else self._settled

    @torch.no_grad()
    def settle(self, form: torch.dtype) -> None:
        """Keep the effective weight as it is now, in a number format."""
        self._settled = self.weight().to(form)


class NormedConv1d(_WeightNorm):
    """A weight-normed convolution over time that keeps the length (stride 1, odd kernel)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        plain = nn.Conv1d(inputs, outputs, kernel)
        assert plain.bias is not None
        super().__init__(plain.weight.detach(), plain.bias.detach())
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, F] to [B, outputs, F], in the form it comes."""
        return convolve(x, self.weight(), self.bias, self.dilation)


class NormedUpsampling(_WeightNorm):
    """A weight-normed transposed convolution that makes F frames exactly F x rate."""

    def __init__(self, inputs: int, outputs: int, kernel: int, rate: int) -> None:
        plain = nn.ConvTranspose1d(inputs, outputs, kernel)
        assert plain.bias is not None
        super().__init__(plain.weight.detach(), plain.bias.detach())
        self.rate = rate
        self.padding = (kernel - rate) // 2

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, F] to [B, outputs, F x rate], in the form it comes."""
        weight, rate, padding = self.weight(), self.rate, self.padding
        if x.dim() == 3:
            return functional.conv_transpose1d(x, weight, self.bias, stride=rate, padding=padding)
        return functional.conv_transpose2d(x, weight.unsqueeze(2), self.bias, stride=(1, rate), padding=(0, padding))


class WaveNet(nn.Module):
    """Gated convolutions with skip connections and a speaker condition (van den Oord et al. 2016, as in WaveGlow)."""

    def __init__(self, channels: int, kernel: int, layers: int, speaker_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.in_layers = nn.ModuleList(NormedConv1d(channels, 2 * channels, kernel) for _ in range(layers))
        # The last layer has no residual to pass on, only a skip.
        widths = [2 * channels] * (layers - 1) + [channels]
        self.res_skip_layers = nn.ModuleList(NormedConv1d(channels, width, 1) for width in widths)
        self.cond_layer = NormedConv1d(speaker_channels, 2 * channels * layers, 1)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """[B, C, F] with mask [B, 1, F] and speaker [B, G, 1] to [B, C, F]."""
        conditions = self.cond_layer(speaker).split(2 * self.channels, dim=1)
        total = torch.zeros_like(x)
        for layer, out, condition in zip(self.in_layers, self.res_skip_layers, conditions, strict=True):
            tanh_in, gate_in = (layer(x) + condition).chunk(2, dim=1)
            both = out(torch.tanh(tanh_in) * torch.sigmoid(gate_in))
            if both.shape[1] == self.channels:
                total = total + both
            else:
                residual, skip = both.chunk(2, dim=1)
                x = (x + residual) * mask
                total = total + skip
        return total * mask


class SeparableStack(nn.Module):
    """Dilated depth-wise separable convolutions with residuals; dilation is kernel to the power of the layer."""

    def __init__(self, channels: int, kernel: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        dilations = [kernel**layer for layer in range(layers)]
        self.convs_sep = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, groups=channels, dilation=gap, padding=gap * (kernel - 1) // 2)
            for gap in dilations
        )
        self.convs_1x1 = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in dilations)
        self.norms_1 = nn.ModuleList(ChannelNorm(channels) for _ in dilations)
        self.norms_2 = nn.ModuleList(ChannelNorm(channels) for _ in dilations)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """[B, C, F] with mask [B, 1, F] and an optional condition [B, C, F] to [B, C, F]."""
        if condition is not None:
            x = x + condition
        for apart, mix, norm_1, norm_2 in zip(self.convs_sep, self.convs_1x1, self.norms_1, self.norms_2, strict=True):
            y = functional.gelu(norm_1(apart(x * mask)))
            y = functional.gelu(norm_2(mix(y)))
            x = x + functional.dropout(y, self.dropout, self.training)
        return x * mask
