"""Images out of buildah's storage as an OCI layout in one tar stream, without a copy of any layer on the way.

`buildah push` to a file compresses each layer, writes it twice, and does so for every image anew. The storage keeps a
layer as a folder of files plus the bytes between them (github.com/vbatts/tar-split), from which the very tar whose
digest the manifest names is put together again; the receiver checks that digest.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_FILE, _BYTES = 1, 2  # kinds of entries in a tar-split file
_COPY_BYTES = 1 << 20
_BLOCK_BYTES = 512


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A layer in the storage."""

    name: str
    digest: str
    size_bytes: int


class Storage:
    """A containers/storage folder with the overlay driver, read only."""

    def __init__(self, root: Path) -> None:
        """Read the lists of images and layers."""
        self._root = root
        images = json.loads((root / "overlay-images" / "images.json").read_text())
        self._images: dict[str, dict[str, Any]] = {name: image for image in images for name in image.get("names") or ()}
        layers = json.loads((root / "overlay-layers" / "layers.json").read_text())
        self._layers = {
            layer["diff-digest"]: _Layer(name=layer["id"], digest=layer["diff-digest"], size_bytes=layer["diff-size"])
            for layer in layers
        }

    def write(self, references: list[str], held: Set[str], out: IO[bytes]) -> None:
        """Write an OCI layout of these images, each blob once, and none of those that are held already."""
        written = set(held)
        manifests: list[dict[str, Any]] = []
        for reference in references:
            manifest_bytes = self._big_data(reference, "manifest")
            manifest = json.loads(manifest_bytes)
            config = manifest["config"]["digest"]
            for digest, content in (
                (_digest(manifest_bytes), manifest_bytes),
                (config, self._big_data(reference, config)),
            ):
                if digest not in written:
                    _put(out, _blob(digest), content)
                    written.add(digest)
            for layer in manifest["layers"]:
                if layer["digest"] not in written:
                    self._write_layer(self._layers[layer["digest"]], out)
                    written.add(layer["digest"])
            manifests.append(_description(reference, manifest, manifest_bytes))
        index = {"schemaVersion": 2, "manifests": manifests}
        _put(out, "index.json", json.dumps(index).encode())
        _put(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        out.write(bytes(2 * _BLOCK_BYTES))

    def _big_data(self, reference: str, name: str) -> bytes:
        # The storage spells names that are no file names in base64.
        file = name if name == "manifest" else "=" + base64.b64encode(name.encode()).decode()
        path = self._root / "overlay-images" / str(self._images[reference]["id"]) / file
        return path.read_bytes()

    def _write_layer(self, layer: _Layer, out: IO[bytes]) -> None:
        files = self._root / "overlay" / layer.name / "diff"
        _header(out, _blob(layer.digest), layer.size_bytes)
        with gzip.open(self._root / "overlay-layers" / f"{layer.name}.tar-split.gz", "rt") as entries:
            for line in entries:
                entry = json.loads(line)
                if entry["type"] == _BYTES:
                    out.write(base64.b64decode(entry["payload"]))
                elif entry.get("size"):
                    with (files / _file_name(entry)).open("rb") as content:
                        shutil.copyfileobj(content, out, _COPY_BYTES)
        _pad(out, layer.size_bytes)


def _file_name(entry: dict[str, Any]) -> str:
    raw = entry.get("name_raw")
    name = base64.b64decode(raw).decode(errors="surrogateescape") if raw else entry["name"]
    return str(name).lstrip("/")


def _description(reference: str, manifest: dict[str, Any], manifest_bytes: bytes) -> dict[str, Any]:
    return {
        "mediaType": manifest["mediaType"],
        "digest": _digest(manifest_bytes),
        "size": len(manifest_bytes),
        "annotations": {"io.containerd.image.name": reference},
    }


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _put(out: IO[bytes], name: str, content: bytes) -> None:
    _header(out, name, len(content))
    out.write(content)
    _pad(out, len(content))


def _header(out: IO[bytes], name: str, size_bytes: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    out.write(info.tobuf(tarfile.GNU_FORMAT))


def _pad(out: IO[bytes], size_bytes: int) -> None:
    out.write(bytes(-size_bytes % _BLOCK_BYTES))
