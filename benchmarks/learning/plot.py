"""Draws what a voice learnt over its steps: error rates, similarity and losses, as one SVG file.

`python benchmarks/learning/plot.py --out FOLDER` reads the scores that `evaluate.py` left in FOLDER and the trainer's
own loss log, and writes docs/benchmarks/learning.svg.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import prove
from kelong_contract import layout
from kelong_contract import store as stores

TARGET = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "learning.svg"
WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 200, 60, 30, 60
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b")
POINTS = 200  # of a loss curve, each a mean

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One diagram: curves by name over steps, and lines that are aimed for."""

    title: str
    curves: Mapping[str, Curve]
    highest: float
    goals: Mapping[str, float]


def panels(out: Path, uid: str) -> Iterator[Panel]:
    """The diagrams of a voice."""
    scores = json.loads((out / f"scores-{uid}.json").read_text(encoding="utf-8"))

    def curve(name: str) -> Curve:
        return [(entry["step"], entry[name]) for entry in sorted(scores, key=lambda entry: entry["step"])]

    rates = {"characters": curve("cer"), "syllables without tones": curve("pinyin_cer")}
    yield Panel(
        title="Error rate of what Whisper base hears in 30 unseen sentences",
        curves=rates,
        highest=1.0,
        goals={"characters": 0.30, "syllables without tones": 0.20},
    )
    yield Panel(
        title="Similarity to the speaker (Resemblyzer)",
        curves={"similarity": curve("similarity")},
        highest=1.0,
        goals={"similarity": 0.80},
    )
    losses = _losses(out, uid)
    for names in (("mel", "prior_mel"), ("acoustic", "divergence")):
        known = {name: losses[name] for name in names if name in losses}
        highest = max(value for each in known.values() for _, value in each[len(each) // 20 :])
        yield Panel(title="Losses: " + ", ".join(known), curves=known, highest=highest, goals={})


def _losses(out: Path, uid: str) -> dict[str, Curve]:
    """Each loss over steps; of a step that was taken twice the later attempt counts."""
    store = stores.FolderStore(out / "store")
    place = layout.Voice(namespace=prove.NAMESPACE, name=prove.VOICE, uid=uid)
    by_step: dict[int, dict[str, float]] = {}
    attempt = 1
    while store.exists(layout.losses(place, attempt)):
        for line in store.get(layout.losses(place, attempt)).splitlines():
            entry = json.loads(line)
            by_step[entry["step"]] = entry["losses"]
        attempt += 1
    steps = sorted(by_step)
    size = max(1, len(steps) // POINTS)
    curves: dict[str, list[tuple[float, float]]] = {}
    for first in range(0, len(steps) - size + 1, size):
        group = steps[first : first + size]
        for name in by_step[group[0]]:
            values = [by_step[step][name] for step in group if name in by_step[step]]
            curves.setdefault(name, []).append((group[-1], sum(values) / len(values)))
    return dict(curves)


def draw(found: Sequence[Panel]) -> str:
    """The diagrams one below the other."""
    last = max(step for panel in found for curve in panel.curves.values() for step, _ in curve)
    height = TOP + len(found) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for index, panel in enumerate(found):
        parts += _drawn(panel, TOP + index * (HEIGHT + GAP), last)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawn(panel: Panel, top: float, last: float) -> Iterator[str]:
    def x(step: float) -> float:
        return LEFT + WIDTH * step / last

    def y(value: float) -> float:
        return top + HEIGHT * (1 - min(max(value / panel.highest, 0), 1))

    yield f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{panel.title}, by training step</text>'
    yield f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>'
    for value in _ticks(panel.highest):
        yield f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
    for step in _ticks(last):
        yield f'<text x="{x(step):.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{step:g}</text>'
    for (name, curve), colour in zip(panel.curves.items(), COLOURS, strict=False):
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in curve)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        if name in panel.goals:
            goal = y(panel.goals[name])
            yield f'<path d="M{LEFT} {goal:.1f}h{WIDTH}" stroke="{colour}" stroke-dasharray="4 4"/>'
    offset = 0
    for name, colour in zip(panel.curves, COLOURS, strict=False):
        yield f'<text x="{LEFT + WIDTH - 10}" y="{top + 18 + offset}" text-anchor="end" fill="{colour}">{name}</text>'
        offset += 16


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to at most the highest, about five of them."""
    magnitude = 10.0 ** math.floor(math.log10(highest))
    step = next(magnitude * part for part in (0.2, 0.5, 1, 2) if highest <= 5.5 * magnitude * part)
    return [round(index * step, 6) for index in range(int(highest / step + 1e-9) + 1)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--uid", default="proof")
    given = parser.parse_args()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(draw(list(panels(given.out.resolve(), given.uid))), encoding="utf-8")
    print(f"drawn in {TARGET.name}")


if __name__ == "__main__":
    main()
