"""The dataset source as the order names it: which files whose, and each one's sound in the work folder when asked for.

Called by the stages that need sound. A pod that starts afresh decodes again only what an unfinished stage still needs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import tempfile
import weakref
from collections.abc import Iterator

from kelong_contract import codec, conditions, corpora, environment, layout, names
from kelong_contract import store as stores
from kelong_contract.patience import PatientStore

from kelong_trainer.context import BadData, BadOrder, Faulty, RunContext
from kelong_trainer.corpus.sound import contained, decoding, media
from kelong_trainer.corpus.sources import archives, catalogue, downloads, lists

log = logging.getLogger(__name__)

# A transcript of 100 hours has about 6 MB.
MOST_TEXT_BYTES = 256 << 20


class LeadsOutside(Exception):
    """A link on a volume that leads out of it: whoever fills the volume must not make us read this machine's files."""


class Source:
    """The dataset source of an order."""

    def __init__(self, context: RunContext) -> None:
        dataset = context.order.dataset
        self._order = context.order
        self._prefix = dataset.prefix
        self._check = context.check_stopping
        self._work_dir = context.work_dir
        self._decoder = contained.Decoder()
        weakref.finalize(self, self._decoder.close)
        self._store: stores.Store
        if dataset.type == "PersistentVolumeClaim":
            self._store = stores.FolderStore(pathlib.Path(names.DATASET_MOUNT))
            self.name = f"the volume's folder '{dataset.prefix}'" if dataset.prefix else "the volume"
        elif dataset.type == "HTTP":
            self._store = stores.FolderStore(_unpacked(context))
            self.name = f"'{dataset.prefix}' in the archive {downloads.shown(str(dataset.url))}"
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
        self._on_disk = self._store if isinstance(self._store, stores.FolderStore) else None

    def listing(self) -> catalogue.Listing:
        """Every file, by key. One under two speakers' prefixes belongs to the longer; raises BadOrder if equal."""
        root = layout.below(self._prefix, "")
        prefixes = [(layout.below(root, speaker.prefix), speaker.name) for speaker in self._order.speakers]
        is_list = self._order.dataset.format != "AudioFolder"
        found = {item.key: item for item in self._store.list(root)}
        is_told = is_list or any(layout.dataset_file(root, name) in found for name in catalogue.TABLES)
        shared = sorted({prefix for prefix, _ in prefixes if [other for other, _ in prefixes].count(prefix) > 1})
        if shared and not is_told:  # a list may say who speaks
            both = " and ".join(name for prefix, name in prefixes if prefix == shared[0])
            message = f"the speakers {both} have the same prefix '{shared[0]}': give each a folder of their own"
            raise BadOrder(conditions.SPEAKERS_OVERLAP, message)
        linked = self._on_disk.linked_folders(root) if self._on_disk else ()
        made = catalogue.make(self._order, found.values(), self._bytes, self.name, linked)
        opened = [key for file in made.files if file.etag for key in (file.key, file.transcript) if key]
        unreadable = tuple(key for key in opened if not self._is_readable(key))
        return dataclasses.replace(made, unreadable=unreadable)

    def _is_readable(self, key: str) -> bool:
        return self._on_disk is None or os.access(self._on_disk.path(key), os.R_OK, effective_ids=True)

    @contextlib.contextmanager
    def file(self, key: str) -> Iterator[pathlib.Path]:
        """The file on this machine; what had to be fetched is removed afterwards. Raises NoSuchObject."""
        if self._on_disk is not None:
            root, path = self._on_disk.root, self._on_disk.path(key)
            if not path.is_file():
                raise stores.NoSuchObject(f"'{key}' does not exist in {root}")
            if not path.resolve().is_relative_to(root.resolve()):
                raise LeadsOutside(f"{key} is a link to a place outside {self.name}: put the file itself there")
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
        try:
            return self._bytes(layout.dataset_file(self._prefix, name))
        except stores.NoSuchObject:
            return None

    def transcript(self, key: str) -> str:
        """The text of a file beside a recording; raises `lists.Unreadable` and what `read` raises."""
        return lists.transcript(self._bytes(key))

    def _bytes(self, key: str) -> bytes:
        try:
            with self.file(key) as path:
                if path.stat().st_size > MOST_TEXT_BYTES:
                    message = f"'{key}' has {path.stat().st_size} bytes, a text may have {MOST_TEXT_BYTES}"
                    raise BadData(conditions.DATASET_INVALID, message)
                return path.read_bytes()
        except PermissionError as error:
            message = f"'{key}' cannot be read: {error.strerror}; let user {os.geteuid()} read it"
            raise BadData(conditions.DATASET_INVALID, message) from None
        except LeadsOutside as error:
            raise BadData(conditions.DATASET_INVALID, str(error)) from None

    def decode(self, path: pathlib.Path, sha256: str) -> decoding.Decoded:
        """A file of that content as mono FLAC in the work folder; raises media.Undecodable.

        Where the decoder crashes, a fresh one tries once more before the file is blamed.
        """
        target = mono_path(self._work_dir, sha256)
        try:
            try:
                return decoding.decode(path, target, self._check, self._decoder.read)
            except contained.Crashed as error:
                log.warning("a file of %d bytes is decoded again: %s", path.stat().st_size, error)
                return decoding.decode(path, target, self._check, self._decoder.read)
        except contained.Unstartable as error:
            raise Faulty(str(error)) from error

    def mono(self, recording: corpora.Recording) -> pathlib.Path:
        """The recording as mono FLAC at the training rate, decoded now unless it lies in the work folder."""
        target = mono_path(self._work_dir, recording.sha256)
        if target.exists():
            return target
        if recording.part is None:
            return self._decoded(recording.key, recording.sha256)
        part = recording.part
        decoding.cut(self._decoded(part.key, part.sha256), target, part.start_s, part.end_s)
        return target

    def _decoded(self, key: str, sha256: str) -> pathlib.Path:
        """A whole file, decoded now unless it lies in the work folder."""
        target = mono_path(self._work_dir, sha256)
        if target.exists():
            return target
        try:
            with self.file(key) as path:
                if stores.digest_file(path) != sha256:
                    raise BadData(conditions.RECORDINGS_CHANGED, _changed(key))
                self.decode(path, sha256)
        except (stores.NoSuchObject, LeadsOutside, media.Undecodable):
            raise BadData(conditions.RECORDINGS_CHANGED, _changed(key)) from None
        return target


