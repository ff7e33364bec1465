"""Frozen dataclasses to JSON and back, strictly: every fault of a document is reported at once, with its path.

Orders, manifests and resources all pass through here. Understood types: str, int, float, bool, None unions, Literal,
tuple[T, ...], dict[str, T] and nested dataclasses. Integers are accepted for floats, never the reverse.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Rename = Callable[[str], str]


class Malformed(Exception):
    """A document does not have the form it should; `faults` names every place."""

    def __init__(self, what: str, faults: list[str]) -> None:
        super().__init__(f"{what} is not usable: " + "; ".join(faults))
        self.faults = faults


def same_name(name: str) -> str:
    """Field names as they are: what orders and manifests use."""
    return name


def camel_case(name: str) -> str:
    """`max_steps` to `maxSteps`: what Kubernetes resources use."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def encode(value: Any, rename: Rename = same_name, *, drop_none: bool = False) -> Any:
    """A dataclass (or a tuple, dict or scalar of them) as plain JSON values. `drop_none` leaves out absent fields."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((rename(field.name), getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            name: encode(item, rename, drop_none=drop_none) for name, item in pairs if not (drop_none and item is None)
        }
    if isinstance(value, list | tuple):
        return [encode(item, rename, drop_none=drop_none) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item, rename, drop_none=drop_none) for key, item in value.items()}
    return value


def dumps(value: Any) -> bytes:
    """Canonical JSON bytes of a dataclass: sorted keys, UTF-8, a final newline. Equal values give equal bytes."""
    text = json.dumps(encode(value), ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    return (text + "\n").encode()


def digest(value: Any) -> str:
    """The SHA-256 of `dumps(value)`."""
    return hashlib.sha256(dumps(value)).hexdigest()


def loads(kind: type[T], data: bytes, what: str) -> T:
    """JSON bytes as a dataclass; raises Malformed (`what` names the document in its message)."""
    try:
        document = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Malformed(what, [f"it is not JSON ({error})"]) from None
    return decode(kind, document, what)


def decode(kind: type[T], document: Any, what: str, rename: Rename = same_name, *, open_ended: bool = False) -> T:
    """Plain JSON values as a dataclass; raises Malformed. `open_ended` ignores fields that the dataclass lacks.

    A dataclass that has a field `format` is a versioned file: another number is refused before anything else.
    """
    expected = {field.name: field.default for field in dataclasses.fields(typing.cast(Any, kind))}.get("format")
    if isinstance(expected, int) and isinstance(document, dict) and document.get("format") != expected:
        raise Malformed(what, [_other_format(document, expected)])
    faults: list[str] = []
    value = _decode(kind, document, "", rename, open_ended, faults)
    if faults:
        raise Malformed(what, faults)
    return typing.cast(T, value)


def _other_format(document: dict[str, Any], expected: int) -> str:
    if "format" not in document:
        return f'it lacks "format": {expected}'
    return f"its format is {document['format']!r}, this version reads format {expected}; upgrade Kelong"


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any, path: str, rename: Rename, open_ended: bool, faults: list[str]) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return None if value is None else _decode(members[0], value, path, rename, open_ended, faults)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(typing.cast(type, kind), value, path, rename, open_ended, faults)
    if origin is tuple:
        if not isinstance(value, list):
            return _fault(faults, path, "a list", value)
        member = typing.get_args(kind)[0]
        return tuple(
            _decode(member, item, f"{path}[{index}]", rename, open_ended, faults) for index, item in enumerate(value)
        )
    if origin is dict:
        if not isinstance(value, dict):
            return _fault(faults, path, "an object", value)
        member = typing.get_args(kind)[1]
        return {key: _decode(member, item, f"{path}.{key}", rename, open_ended, faults) for key, item in value.items()}
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        return value if value in allowed else _fault(faults, path, "one of " + ", ".join(map(str, allowed)), value)
    return _decode_scalar(kind, value, path, faults)


def _decode_scalar(kind: Any, value: Any, path: str, faults: list[str]) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and kind is not bool:
        return _fault(faults, path, _NAMES[kind], value)
    return value if isinstance(value, kind) else _fault(faults, path, _NAMES[kind], value)


def _decode_dataclass(kind: type, value: Any, path: str, rename: Rename, open_ended: bool, faults: list[str]) -> Any:
    if not isinstance(value, dict):
        return _fault(faults, path, "an object", value)
    before = len(faults)
    fields = {rename(field.name): field for field in dataclasses.fields(kind)}
    if not open_ended:
        faults += [f"{_join(path, name)} is not a known field" for name in value if name not in fields]
    arguments = {}
    for name, field in fields.items():
        if name in value:
            hint = _hints(kind)[field.name]
            arguments[field.name] = _decode(hint, value[name], _join(path, name), rename, open_ended, faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"{_join(path, name)} is missing")
    if len(faults) > before:
        return None
    try:
        return kind(**arguments)
    except ValueError as error:  # a dataclass may check its own values in __post_init__
        faults.append(f"{path or 'it'}: {error}")
        return None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _fault(faults: list[str], path: str, expected: str, value: Any) -> None:
    shown = repr(value)
    faults.append(f"{path or 'it'} is {shown if len(shown) <= 60 else shown[:57] + '...'}, expected {expected}")


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
