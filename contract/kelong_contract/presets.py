"""What an order or a VoiceModel leaves to the preset: the one table of such defaults, and how they are filled in.

The operator fills them into the orders it writes, the trainer into one that a person wrote (`read_order`), the speech
server into a request. Slicing may be said in part: what is left out then bends to what is said.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kelong_contract import codec, orders


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """The defaults of a preset. `batch_frames` are padded frames of a batch.

    `ema_decay` None keeps no running mean of the weights. `sdp_ratio` and `noise` are the manner of speaking.
    """

    batch_frames: int
    learning_rate: float = orders.Training.learning_rate
    ema_decay: float | None = None
    slicing: orders.Slicing = field(default_factory=orders.Slicing)
    sdp_ratio: float = orders.SynthesisSettings.sdp_ratio
    noise: float = orders.SynthesisSettings.noise


# `batch_frames` is what fits 24 GB of GPU memory, and two CPU cores' patience. `small` was trained and heard so in
# docs/benchmarks/learning.md: short clips make many steps an hour, and calm speech was understood better.
DEFAULTS: dict[str, Defaults] = {
    "zh-clap": Defaults(batch_frames=8000),
    "small": Defaults(
        batch_frames=1600,
        learning_rate=1e-3,
        ema_decay=0.999,
        slicing=orders.Slicing(aim_min_s=4.0, aim_max_s=8.0, max_s=15.0),
        sdp_ratio=0.0,
        noise=0.2,
    ),
    "tiny": Defaults(batch_frames=3000),
}


def slicing(preset: str, said: Mapping[str, float]) -> orders.Slicing:
    """The lengths of clips where only some of them are said, by `orders.Slicing`'s names.

    What is said stays; what is left out is the preset's, moved as far as what is said makes it necessary.
    """
    usual = DEFAULTS[preset].slicing
    max_s = said.get("max_s", max([usual.max_s, *said.values()]))
    min_s = said.get("min_s", min([usual.min_s, *said.values(), max_s]))
    aim_max_s = said.get("aim_max_s", _within(usual.aim_max_s, said.get("aim_min_s", min_s), max_s))
    aim_min_s = said.get("aim_min_s", _within(usual.aim_min_s, min_s, aim_max_s))
    return orders.Slicing(aim_min_s=aim_min_s, aim_max_s=aim_max_s, min_s=min_s, max_s=max_s)


def settings(
    preset: str,
    *,
    sdp_ratio: float | None = None,
    noise: float | None = None,
    **said: Any,
) -> orders.SynthesisSettings:
    """How a voice speaks where only some of it is said; None counts as not said."""
    usual = DEFAULTS[preset]
    return orders.SynthesisSettings(
        sdp_ratio=usual.sdp_ratio if sdp_ratio is None else sdp_ratio,
        noise=usual.noise if noise is None else noise,
        **said,
    )


def read_order(data: bytes, what: str) -> orders.TrainingOrder:
    """A TrainingOrder whose rate, mean of the weights and slicing are the preset's where it says none.

    Raises codec.Malformed.
    """
    try:
        document = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise codec.Malformed(what, [f"it is not JSON ({error})"]) from None
    return codec.decode(orders.TrainingOrder, _filled(document), what)


def _filled(document: Any) -> Any:
    """The document with the preset's values; as it is where it has not the form of an order, which decoding tells."""
    if not isinstance(document, dict):
        return document
    model = document.get("model", {})
    preset = model.get("preset", orders.Model.preset) if isinstance(model, dict) else None
    if preset not in DEFAULTS:
        return document
    usual, filled = DEFAULTS[preset], dict(document)
    training, cut = document.get("training", {}), document.get("slicing", {})
    if isinstance(training, dict):
        filled["training"] = {"learning_rate": usual.learning_rate, "ema_decay": usual.ema_decay, **training}
    lengths = {item.name for item in dataclasses.fields(orders.Slicing)}
    if isinstance(cut, dict) and set(cut) <= lengths and all(type(value) in (int, float) for value in cut.values()):
        filled["slicing"] = codec.encode(slicing(preset, cut))
    return filled


def _within(value: float, lowest: float, highest: float) -> float:
    return min(max(value, lowest), highest)
