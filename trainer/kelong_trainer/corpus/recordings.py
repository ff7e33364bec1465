"""The dataset source as the order names it: which files whose, and each one's sound in the work folder when asked for.

Called by the stages that need sound. A pod that starts afresh decodes again only what an unfinished stage still needs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from kelong_contract import conditions, corpora, environment, layout, names
from kelong_contract import store as stores
from kelong_contract.patience import PatientStore

from kelong_trainer.context import BadData, BadOrder, RunContext
from kelong_trainer.corpus import decoding

log = logging.getLogger(__name__)

# Files that people keep beside recordings. Everything else is tried, and named if it holds no sound.
_TEXTS = (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".log")
_LABELS = (".lab", ".srt", ".vtt", ".lrc", ".ass", ".textgrid", ".md5", ".sha256")
_DOCUMENTS = (".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".html", ".htm", ".py", ".sh", ".bat")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".svg")
_NOT_MEDIA = frozenset((*_TEXTS, *_LABELS, *_DOCUMENTS, *_PICTURES))
_NOT_MEDIA_NAMES = frozenset(("thumbs.db", "desktop.ini", "license", "readme", "sha256sums", "md5sums"))


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One file of the source that may hold sound. `key` is a full key of the source's store."""

    key: str
    speaker: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What lies under the source's prefixes, and the files passed over because they are plainly no recordings.

    `unreadable` are the keys of a volume's files that we may not read: `files` does not change when we may.
    """

    files: tuple[Listed, ...]
    passed_over: tuple[str, ...]
    unreadable: tuple[str, ...]


class Source:
    """The dataset source of an order."""

    def __init__(self, context: RunContext) -> None:
        dataset = context.order.dataset
        self._prefix = dataset.prefix
        self._speakers = context.order.speakers
        self._work_dir = context.work_dir
        self._store: stores.Store
        if dataset.type == "PersistentVolumeClaim":
            self._store = stores.FolderStore(pathlib.Path(names.DATASET_MOUNT))
            self.name = f"the volume's folder '{dataset.prefix}'" if dataset.prefix else "the volume"
        elif dataset.endpoint and dataset.bucket:
            try:
                foreign = context.environment.open_source(dataset.endpoint, dataset.bucket, dataset.region)
            except (environment.BadEnvironment, stores.StoreError) as error:  # no request is made yet
                raise BadOrder(conditions.BAD_ORDER, f"the dataset source cannot be opened: {error}") from None
            self._store = PatientStore(foreign, context.stopping)
            self.name = f"'{dataset.prefix}' in bucket {dataset.bucket} of {dataset.endpoint}"
        else:
            self._store = context.store
            self.name = f"'{dataset.prefix}' in the store"
        # A volume's files are read where they are; everything else is fetched first.
        self._folder = self._store.root if isinstance(self._store, stores.FolderStore) else None

    def listing(self) -> Listing:
        """Every file, by key. One under two speakers' prefixes belongs to the longer; raises BadOrder if equal."""
        prefixes = [(layout.below(self._prefix, speaker.prefix), speaker.name) for speaker in self._speakers]
        shared = sorted({prefix for prefix, _ in prefixes if [other for other, _ in prefixes].count(prefix) > 1})
        if shared:
            both = " and ".join(name for prefix, name in prefixes if prefix == shared[0])
            message = f"the speakers {both} have the same prefix '{shared[0]}': give each a folder of their own"
            raise BadOrder(conditions.SPEAKERS_OVERLAP, message)
        owners: dict[str, tuple[int, Listed]] = {}
        passed_over = set()
        for prefix, name in prefixes:
            for item in self._store.list(prefix):
                if not _may_be_media(item.key.removeprefix(self._prefix)):
                    passed_over.add(item.key)
                elif owners.get(item.key, (-1,))[0] < len(prefix):
                    found = Listed(key=item.key, speaker=name, size_bytes=item.size_bytes, etag=item.etag)
                    owners[item.key] = (len(prefix), found)
        files = tuple(listed for _, (_, listed) in sorted(owners.items()))
        unreadable = tuple(listed.key for listed in files if not self._is_readable(listed.key))
        return Listing(files=files, passed_over=tuple(sorted(passed_over)), unreadable=unreadable)

    def _is_readable(self, key: str) -> bool:
        return self._folder is None or os.access(self._folder / key, os.R_OK, effective_ids=True)

    @contextlib.contextmanager
    def file(self, key: str) -> Iterator[pathlib.Path]:
        """The file on this machine; what had to be fetched is removed afterwards. Raises NoSuchObject."""
        if self._folder is not None:
            path = self._folder / stores.check_key(key)
            if not path.is_file():
                raise stores.NoSuchObject(f"'{key}' does not exist in {self._folder}")
            yield path
            return
        self._work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._work_dir, prefix="fetched-") as folder:
            path = pathlib.Path(folder) / "recording"
            self._store.get_file(key, path)
            yield path

    def read(self, name: str) -> bytes | None:
        """A file that lies among the recordings, by its name below the dataset's prefix; None if it does not exist.

        Raises BadData for one that may not be read.
        """
        key = layout.dataset_file(self._prefix, name)
        try:
            with self.file(key) as path:
                return path.read_bytes()
        except stores.NoSuchObject:
            return None
        except PermissionError as error:
            message = f"'{key}' cannot be read: {error.strerror}; let user {os.geteuid()} read it"
            raise BadData(conditions.DATASET_INVALID, message) from None

    def mono(self, recording: corpora.Recording) -> pathlib.Path:
        """The recording as mono FLAC at the training rate, decoded now unless it lies in the work folder."""
        target = mono_path(self._work_dir, recording.sha256)
        if target.exists():
            return target
        try:
            with self.file(recording.key) as path:
                if stores.digest_file(path) != recording.sha256:
                    raise BadData(conditions.RECORDINGS_CHANGED, _changed(recording.key))
                decoding.decode(path, target)
        except stores.NoSuchObject:
            raise BadData(conditions.RECORDINGS_CHANGED, _changed(recording.key)) from None
        return target


def mono_path(work_dir: pathlib.Path, sha256: str) -> pathlib.Path:
    """Where the decoded sound of a recording lies in the work folder, by the digest of the file it came from."""
    return work_dir / "mono" / f"{sha256}-{decoding.VERSION}.flac"


def _changed(key: str) -> str:
    return f"the recording '{key}' was changed or removed while it was prepared; start again with all in place"


def _may_be_media(key: str) -> bool:
    path = pathlib.PurePosixPath(key)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    named = path.suffix.lower() in _NOT_MEDIA or path.name.lower() in _NOT_MEDIA_NAMES
    return not (hidden or named or key.endswith("/"))
