"""Which files of a dataset are recordings, whose they are, and what is said in them where somebody wrote it down.

Objects of a store in, a Listing out; the only thing read here are lists (`lists`). Called by `recordings.Source`.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from kelong_contract import conditions, layout, orders
from kelong_contract import store as stores

from kelong_trainer.context import BadData
from kelong_trainer.corpus.sources import lists, namesakes

# Files that people keep beside recordings. Everything else is tried, and named if it holds no sound.
_TEXTS = (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".log")
_LABELS = (".lab", ".list", ".srt", ".vtt", ".lrc", ".ass", ".textgrid", ".md5", ".sha256")
_DOCUMENTS = (".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".html", ".htm", ".py", ".sh", ".bat")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".svg")
_NOT_MEDIA = frozenset((*_TEXTS, *_LABELS, *_DOCUMENTS, *_PICTURES))
_NOT_MEDIA_NAMES = frozenset(("thumbs.db", "desktop.ini", "license", "readme", "sha256sums", "md5sums"))

# A transcript beside a recording: the same name with one of these; the first that is there.
_TRANSCRIPTS = (".txt", ".lab")
TABLES = {"metadata.csv": lists.table, "metadata.jsonl": lists.manifest}
_LISTS = {"ManifestJSONL": lists.manifest, "EsdList": lists.esd}
# Times in lists are rounded: stretches that meet may overlap by this much, and the second then begins where the first
# ends. More would put a word in two clips.
MOST_OVERLAP_S = 0.05
MOST_NOTES = 100
TOLD_FAULTS = 3


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a file or a stretch that a list names is not used, whatever it sounds like."""

    reason: Literal["Missing", "UnknownSpeaker", "OtherLanguage", "Undecodable"]
    message: str


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of a file that a list names; `end_s` None is the file's end."""

    start_s: float
    end_s: float | None
    speaker: str
    text: str
    line: str
    refusal: Refusal | None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One file of the source that may hold sound. `key` is a full key of the source's store.

    `text` is what a list says of the whole file, `transcript` the key of a text file beside it, `stretches` what a list
    names of it instead of the whole. A file that only a list knows has the refusal Missing.
    """

    key: str
    speaker: str
    size_bytes: int
    etag: str
    text: str = ""
    transcript: str = ""
    transcript_etag: str = ""
    stretches: tuple[Stretch, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What lies under the source's prefix, and the files passed over because they are plainly no recordings.

    `unreadable` are the keys of a volume's files that we may not read: `files` does not change when we may. `notes` are
    sentences about lines that cannot be used, files that a list does not name, and names and links that need mending;
    `beside` is one about what was passed over.
    """

    files: tuple[Listed, ...]
    passed_over: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def make(
    order: orders.TrainingOrder,
    found: Iterable[stores.StoredObject],
    read: Callable[[str], bytes],
    source: str,
    linked: Iterable[str] = (),
) -> Listing:
    """The listing of an order's dataset; `read` gives a list's bytes by its key.

    `found` is all below the dataset's prefix, `linked` the links to folders there, which are not followed. Raises
    BadData for a list that is not there or of which no line can be used; `source` names the place then.
    """
    dataset = order.dataset
    objects = {item.key: item for item in sorted(found, key=lambda item: item.key)}
    maker = _Maker(order, objects)
    maker.names(linked)
    if dataset.format == "AudioFolder":
        maker.folder(read)
    else:
        key = layout.dataset_file(dataset.prefix, str(dataset.manifest))
        if key not in objects:
            message = f"the list '{dataset.manifest}' is not there in {source}: upload it, or correct dataset.manifest"
            raise BadData(conditions.DATASET_INVALID, message)
        parsed = _LISTS[dataset.format](read(key), str(dataset.manifest))
        maker.listed(parsed, key)
        if not maker.files:
            examples = "; ".join(maker.listing().notes[:TOLD_FAULTS]) or "it is empty"
            raise BadData(conditions.DATASET_INVALID, f"no line of {dataset.manifest} can be used: {examples}")
    return maker.listing()


