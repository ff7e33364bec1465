"""Monotonic rational-quadratic splines with linear tails (Durkan et al. 2019), for the stochastic duration predictor.

Shapes: inputs [...]; parameters [..., K] for K bins. Outside [-bound, bound] the map is the identity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MIN_BIN = 1e-3  # smallest width and height of a bin, as a part of the whole
MIN_SLOPE = 1e-3
TAIL_BOUND = 5.0
# What softplus turns into a slope of one at both ends, where the linear tails begin.
_EDGE = math.log(math.exp(1 - MIN_SLOPE) - 1)


def transform(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, *, inverse: bool, bound: float = TAIL_BOUND
) -> tuple[Tensor, Tensor]:
    """Map x [...] by the spline of unnormalised widths and heights [..., K] and inner slopes [..., K - 1].

    Returns the image and the logarithm of the derivative, both [...].
    """
    inside = (x >= -bound) & (x <= bound)
    at = x.clamp(-bound, bound)
    x_knots, y_knots = _knots(widths, bound), _knots(heights, bound)  # [..., K + 1]
    slope = MIN_SLOPE + functional.softplus(functional.pad(slopes, (1, 1), value=_EDGE))  # [..., K + 1]

    searched = y_knots if inverse else x_knots
    bins = (at.unsqueeze(-1) >= searched[..., 1:-1]).sum(dim=-1, keepdim=True)  # [..., 1]

    def left(values: Tensor) -> Tensor:
        return values.gather(-1, bins).squeeze(-1)

    def right(values: Tensor) -> Tensor:
        return values.gather(-1, bins + 1).squeeze(-1)

    x_0, y_0 = left(x_knots), left(y_knots)
    width, height = right(x_knots) - x_0, right(y_knots) - y_0
    d_0, d_1 = left(slope), right(slope)
    steepness = height / width
    curvature = d_0 + d_1 - 2 * steepness

    if inverse:
        rise = at - y_0
        a = rise * curvature + height * (steepness - d_0)
        b = height * d_0 - rise * curvature
        c = -steepness * rise
        part = 2 * c / (-b - torch.sqrt((b * b - 4 * a * c).clamp_min(0.0)))
        image = x_0 + part * width
    else:
        part = (at - x_0) / width
        between = part * (1 - part)
        image = y_0 + height * (steepness * part * part + d_0 * between) / (steepness + curvature * between)

    between = part * (1 - part)
    denominator = steepness + curvature * between
    numerator = steepness * steepness * (d_1 * part * part + 2 * steepness * between + d_0 * (1 - part) ** 2)
    log_slope = torch.log(numerator) - 2 * torch.log(denominator)
    if inverse:
        log_slope = -log_slope
    return torch.where(inside, image, x), torch.where(inside, log_slope, torch.zeros_like(log_slope))


def _knots(unnormalised: Tensor, bound: float) -> Tensor:
    """Bin edges from -bound to bound, [..., K] to [..., K + 1]; both ends are exact."""
    count = unnormalised.shape[-1]
    parts = MIN_BIN + (1 - MIN_BIN * count) * unnormalised.softmax(dim=-1)
    inner = 2 * bound * parts.cumsum(dim=-1)[..., :-1] - bound
    return functional.pad(functional.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)
