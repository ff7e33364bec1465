"""`crds/*.yaml` and the contract's dataclasses say the same, both ways: fields, requiredness, enums, defaults."""

from __future__ import annotations

import dataclasses
import pathlib
import types
import typing
from typing import Any

import pytest
import yaml
from kelong_contract import codec, names, resources, synthesis_jobs

ROOT = pathlib.Path(__file__).parent.parent.parent
PARTS = [
    ("voicemodels", "spec", resources.VoiceModelSpec),
    ("voicemodels", "status", resources.VoiceModelStatus),
    ("synthesisjobs", "spec", synthesis_jobs.SynthesisJobSpec),
    ("synthesisjobs", "status", synthesis_jobs.SynthesisJobStatus),
]


def crd(plural: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    return document


def schema(plural: str) -> dict[str, Any]:
    found: dict[str, Any] = crd(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return found


def without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        (member,) = (item for item in typing.get_args(kind) if item is not type(None))
        return member
    return kind


def differences(kind: Any, node: dict[str, Any], path: str) -> list[str]:
    kind = without_none(kind)
    if dataclasses.is_dataclass(kind):
        return object_differences(typing.cast(type, kind), node, path)
    origin = typing.get_origin(kind)
    if origin is tuple:
        inside = differences(typing.get_args(kind)[0], node.get("items", {}), f"{path}[]")
        return inside if node.get("type") == "array" else [f"{path}: {node.get('type')} is not a list"]
    if origin is dict:
        return [] if "additionalProperties" in node else [f"{path}: not a map"]
    if origin is typing.Literal:
        same = set(typing.get_args(kind)) == set(node.get("enum", ()))
        return [] if same else [f"{path}: enum {node.get('enum')} and {typing.get_args(kind)}"]
    expected = {str: "string", int: "integer", bool: "boolean"}[kind]
    if "enum" in node:
        return [f"{path}: an enum in the schema only"]
    return [] if node.get("type") == expected else [f"{path}: {node.get('type')} and {expected}"]


def object_differences(kind: type, node: dict[str, Any], path: str) -> list[str]:
    fields = {codec.camel_case(field.name): field for field in dataclasses.fields(kind)}
    properties = node.get("properties", {})
    found = [f"{path}.{name}: in the schema only" for name in properties if name not in fields]
    found += [f"{path}.{name}: in the dataclass only" for name in fields if name not in properties]
    hints = typing.get_type_hints(kind)
    for name, field in fields.items():
        if name not in properties:
            continue
        plain = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if plain != (name in node.get("required", ())):
            found.append(f"{path}.{name}: required in one of them only")
        default, said = field.default, properties[name].get("default")
        scalar = isinstance(default, str | int)
        if scalar and said != default:
            found.append(f"{path}.{name}: default {said!r} and {default!r}")
        if not scalar and said is not None and not isinstance(said, dict):
            found.append(f"{path}.{name}: default {said!r} in the schema only")
        found += differences(hints[field.name], properties[name], f"{path}.{name}")
    return found


def undescribed(node: dict[str, Any], path: str) -> list[str]:
    found = [] if node.get("description") or path in ("", ".metadata") or path.endswith("[]") else [path]
    for name, inside in node.get("properties", {}).items():
        found += undescribed(inside, f"{path}.{name}")
    if "items" in node:
        found += undescribed(node["items"], f"{path}[]")
    return found


def unbounded(node: dict[str, Any], path: str) -> list[str]:
    bounds = {"string": ("maxLength", "enum", "format"), "array": ("maxItems",)}.get(node.get("type", ""), ())
    found = [path] if bounds and not any(bound in node for bound in bounds) else []
    if isinstance(node.get("additionalProperties"), dict) and "maxProperties" not in node:
        found.append(path)
    for name, inside in node.get("properties", {}).items():
        found += unbounded(inside, f"{path}.{name}")
    return found + (unbounded(node["items"], f"{path}[]") if "items" in node else [])


@pytest.mark.parametrize(("plural", "part", "kind"), PARTS)
def test_schema_and_dataclass_have_the_same_fields(plural: str, part: str, kind: type) -> None:
    assert differences(kind, schema(plural)[part], part) == []


@pytest.mark.parametrize("plural", ["voicemodels", "synthesisjobs"])
def test_every_field_is_described(plural: str) -> None:
    properties = schema(plural)
    assert undescribed({"properties": properties}, "") == []


@pytest.mark.parametrize(("plural", "part", "kind"), PARTS)
def test_every_string_list_and_map_is_bounded(plural: str, part: str, kind: type) -> None:
    assert unbounded(schema(plural)[part], part) == []


@pytest.mark.parametrize(
    ("plural", "kind", "short"),
    [(names.VOICE_MODELS, names.VOICE_MODEL, "vmodel"), (names.SYNTHESIS_JOBS, names.SYNTHESIS_JOB, "sjob")],
)
def test_group_kind_and_names_are_those_of_the_contract(plural: str, kind: str, short: str) -> None:
    spec = crd(plural)["spec"]
    assert spec["group"] == names.GROUP
    assert spec["versions"][0]["name"] == names.VERSION
    assert spec["names"]["kind"] == kind
    assert spec["names"]["plural"] == plural
    assert spec["names"]["shortNames"] == [short]
    assert spec["names"]["categories"] == ["voice"]


def test_voices_can_be_selected_by_the_one_they_begin_with() -> None:
    assert crd("voicemodels")["spec"]["versions"][0]["selectableFields"] == [{"jsonPath": f".{names.FIELD_INIT_VOICE}"}]


def test_the_columns_are_those_a_user_is_promised() -> None:
    columns = crd("voicemodels")["spec"]["versions"][0]["additionalPrinterColumns"]
    narrow = [column["name"] for column in columns if not column.get("priority")]
    wide = [column["name"] for column in columns]
    assert narrow == ["Status", "Step", "Max", "Promoted", "Ready", "Age"]
    assert wide == ["Status", "Step", "Max", "Promoted", "Ready", "Best", "GPU", "Node", "Age"]
