from __future__ import annotations

from typing import Any

import pytest
from kelong_operator import rules

WANTED = {"spec": {"replicas": 0, "ports": [{"name": "http", "port": 8080}], "limits": {"cpu": "0.5"}, "tmp": {}}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), {"replicas": 1}),
        (("spec", "strategy"), "of the API server"),
        (("spec", "ports"), [{"name": "http", "port": 8080, "protocol": "TCP"}]),
        (("spec", "limits", "cpu"), "500m"),
        (("spec", "tmp"), None),
    ],
)
def test_defaults_and_other_spellings_of_the_api_server_are_no_difference(path: tuple[str, ...], value: Any) -> None:
    assert rules.holds(changed(path, value), WANTED)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec",), None),
        (("spec", "replicas"), 1),
        (("spec", "ports"), [{"name": "http", "port": 8081}]),
        (("spec", "ports"), []),
        (("spec", "ports"), [{"name": "http", "port": 8080}, {"name": "more", "port": 1}]),
        (("spec", "limits", "cpu"), "600m"),
    ],
)
def test_what_somebody_has_changed_is_a_difference(path: tuple[str, ...], value: Any) -> None:
    assert not rules.holds(changed(path, value), WANTED)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """WANTED as the API server would have it, with a field set, or left out where the value is None."""
    key, *rest = path
    return set_in(WANTED, key, rest, value)


def set_in(document: Any, key: str, rest: list[str], value: Any) -> dict[str, Any]:
    inside = set_in(document[key], rest[0], rest[1:], value) if rest else value
    others = {name: item for name, item in document.items() if name != key}
    return others if inside is None else others | {key: inside}