class _Maker:
    """What is known of each file so far."""

    def __init__(self, order: orders.TrainingOrder, objects: dict[str, stores.StoredObject]) -> None:
        self._root = layout.below(order.dataset.prefix, "")
        self._corrections = layout.dataset_file(order.dataset.prefix, order.dataset.corrections)
        self._names = [speaker.name for speaker in order.speakers]
        self._owners = [(layout.below(self._root, speaker.prefix), speaker.name) for speaker in order.speakers]
        self._objects = objects
        self._beside_by_stem = _transcripts(objects)
        self._is_whole = order.dataset.format != "AudioFolder"  # whether a list is the dataset
        self._used = {self._corrections}
        self._notes: list[str] = []
        self.files: dict[str, Listed] = {}

    def listing(self) -> Listing:
        passed_over = [key for key in self._objects if key not in self.files and key not in self._used]
        media = [key for key in passed_over if self._may_be_media(key)]
        notes = self._notes[:MOST_NOTES]
        if more := len(self._notes) - MOST_NOTES:
            notes += [f"and {more} more lines that cannot be used"] * (more > 0)
        if media:
            notes.append(_some_of(media, "not named by the list, and not used"))
        others = sorted({*passed_over} - {*media})
        return Listing(
            files=tuple(self.files[key] for key in sorted(self.files)),
            passed_over=tuple(others),
            notes=tuple(notes),
            beside=(_some_of(others, "no recordings by their names, and passed over"),) if others else (),
        )

    def names(self, linked: Iterable[str]) -> None:
        """What is to be said of names on a disk: those that are not UTF-8, and links to folders."""
        guessed = [key for key, item in self._objects.items() if item.is_guessed]
        if guessed:
            self._notes.append(_some_of(guessed, "names that are not UTF-8 on the disk, read as here: rename them"))
        if links := list(linked):
            self._notes.append(
                _some_of(links, "links to folders, which are not followed: put the folders themselves there")
            )

    def folder(self, read: Callable[[str], bytes]) -> None:
        """Every file that may be a recording, with what is written beside it and in tables; and those of nobody."""
        for key, item in self._objects.items():
            owner = self._owner(key)
            if owner is not None and key not in self._used and self._may_be_media(key):
                text = self._beside(key)
                self.files[key] = Listed(
                    key=key,
                    speaker=owner,
                    size_bytes=item.size_bytes,
                    etag=item.etag,
                    transcript=text.key if text else "",
                    transcript_etag=text.etag if text else "",
                )
        for key in self._objects:
            if (parse := TABLES.get(posixpath.basename(key).lower())) is not None:
                self.listed(parse(read(key), key.removeprefix(self._root)), key)
        for key in self._objects:
            if key not in self.files and key not in self._used and self._may_be_media(key):
                refusal = Refusal(reason="UnknownSpeaker", message=self._nobodys(key))
                self.files[key] = dataclasses.replace(self._bare(key), refusal=refusal)

    def _nobodys(self, key: str) -> str:
        """Why a file of a folder belongs to no speaker, and what to do."""
        sharing = [name for prefix, name in self._owners if key.startswith(prefix)]
        if sharing:
            return f"{key} lies in a folder that {' and '.join(sharing)} share: say in a metadata.csv whose it is"
        folders = ", ".join(f"{name}: {prefix.removeprefix(self._root)}" for prefix, name in self._owners)
        return f"{key} lies in no speaker's folder ({folders}): move it there, or correct the prefix of its speaker"

    def listed(self, parsed: lists.Parsed, list_key: str) -> None:
        """What a list says of its files."""
        self._used.add(list_key)
        self._notes += parsed.faults
        name = list_key.removeprefix(self._root)
        by_file: dict[str, list[lists.Line]] = collections.defaultdict(list)
        located = {line.path: self._locate(line.path, list_key) for line in parsed.lines}
        located |= self._moved(located, name)
        for line in parsed.lines:
            if (key := located[line.path]) is None:
                self._notes.append(f"line {line.number} of {name} names '{line.path}', which is outside the dataset")
            elif line.speaker or self._is_whole or self._owner(key) is not None:
                by_file[key].append(line)  # a table beside folders may tell of other voices' too
        for key, lines in by_file.items():
            self.files[key] = self._described(key, lines, name)

    def _moved(self, located: Mapping[str, str | None], name: str) -> dict[str, str]:
        """The files that paths of a list mean which are not there, by their names: lists move without their files."""
        lost = [path for path, key in located.items() if key not in self._objects]
        if not lost:
            return {}  # the rule, and there may be a table in each of very many folders
        there = {key for key in located.values() if key in self._objects}
        found = namesakes.find(lost, (key for key in self._objects if self._may_be_media(key)), there)
        if found:
            path, key = next(iter(found.items()))
            count = "1 file that is" if len(found) == 1 else f"{len(found)} files that are"
            example = f"such as '{path}' as {key}: correct its paths"
            self._notes.append(f"{name} names {count} not there and found by name instead, {example}")
        return found

    def _described(self, key: str, lines: list[lists.Line], name: str) -> Listed:
        known = self.files.get(key) or self._bare(key)
        first, *others = lines
        if known.refusal is not None or first.start_s is None:
            speaker, refusal = self._speaker(key, first, name)
            described = dataclasses.replace(known, speaker=speaker, text=first.text, refusal=known.refusal or refusal)
            repeated = others if known.refusal is None else []
        else:
            parts = [line for line in lines if line.start_s is not None]
            described = dataclasses.replace(known, stretches=self._stretches(key, parts, name))
            repeated = [line for line in others if line.start_s is None]
        for line in repeated:
            self._notes.append(
                f"line {line.number} of {name} names '{line.path}' again, after line {first.number}: only that is used"
            )
        if described.text or described.stretches:  # what a list says counts more than a text beside the recording
            return dataclasses.replace(described, transcript="", transcript_etag="")
        return described

    def _stretches(self, key: str, lines: list[lists.Line], name: str) -> tuple[Stretch, ...]:
        """In their order, without those that overlap one before them."""
        stretches: list[Stretch] = []
        for line in sorted(lines, key=lambda line: (line.start_s or 0.0, line.number)):
            start_s, before = float(line.start_s or 0.0), stretches[-1] if stretches else None
            if before is not None:
                until_s = before.end_s if before.end_s is not None else float("inf")
                if start_s < until_s - MOST_OVERLAP_S or (line.end_s or float("inf")) <= until_s:
                    self._notes.append(
                        f"line {line.number} of {name} overlaps {before.line} in '{line.path}': only that is used"
                    )
                    continue
                start_s = max(start_s, until_s)
            speaker, refusal = self._speaker(key, line, name)
            stretches.append(
                Stretch(
                    start_s=start_s,
                    end_s=line.end_s,
                    speaker=speaker,
                    text=line.text,
                    line=f"line {line.number}",
                    refusal=refusal,
                )
            )
        return tuple(stretches)

    def _speaker(self, key: str, line: lists.Line, name: str) -> tuple[str, Refusal | None]:
        """Who speaks in what a line names; the line's own word counts more than the folder the file lies in."""
        speaker = line.speaker or self._owner(key) or ""
        where = f"{key} (line {line.number} of {name})"
        if speaker not in self._names:
            told = (
                f"belongs to '{speaker}', who is none of the speakers" if speaker else "belongs to none of the speakers"
            )
            known = ", ".join(self._names)
            return speaker, Refusal(
                reason="UnknownSpeaker", message=f"{where} {told} ({known}): name it as one of them"
            )
        if line.language != lists.MANDARIN:
            message = f"{where} is in the language {line.language}, only {lists.MANDARIN} is trained on"
            return speaker, Refusal(reason="OtherLanguage", message=message)
        return speaker, None

    def _bare(self, key: str) -> Listed:
        speaker = self._owner(key) or ""
        if (item := self._objects.get(key)) is None:
            missing = Refusal(reason="Missing", message=f"{key} is named in a list, but there is no such file")
            return Listed(key=key, speaker=speaker, size_bytes=0, etag="", refusal=missing)
        return Listed(key=key, speaker=speaker, size_bytes=item.size_bytes, etag=item.etag)

    def _locate(self, path: str, list_key: str) -> str | None:
        """The file a list means: its paths begin at the list's own folder, or at the dataset's."""
        at_list = lists.locate(path, posixpath.dirname(list_key), self._root)
        at_root = lists.locate(path, self._root, self._root)
        return at_root if at_root in self._objects and at_list not in self._objects else at_list or at_root

    def _owner(self, key: str) -> str | None:
        """The speaker in whose folder a file lies, of the longest prefix where several hold it; None if shared."""
        owners = [(prefix, name) for prefix, name in self._owners if key.startswith(prefix)]
        longest = max((len(prefix) for prefix, _ in owners), default=0)
        mine = [name for prefix, name in owners if len(prefix) == longest]
        return mine[0] if len(mine) == 1 else None

    def _beside(self, key: str) -> stores.StoredObject | None:
        there = self._beside_by_stem.get(posixpath.splitext(key)[0], ())
        self._used |= {item.key for item in there}
        return there[0] if there else None

    def _may_be_media(self, key: str) -> bool:
        path = pathlib.PurePosixPath(key.removeprefix(self._root))
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        named = path.suffix.lower() in _NOT_MEDIA or path.name.lower() in _NOT_MEDIA_NAMES
        return not (hidden or named or key.endswith("/"))


def _transcripts(objects: dict[str, stores.StoredObject]) -> dict[str, tuple[stores.StoredObject, ...]]:
    """What may be a transcript, by its key without suffix, the one that counts first; suffixes in any case."""
    found: dict[str, list[tuple[int, str]]] = collections.defaultdict(list)
    for key in objects:
        stem, suffix = posixpath.splitext(key)
        if suffix.lower() in _TRANSCRIPTS:
            found[stem].append((_TRANSCRIPTS.index(suffix.lower()), key))
    return {stem: tuple(objects[key] for _, key in sorted(ranked)) for stem, ranked in found.items()}


def _some_of(keys: list[str], what: str) -> str:
    shown = ", ".join(keys[:TOLD_FAULTS])
    more = f" and {len(keys) - TOLD_FAULTS} more" if len(keys) > TOLD_FAULTS else ""
    return f"{shown}{more}: {what}"
