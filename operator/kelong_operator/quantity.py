"""Kubernetes quantities ("500m", "2Gi") as exact numbers, and resource requests that are consistent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

RESOURCE_NAMES = ("cpu", "memory", "ephemeral-storage")

_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti|)")
_UNITS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


def parse(amount: Any) -> Decimal | None:
    """The amount in cores, bytes or pieces; None if it is not a quantity. Whole numbers may be given as numbers."""
    if isinstance(amount, int) and not isinstance(amount, bool):
        return Decimal(amount) if amount >= 0 else None
    if not isinstance(amount, str) or (match := _FORM.fullmatch(amount)) is None:
        return None
    return Decimal(match[1]) * _UNITS[match[2]]


def raised(limits: Mapping[str, Any], wished: Mapping[str, Any]) -> dict[str, Any]:
    """Default limits, lifted to what somebody wishes to request."""

    def lift(name: str, limit: Any) -> Any:
        amount, asked = parse(limit), parse(wished.get(name))
        return wished[name] if amount is not None and asked is not None and asked > amount else limit

    return {name: lift(name, limit) for name, limit in limits.items()}


def merged(defaults: Mapping[str, Any], wished: Mapping[str, Any]) -> dict[str, str]:
    """One set of amounts, the wished before the defaults, all as strings."""
    return {name: str(amount) for name, amount in {**defaults, **wished}.items()}


def fitted(requests: Mapping[str, str], limits: Mapping[str, str]) -> dict[str, str]:
    """Requests lowered to the limits: the API server refuses a pod that asks for more than it may use."""

    def lower(name: str, amount: str) -> str:
        limit, asked = parse(limits.get(name)), parse(amount)
        return limits[name] if limit is not None and asked is not None and asked > limit else amount

    return {name: lower(name, amount) for name, amount in requests.items()}
