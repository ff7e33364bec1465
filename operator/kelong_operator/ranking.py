"""Which step is best, by what the judges say of its auditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from kelong_contract import codec
from kelong_contract.manifests import Figures
from kelong_contract.resources import CheckpointStatus, FigureStatus

_CER, _SIMILARITY = "cer", "similarity"


def told(figures: Figures) -> tuple[FigureStatus, ...]:
    """The figures that there are, as status writes them: four digits are more than a few sentences can tell."""
    found = codec.encode(figures, codec.camel_case, drop_none=True)
    return tuple(FigureStatus(name=name, value=f"{value:.4g}") for name, value in found.items())


def best_step(checkpoints: Iterable[CheckpointStatus]) -> int | None:
    """The step with the lowest character error rate; among equal ones the most similar voice, then the newest.

    A step without that rate is not compared, and one without a similarity comes after those with one.
    """
    heard = [(_figures(item), item.step) for item in checkpoints]
    ranked = [(figures[_CER], -figures.get(_SIMILARITY, -1.0), -step) for figures, step in heard if _CER in figures]
    return -min(ranked)[2] if ranked else None


def _figures(checkpoint: CheckpointStatus) -> dict[str, float]:
    return {item.name: float(item.value) for item in checkpoint.metrics}
