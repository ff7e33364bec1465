"""The utterances of a SynthesisJob: whatever the input's form, a list of lines, each usable or with what is wrong.

Text is one utterance per line; its id is its line number, 0001, 0002, …; lines without text are counted, not spoken.
JSONL is one object per line with id, text and optionally speaker. A bad line never stops the others.
"""

from __future__ import annotations

import json
import pathlib
import re
from dataclasses import dataclass
from typing import Any

from kelong_contract import codec, conditions
from kelong_contract.orders import Item, SynthesisInput
from kelong_contract.store import NoSuchObject, Store

from kelong_inference.endings import BadData

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # it becomes a file's name in the store; as in the CRD
_LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines would also cut inside JSON strings, at U+2028 for one
_FEWEST_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: `number` counts from 1. Either `item` or `fault` is given; `id` is the best name we have for it."""

    number: int
    id: str
    item: Item | None = None
    fault: str | None = None


def read(source: SynthesisInput, store: Store) -> tuple[Line, ...]:
    """All lines in order; raises BadData if the input is missing, empty or not UTF-8."""
    if source.type == "Inline":
        given = [_checked(number, item) for number, item in enumerate(source.items, start=1)]
        return _without_doubles(given)
    text = _text(source, store)
    rows = [(number, row) for number, row in enumerate(_LINE_END.split(text), start=1) if row.strip()]
    if not rows:
        raise _invalid(f"the input {source.path or source.key} has no line with text in it")
    if source.format == "JSONL":
        return _without_doubles([_object(number, row) for number, row in rows])
    digits = max(_FEWEST_DIGITS, len(str(rows[-1][0])))
    return tuple(_line(number, Item(id=f"{number:0{digits}d}", text=row)) for number, row in rows)


def _text(source: SynthesisInput, store: Store) -> str:
    if source.path is not None:
        where, advice = source.path, "mount the ConfigMap's entry there"
    else:
        where, advice = str(source.key), "upload it"
    try:
        data = pathlib.Path(source.path).read_bytes() if source.path is not None else store.get(where)
    except (FileNotFoundError, IsADirectoryError, NoSuchObject):
        raise _invalid(f"the input {where} does not exist; {advice}") from None
    except PermissionError:
        raise _invalid(f"the input {where} may not be read by this process") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _invalid(f"the input {where} is not UTF-8 (line {line}); save it as UTF-8") from None


def _object(number: int, row: str) -> Line:
    """One row of JSONL."""
    try:
        document: Any = json.loads(row)
        item = codec.decode(Item, document, f"line {number}")
    except json.JSONDecodeError as error:
        return Line(number=number, id=_nameless(number), fault=f"line {number} is not JSON ({error})")
    except codec.Malformed as error:
        given = document.get("id") if isinstance(document, dict) else None
        named = given if isinstance(given, str) and _ID.fullmatch(given) else _nameless(number)
        return Line(number=number, id=named, fault=str(error))
    return _checked(number, item)


def _checked(number: int, item: Item) -> Line:
    if _ID.fullmatch(item.id):
        return _line(number, item)
    fault = f"the id '{item.id[:80]}' must be 1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit"
    return Line(number=number, id=_nameless(number), fault=fault)


def _line(number: int, item: Item) -> Line:
    return Line(number=number, id=item.id, item=item)


def _without_doubles(lines: list[Line]) -> tuple[Line, ...]:
    """The second line with an id is at fault: it would overwrite the first one's file."""
    first: dict[str, int] = {}
    checked = []
    for line in lines:
        earlier = first.setdefault(line.id, line.number) if line.item is not None else line.number
        if earlier != line.number:
            fault = f"the id '{line.id}' is that of line {earlier} already; give each line an id of its own"
            line = Line(number=line.number, id=line.id, fault=fault)
        checked.append(line)
    return tuple(checked)


def _nameless(number: int) -> str:
    return f"line-{number:0{_FEWEST_DIGITS}d}"


def _invalid(message: str) -> BadData:
    return BadData(conditions.INPUT_INVALID, message)
