"""JSON documents that lie in the store: one that cannot be read is refused by its key, with what to do about it."""

from __future__ import annotations

from typing import TypeVar

from kelong_contract import codec, conditions

from kelong_trainer.context import BadData

T = TypeVar("T")

REMAKE = "delete it, and training makes it anew"


def parse(kind: type[T], data: bytes, key: str, remedy: str) -> T:
    """The document that lies at `key`; raises BadData that names the key and ends with the remedy."""
    try:
        return codec.loads(kind, data, key)
    except codec.Malformed as error:
        raise BadData(conditions.BAD_DATA, f"{error}; {remedy}") from error
