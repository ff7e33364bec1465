"""Lists of recordings with their transcripts, as people bring them: bytes in, lines and faults out.

A fault is a sentence that names the list and the line. No line is left out without one.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_AUDIO_KEYS = ("audio", "audio_filepath", "file_name")
_TEXT_KEYS = ("text", "transcription")
# HTK labels share the suffix .lab with plain transcripts: a start, an end and a phone to a line.
_HTK_LINE = re.compile(r"\d+\s+\d+\s+\S+")
_DRIVE = re.compile(r"[A-Za-z]:")
ESD_FIELDS = 4
MANDARIN = "ZH"


class Unreadable(Exception):
    """A text that is in no encoding we know, or is no transcript; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a list says of one file, or of a stretch of it. `number` is its line in the list.

    `start_s` and `end_s` are None where it is the whole file; `end_s` alone may be: to the end. `language` is ZH, or
    what the list says instead.
    """

    number: int
    path: str
    text: str = ""
    speaker: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    language: str = MANDARIN


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A list as it was read."""

    lines: tuple[Line, ...]
    faults: tuple[str, ...]


class _Bad(Exception):
    """A line that cannot be used; the message says why."""


def manifest(data: bytes, name: str) -> Parsed:
    """JSON lines: `audio` and, where known, `text`, `speaker`, `start_s`, `end_s`.

    NeMo's `audio_filepath`, `offset` and `duration` are understood (a duration without an offset is the whole file's),
    and so is Hugging Face's `file_name`. Other keys are left alone.
    """
    return _parse(data, name, _json_lines, _manifest_line)


def esd(data: bytes, name: str) -> Parsed:
    """The original's list: `path|speaker|language|text`."""
    return _parse(data, name, _plain_lines, _esd_line)


def table(data: bytes, name: str) -> Parsed:
    """A metadata.csv with the columns `file_name`, `text` (or `transcription`) and optionally `speaker`."""
    return _parse(data, name, _rows, _manifest_line)


def transcript(data: bytes) -> str:
    """The text of a transcript beside a recording, its lines joined; raises Unreadable."""
    lines = [line.strip() for line in decode(data).splitlines() if line.strip()]
    if lines and all(_HTK_LINE.match(line) for line in lines):
        raise Unreadable("holds times and phones, expected the words that are said")
    return " ".join(lines)


def decode(data: bytes) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or in GB 18030, which Windows writes in China; raises Unreadable."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encodings = ("utf-16",) if marked else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Unreadable("is not text in UTF-8, UTF-16 or GB 18030")


def locate(path: str, folder: str, root: str) -> str | None:
    """The key of a path in a list that lies in `folder`; None if it leads out of `root`. All are `/`-separated keys."""
    path = path.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path) or "\0" in path:
        return None
    key = posixpath.normpath(posixpath.join(folder, path))
    inside = key.startswith(root) if root else not key.startswith(("../", "/"))
    return key if inside and key not in ("", ".", "..") else None


def _parse(
    data: bytes,
    name: str,
    split: Callable[[str], Iterator[tuple[int, Any]]],
    read: Callable[[int, Any], Line],
) -> Parsed:
    lines, faults = [], []
    try:
        for number, entry in split(decode(data)):
            try:
                lines.append(read(number, entry))
            except _Bad as error:
                faults.append(f"line {number} of {name} {error}")
    except Unreadable as error:
        faults.append(f"{name} {error}")
    except csv.Error as error:
        faults.append(f"{name} is no table of comma-separated values: {error}")
    return Parsed(lines=tuple(lines), faults=tuple(faults))


def _plain_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


_json_lines = _plain_lines


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    if not {*_AUDIO_KEYS} & {*(reader.fieldnames or ())}:
        raise Unreadable("lacks the column file_name in its first line")
    for row in reader:
        yield reader.line_num, row


def _esd_line(number: int, line: str) -> Line:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != ESD_FIELDS:
        raise _Bad(f"has {len(fields)} fields, expected path|speaker|language|text")
    path, speaker, language, text = fields
    if not path or not speaker:
        raise _Bad("lacks a path or a speaker, expected path|speaker|language|text")
    return Line(number=number, path=path, speaker=speaker, language=language.upper() or MANDARIN, text=text)


def _manifest_line(number: int, entry: str | dict[str, Any]) -> Line:
    found = _object(entry) if isinstance(entry, str) else entry
    path = next((found[key] for key in _AUDIO_KEYS if found.get(key)), None)
    if not isinstance(path, str):
        raise _Bad(f"names no file, expected one of {', '.join(_AUDIO_KEYS)}")
    text = next((found[key] for key in _TEXT_KEYS if found.get(key)), "")
    speaker = found.get("speaker") or None
    for key, value in (("text", text), ("speaker", speaker)):
        if value is not None and not isinstance(value, str):
            raise _Bad(f"has the {key} {value!r}, expected a string")
    start_s, end_s = _span(found)
    return Line(number=number, path=path, text=" ".join(text.split()), speaker=speaker, start_s=start_s, end_s=end_s)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _Bad("holds half a character, as \\ud83d without what follows it") from None
    except (ValueError, RecursionError):
        raise _Bad("is not JSON") from None
    if not isinstance(found, dict):
        raise _Bad("is no JSON object")
    return found


def _span(found: dict[str, Any]) -> tuple[float | None, float | None]:
    """The stretch that is meant; (None, None) for the whole file."""
    start_s, end_s = _seconds(found, "start_s"), _seconds(found, "end_s")
    offset_s, duration_s = _seconds(found, "offset"), _seconds(found, "duration")
    if start_s is None and end_s is None and offset_s is not None:
        start_s, end_s = offset_s, None if duration_s is None else offset_s + duration_s
    if end_s is not None and start_s is None:
        start_s = 0.0
    if start_s is not None and end_s is not None and end_s <= start_s:
        raise _Bad(f"ends at {end_s:g} s, before it begins at {start_s:g} s")
    return start_s, end_s


def _seconds(found: dict[str, Any], key: str) -> float | None:
    value = found.get(key)
    if value is None or value == "":
        return None
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise _Bad(f"has {key} {value!r}, expected seconds from 0")
    return seconds
