"""The waveform's judges as the papers draw them (HiFi-GAN, Kong et al. 2020): one raw, five folded by a period.

B batch, S samples, P period.
"""

from __future__ import annotations

from plain.generator import Weights, weight
from torch import Tensor
from torch.nn import functional

PERIODS = (2, 3, 5, 7, 11)
SCALE_STRIDES = (1, 4, 4, 4, 4, 1)


def judge(w: Weights, sound: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The scores and feature maps of every judge for [B, 1, S]."""
    maps = [_scale(w, sound)] + [_period(w, index + 1, period, sound) for index, period in enumerate(PERIODS)]
    return [features[-1] for features in maps], maps


def _scale(w: Weights, x: Tensor) -> list[Tensor]:
    maps = []
    for index, stride in enumerate(SCALE_STRIDES):
        name = f"discriminators.0.convs.{index}"
        kernel = weight(w, name)
        padding, groups = (kernel.shape[2] - 1) // 2, x.shape[1] // kernel.shape[1]
        x = functional.conv1d(x, kernel, w[f"{name}.bias"], stride=stride, padding=padding, groups=groups)
        x = functional.leaky_relu(x, 0.1)
        maps.append(x)
    name = "discriminators.0.conv_post"
    return [*maps, functional.conv1d(x, weight(w, name), w[f"{name}.bias"], padding=1)]


def _period(w: Weights, index: int, period: int, sound: Tensor) -> list[Tensor]:
    short = -sound.shape[2] % period
    folded = functional.pad(sound, (0, short), "reflect") if short else sound
    x, maps = folded.view(len(sound), 1, -1, period), []  # [B, 1, S/P, P]
    for layer in range(5):
        name = f"discriminators.{index}.convs.{layer}"
        stride = (3, 1) if layer < 4 else (1, 1)
        x = functional.conv2d(x, weight(w, name), w[f"{name}.bias"], stride=stride, padding=(2, 0))
        x = functional.leaky_relu(x, 0.1)
        maps.append(x)
    name = f"discriminators.{index}.conv_post"
    return [*maps, functional.conv2d(x, weight(w, name), w[f"{name}.bias"], padding=(1, 0))]