def _unpacked(context: RunContext) -> pathlib.Path:
    """The folder with what the order's archive holds, fetched now unless it lies in the work folder.

    Raises BadData, Stopped, and Faulty where the server does not answer.
    """
    dataset = context.order.dataset
    url, sha256 = str(dataset.url), str(dataset.sha256)
    folder = context.work_dir / "archives"
    prefix = layout.below(dataset.prefix, "")
    target, archive = folder / f"{sha256}-{codec.digest(prefix)[:16]}", folder / f"{sha256}.archive"
    if target.exists():
        return target
    try:
        with context.telemetry.stage("fetch", 0, "MiB") as bar:

            def advance(done_bytes: int, all_bytes: int) -> None:
                bar.reach(done_bytes >> 20, all_bytes >> 20)

            if not archive.exists():
                downloads.fetch(url, sha256, archive, context.stopping, advance)
            context.check_stopping()
            archives.unpack(archive, target, prefix, context.check_stopping)
    except downloads.Unavailable as error:
        raise BadData(conditions.DATASET_UNAVAILABLE, str(error)) from None
    except downloads.WrongContent as error:
        raise BadData(conditions.CHECKSUM_MISMATCH, str(error)) from None
    except downloads.Unreachable as error:
        raise Faulty(str(error)) from None
    except archives.BadArchive as error:
        raise BadData(conditions.DATASET_INVALID, f"the archive {downloads.shown(url)} {error}") from None
    archive.unlink()
    return target


def mono_path(work_dir: pathlib.Path, sha256: str) -> pathlib.Path:
    """Where the decoded sound of a recording lies in the work folder, by the digest of what it came from."""
    return work_dir / "mono" / f"{sha256}-{decoding.VERSION}.flac"


def _changed(key: str) -> str:
    return f"the recording '{key}' was changed or removed while it was prepared; start again with all in place"
