"""Brings what the training starts from into the demo's store: recordings, and where the recogniser is.

A cluster's users upload recordings to `recordings/<namespace>/` of their bucket; the demo does so with its folder.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kelong_contract import layout
from kelong_contract.store import Store, digest_file
from tqdm import tqdm

from kelong_demo import recordings, settings, speaker, whisper

NAMESPACE = "demo"
UID_DIGITS = 12


class NoMaterial(Exception):
    """There is nothing to train on; the message says where was looked."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """The recordings, by name and content, and the recogniser's source."""

    files: dict[str, Path]
    digest: str
    recogniser: str

    @property
    def uid(self) -> str:
        """Changes with the recordings and the recogniser: a voice made from others is another voice."""
        return hashlib.sha256(f"{self.digest} {self.recogniser}".encode()).hexdigest()[:UID_DIGITS]

    @property
    def prefix(self) -> str:
        """Where in the store the recordings lie."""
        return layout.recordings(NAMESPACE, self.digest[:UID_DIGITS])


def gather(asked: settings.Settings) -> Material:
    """The user's recordings, or the stand-in's, made now if need be; raises NoMaterial."""
    folder = asked.recordings or _stand_in(asked)
    files = dict(_files(folder))
    if not files:
        raise NoMaterial(f"There is no file in {folder}; put recordings there, in any format, or name another folder.")
    content = hashlib.sha256()
    for name, path in files.items():
        content.update(f"{name}\0{digest_file(path)}\n".encode())
    recogniser = asked.recogniser or f"path:{whisper.assemble(asked.out / 'whisper-base')}"
    return Material(files=files, digest=content.hexdigest(), recogniser=recogniser)


def upload(material: Material, store: Store) -> None:
    """Copies the recordings to their place in the store; what is there already stays (the place names the content)."""
    present = {stored.key: stored.size_bytes for stored in store.list(material.prefix)}
    missing = {
        material.prefix + name: path
        for name, path in material.files.items()
        if present.get(material.prefix + name) != path.stat().st_size
    }
    for key, path in tqdm(missing.items(), desc="Uploading recordings to the demo's store", disable=not missing):
        store.put_file(key, path)


def _stand_in(asked: settings.Settings) -> Path:
    folder = asked.out / "recordings"
    wanted = recordings.Settings(minutes=asked.minutes)
    recordings.make(folder, asked.out / "recordings-truth.json", wanted, speaker.Speaker.load(asked.cache))
    return folder


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path
