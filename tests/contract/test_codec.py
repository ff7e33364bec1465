from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from kelong_contract import codec


@dataclass(frozen=True)
class Inner:
    start_s: float
    label: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    name: str
    parts: tuple[Inner, ...] = ()
    counts: dict[str, int] | None = None
    format: int = 1


def test_what_is_written_is_read_back_equal() -> None:
    value = Outer(name="x", parts=(Inner(1.5, "b"), Inner(2)), counts={"好": 1})
    assert codec.loads(Outer, codec.dumps(value), "it") == value


def test_equal_values_have_equal_bytes_and_digests() -> None:
    one, two = Outer("x", counts={"a": 1, "b": 2}), Outer("x", counts={"b": 2, "a": 1})
    assert codec.dumps(one) == codec.dumps(two)
    assert codec.digest(one) == codec.digest(two) != codec.digest(Outer("y"))


def test_every_fault_is_reported_at_once() -> None:
    document = {"format": 1, "name": 3, "parts": [{"start_s": "x"}, {"label": "c", "extra": 1}], "counts": {"a": True}}
    with pytest.raises(codec.Malformed) as error:
        codec.decode(Outer, document, "the order")
    assert error.value.faults == [
        "name is 3, expected a string",
        "parts[0].start_s is 'x', expected a number",
        "parts[1].extra is not a known field",
        "parts[1].start_s is missing",
        "parts[1].label is 'c', expected one of a, b",
        "counts.a is True, expected a whole number",
    ]
    assert str(error.value).startswith("the order is not usable: ")


def test_another_format_is_refused_before_anything_else() -> None:
    with pytest.raises(codec.Malformed, match="its format is 2, this version reads format 1"):
        codec.loads(Outer, json.dumps({"format": 2, "new": True}).encode(), "the manifest")
    with pytest.raises(codec.Malformed, match='it lacks "format": 1'):
        codec.loads(Outer, json.dumps({"name": "x"}).encode(), "the manifest")


def test_what_is_not_json_is_said_to_be_none() -> None:
    with pytest.raises(codec.Malformed, match="it is not JSON"):
        codec.loads(Outer, b"\xff{", "the order")


def test_kubernetes_spelling_is_camel_case_both_ways() -> None:
    document = codec.encode(Inner(1.0), codec.camel_case)
    assert document == {"startS": 1.0, "label": "a"}
    assert codec.decode(Inner, document, "it", codec.camel_case) == Inner(1.0)


def test_unknown_fields_may_be_let_through() -> None:
    assert codec.decode(Inner, {"start_s": 1, "later": 2}, "it", open_ended=True) == Inner(1.0)


def test_absent_fields_may_be_left_out() -> None:
    assert codec.encode(Outer("x"), drop_none=True) == {"name": "x", "parts": [], "format": 1}
