"""Histograms as inline SVG: bars that are read by eye and by screen readers, coloured by the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, FOOT = 320, 120, 18
GAP = 1.0
MOST_TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The axis of a histogram: bins of equal width from `low` to `high`; what lies outside counts in the outermost."""

    low: float
    high: float
    width: float
    unit: str = ""

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return round((self.high - self.low) / self.width)


def count(values: Sequence[float], scale: Scale) -> list[int]:
    """How many values fall into each bin."""
    bins = [0] * scale.bins
    for value in values:
        # The sum of tenths is not exact: a value on an edge belongs to the bin above it.
        index = math.floor((value - scale.low) / scale.width + 1e-9)
        bins[min(max(index, 0), scale.bins - 1)] += 1
    return bins


def svg(values: Sequence[float], scale: Scale, label: str, band: tuple[float, float] | None = None) -> str:
    """A histogram; `band` is a stretch of the axis that is aimed for."""
    bins = count(values, scale)
    highest = max(bins, default=0) or 1
    step = WIDTH / scale.bins
    room = HEIGHT - FOOT
    parts = []
    if band is not None:
        left, right = (_x(edge, scale) for edge in band)
        parts.append(f'<rect class="band" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{room}"/>')
    for index, number in enumerate(bins):
        if number:
            tall = max(number / highest * (room - 4), 1.5)
            low = scale.low + index * scale.width
            told = f"{low:g} – {low + scale.width:g}{scale.unit}: {number}"
            parts.append(
                f'<rect class="bar" x="{index * step + GAP / 2:.1f}" y="{room - tall:.1f}" '
                f'width="{step - GAP:.1f}" height="{tall:.1f}"><title>{html.escape(told)}</title></rect>'
            )
    parts.append(f'<line class="axis" x1="0" y1="{room}" x2="{WIDTH}" y2="{room}"/>')
    parts += _ticks(scale)
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _x(value: float, scale: Scale) -> float:
    return (min(max(value, scale.low), scale.high) - scale.low) / (scale.high - scale.low) * WIDTH


def _ticks(scale: Scale) -> list[str]:
    """Three to six round numbers below the axis, the unit behind the last."""
    span = scale.high - scale.low
    between = next(step for step in (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if span / step <= MOST_TICKS)
    values = [scale.low + index * between for index in range(int(span / between + 1e-9) + 1)]
    ticks = []
    for value in values:
        anchor = "start" if value == values[0] else "end" if value >= scale.high - between / 2 else "middle"
        shown = f"{value:.2f}".rstrip("0").rstrip(".") + (scale.unit if value == values[-1] else "")
        ticks.append(
            f'<text x="{_x(value, scale):.0f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{html.escape(shown)}</text>'
        )
    return ticks
