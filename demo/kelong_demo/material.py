"""Brings what the training starts from into the demo's store: recordings, and where the recogniser is.

A cluster's users upload recordings to `recordings/<namespace>/` of their bucket; the demo does so with its folder.
What was found out about recordings is kept when some of them, or corrections, come or go: see `lend`.
"""

import filecmp
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from kelong_contract import layout
from kelong_contract.store import FolderStore, digest_file
from tqdm import tqdm

from kelong_demo import recordings, settings, speaker, whisper

NAMESPACE = "demo"
UID_DIGITS = 12
# These name files of the voice in whose folder they lie, which may be removed.
NOT_LENT = ("features", "align")


class NoMaterial(Exception):
    """There is nothing to train on; the message says where was looked."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """The recordings and corrections in a folder, by name and content, and the recogniser's source.

    `notes` are sentences about what lies in the folder and is not used as it is.
    """

    folder: Path
    files: dict[str, Path]
    digest: str
    recogniser: str
    notes: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        """Changes with the recordings, their corrections and the recogniser: what is trained on is frozen."""
        return _short(f"{self.digest} {self.recogniser}")

    @property
    def review_uid(self) -> str:
        """Stays when recordings and corrections come and go: a report is looked at again where it was."""
        return _short(f"review {self.folder} {self.recogniser}")

    @property
    def prefix(self) -> str:
        """Where in the store the recordings lie: the same for a folder, whatever comes into it or goes."""
        return layout.recordings(NAMESPACE, _short(str(self.folder)))


def gather(asked: settings.Settings) -> Material:
    """The user's recordings, or the stand-in's, made now if need be; raises NoMaterial."""
    folder = asked.recordings or _stand_in(asked)
    source = FolderStore(folder)
    found = [item for item in source.list("") if not any(part.startswith(".") for part in item.key.split("/"))]
    if not found:
        raise NoMaterial(f"There is no file in {folder}; put recordings there, in any format, or name another folder.")
    files = {item.key: source.path(item.key) for item in found}
    content = hashlib.sha256()
    for name, path in files.items():
        content.update(f"{name}\0{digest_file(path)}\n".encode())
    return Material(
        folder=folder,
        files=files,
        digest=content.hexdigest(),
        recogniser=asked.recogniser or f"path:{whisper.assemble(asked.out / 'whisper-base')}",
        notes=(
            *(
                f"'{item.key}' has a name that is not UTF-8 on the disk: rename it."
                for item in found
                if item.is_guessed
            ),
            *(f"'{key}' is a link to a folder and is not followed." for key in source.linked_folders("")),
        ),
    )


def upload(material: Material, store: FolderStore) -> None:
    """Makes the recordings' place in the store what the folder is; files that are the same there stay untouched."""
    for stored in list(store.list(material.prefix)):
        if stored.key.removeprefix(material.prefix) not in material.files:
            store.delete(stored.key)
    missing = {
        key: path
        for name, path in material.files.items()
        if not (store.exists(key := material.prefix + name) and filecmp.cmp(path, store.path(key), shallow=False))
    }
    for key, path in tqdm(missing.items(), desc="Uploading recordings to the demo's store", disable=not missing):
        store.put_file(key, path)


def lend(store: FolderStore, place: layout.Voice) -> None:
    """Gives a voice what the demo's others found out about recordings, as links: it is named by content throughout.

    So a recording that was heard and transcribed for one of them is not heard again. What tells of a voice as a whole,
    its frozen corpus and its report, lies in no folder of its corpus and stays with it.
    """
    mine = store.root / place.prefix
    others = [folder for folder in sorted(mine.parent.glob("*")) if folder != mine]
    for corpus in (folder / "corpus" for folder in others):
        for path in sorted(corpus.glob("*/**/*")):
            target = mine / "corpus" / path.relative_to(corpus)
            if path.is_file() and path.relative_to(corpus).parts[0] not in NOT_LENT and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, target)


def _stand_in(asked: settings.Settings) -> Path:
    folder = asked.out / "recordings"
    wanted = recordings.Settings(minutes=asked.minutes)
    recordings.make(folder, asked.out / "recordings-truth.json", wanted, speaker.Speaker.load(asked.cache))
    return folder


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:UID_DIGITS]
