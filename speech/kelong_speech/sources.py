"""Model sources: an address in an order becomes a local folder. Called by the trainer and the server.

hub:ORG/NAME@REV     a repository of the model hub, at a revision
store:PREFIX         a folder under models/ of the store, shared by all namespaces
store:./PREFIX       a folder under models/<namespace>/ of the store
path:/…              a folder of this machine
none                 nothing
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import shutil
import tempfile

import huggingface_hub
from huggingface_hub import errors
from kelong_contract import layout, orders
from kelong_contract import store as stores

# Weights in forms that nothing here reads.
_FOREIGN_FORMS = ("*.msgpack", "*.h5", "*.ot", "*.tflite", "flax_*", "tf_*")
_ONNX_FORMS = ("*.onnx", "onnx/*")
_PICKLED_FORMS = ("pytorch_model*.bin",)


# In a folder that `mirror` kept: where it came from, and the SHA-256 of every file. It is written before the others.
MIRRORED = "mirrored.json"


class ModelSourceUnavailable(Exception):
    """A model source that gives no folder; the message names it and says what to do."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"The model source '{address}' is not available: {why}.")
        self.address = address


def identity(address: str, namespace: str, store: stores.Store) -> str:
    """What a cache key must hold of a source, found without fetching it; raises ModelSourceUnavailable.

    A hub source is its address: name a commit to be sure that it never changes. A folder is the digest of its listing.
    """
    kind, rest = _parts(address)
    if kind == "store":
        return f"store:{_listing(address, layout.model_source(namespace, rest), store)[1]}"
    if kind == "path":
        return f"path:{_digest_folder(_folder(address, rest))}"
    return address


def resolve(
    address: str, namespace: str, store: stores.Store, cache_dir: pathlib.Path, *, onnx: bool = False
) -> pathlib.Path | None:
    """The local folder of a source, fetched into `cache_dir` if need be; None for `none`.

    From the hub ONNX files come only where they are asked for: most repositories have them beside what is used.

    Raises ModelSourceUnavailable. A folder is fetched once: an interrupted download leaves nothing behind that
    would be taken for the whole.
    """
    kind, rest = _parts(address)
    if kind == "none":
        return None
    if kind == "path":
        return _folder(address, rest)
    if kind == "store":
        return _fetch(address, layout.model_source(namespace, rest), store, cache_dir)
    repository, _, revision = rest.partition("@")
    return _download(address, repository, revision, cache_dir / "hub", onnx)


def _parts(address: str) -> tuple[str, str]:
    if not orders.is_source(address):
        raise ModelSourceUnavailable(address, "expected hub:ORG/NAME@REV, store:PREFIX, path:/FOLDER or none")
    kind, _, rest = address.partition(":")
    return kind, rest


def _folder(address: str, path: str) -> pathlib.Path:
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise ModelSourceUnavailable(address, f"there is no folder {path}; mount it or name another source")
    return folder


def _digest_folder(folder: pathlib.Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _listing(address: str, prefix: str, store: stores.Store) -> tuple[list[stores.StoredObject], str]:
    found = [item for item in store.list(prefix) if not item.key.endswith("/")]
    if not found:
        raise ModelSourceUnavailable(
            address, f"nothing lies under {prefix} in the store; upload the model's files there"
        )
    return found, stores.digest_listing(iter(found))


def _fetch(address: str, prefix: str, store: stores.Store, cache_dir: pathlib.Path) -> pathlib.Path:
    found, digest = _listing(address, prefix, store)
    folder = cache_dir / f"store-{digest[:32]}"
    if folder.is_dir():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    staged = pathlib.Path(tempfile.mkdtemp(prefix="fetching-", dir=cache_dir))
    try:
        for item in found:
            store.get_file(item.key, staged / item.key.removeprefix(prefix))
        _check_mirror(address, staged)
        staged.chmod(0o755)
        with contextlib.suppress(FileExistsError):  # somebody else fetched the same meanwhile
            staged.rename(folder)
    except stores.NoSuchObject as error:
        raise ModelSourceUnavailable(address, f"it changed while it was fetched ({error})") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def _check_mirror(address: str, folder: pathlib.Path) -> None:
    """Raise ModelSourceUnavailable for a mirror that was interrupted, or is no longer what was kept."""
    note = folder / MIRRORED
    if not note.is_file():
        return  # files that somebody put there by other means
    try:
        digests: dict[str, str] = json.loads(note.read_bytes())["files"]
        wrong = [name for name, digest in digests.items() if _digest(folder / name) != digest]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelSourceUnavailable(address, f"its {MIRRORED} cannot be read ({error}); mirror it anew") from None
    if wrong:
        why = f"it is not whole: {', '.join(wrong[:3])} is not there or is another; run the mirror again"
        raise ModelSourceUnavailable(address, why)


def _digest(path: pathlib.Path) -> str:
    return stores.digest_file(path) if path.is_file() else ""


def _download(address: str, repository: str, revision: str, cache_dir: pathlib.Path, onnx: bool) -> pathlib.Path:
    """Safetensors where the repository has them, else pickled weights (loaders read those as plain tensors only)."""
    foreign = _FOREIGN_FORMS if onnx else (*_FOREIGN_FORMS, *_ONNX_FORMS)
    try:
        folder = _snapshot(repository, revision, cache_dir, ignored=(*foreign, *_PICKLED_FORMS))
        if not onnx and not any(folder.glob("*.safetensors")):
            folder = _snapshot(repository, revision, cache_dir, ignored=foreign)
    except errors.RevisionNotFoundError:
        raise ModelSourceUnavailable(address, f"{repository} has no revision '{revision}'") from None
    except errors.RepositoryNotFoundError:
        why = "the hub has no such public repository; copy the model into the store and name it store:PREFIX"
        raise ModelSourceUnavailable(address, why) from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        why = f"the hub cannot be reached ({first}); copy the model into the store and name it store:PREFIX"
        raise ModelSourceUnavailable(address, why) from None
    return folder


def _snapshot(repository: str, revision: str, cache_dir: pathlib.Path, ignored: tuple[str, ...]) -> pathlib.Path:
    folder = huggingface_hub.snapshot_download(
        repository, revision=revision, cache_dir=cache_dir, ignore_patterns=list(ignored)
    )
    return pathlib.Path(folder)
