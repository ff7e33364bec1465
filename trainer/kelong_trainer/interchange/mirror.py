"""Model sources kept in the store: fetched once, pickled weights turned into safetensors, digests beside them.

What `sources.resolve` gives is what is kept, so a mirror loads exactly as the source it came from.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import safetensors.torch
from kelong_contract import layout
from kelong_contract import store as stores
from kelong_speech import sources
from torch import Tensor

from kelong_trainer.interchange import original_files
from kelong_trainer.interchange.original_files import Unusable

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
WEIGHTS = "pytorch_model"
INDEX = "pytorch_model.bin.index.json"


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What was kept: the address to use from now on, its files, and those that were left out."""

    address: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    size_bytes: int


def usual_prefix(address: str) -> str:
    """Where a hub source is kept when nothing else is said: `ORG/NAME/REV`. Raises Unusable."""
    kind, _, rest = address.partition(":")
    repository, _, revision = rest.partition("@")
    if kind == "hub" and not revision:
        raise Unusable(f"'{address}' names no revision, which a copy is kept by: write hub:ORG/NAME@REV")
    if kind != "hub":
        raise Unusable(f"'{address}' has no usual place: say where to keep it, --to store:PREFIX")
    return f"{repository}/{revision}"


def mirror(
    address: str,
    prefix: str,
    store: stores.Store,
    work: pathlib.Path,
    *,
    done: Callable[[str], None],
    onnx: bool = False,
) -> Mirrored:
    """Keep a source under `models/<prefix>/`, with `onnx` also a hub's ONNX files. Raises Unusable.

    Nothing may lie there yet: what voices were trained with must stay what it was. Only a mirror of the same source
    that was interrupted is completed. Raises ModelSourceUnavailable for a source that gives nothing.
    """
    if address.partition(":")[0] not in ("hub", "path", "store"):
        raise Unusable(f"the source '{address}' has no files that could be kept: name hub:ORG/NAME@REV or path:/FOLDER")
    place = layout.model_source("", prefix)
    lying = {item.key.removeprefix(place) for item in store.list(place)}
    begun = _begun(store, layout.base_model_file(place, sources.MIRRORED)) if sources.MIRRORED in lying else {}
    lacking = begun.get("files", {}).keys() - lying
    if lying and not (lacking and begun.get("source") == address):
        raise Unusable(f"something lies under {place} already: use it as store:{prefix}, or delete it first")
    folder = sources.resolve(address, "", store, work / "cache", onnx=onnx)
    assert folder is not None  # only `none` has no folder
    kept = work / "kept"
    left_out = _gather(folder, kept)
    paths = sorted(item for item in kept.rglob("*") if item.is_file())
    digests = {path.relative_to(kept).as_posix(): stores.digest_file(path) for path in paths}
    if not digests:
        raise Unusable(f"the source '{address}' has no file that could be kept")
    told = json.dumps({"format": 1, "source": address, "files": digests}, indent=1, sort_keys=True) + "\n"
    store.put(layout.base_model_file(place, sources.MIRRORED), told.encode(), "application/json")
    for name in lying - digests.keys() - {sources.MIRRORED}:
        store.delete(layout.base_model_file(place, name))
    for name in digests:
        store.put_file(layout.base_model_file(place, name), kept / name)
        done(name)
    return Mirrored(
        address=f"store:{prefix}",
        files=tuple(digests),
        left_out=left_out,
        size_bytes=sum(item.stat().st_size for item in kept.rglob("*") if item.is_file()),
    )


def _begun(store: stores.Store, key: str) -> dict[str, Any]:
    """What a mirror before this one meant to keep. Raises Unusable."""
    try:
        found = json.loads(store.get(key))
        if isinstance(found, dict) and isinstance(found.get("files"), dict):
            return found
    except ValueError as error:
        raise Unusable(f"{key} is not JSON ({error}); delete what lies beside it, and mirror again") from None
    raise Unusable(f"{key} does not name the files of a mirror; delete what lies beside it, and mirror again")


def _gather(folder: pathlib.Path, kept: pathlib.Path) -> tuple[str, ...]:
    """Copy a folder, weights as safetensors; the pickles that were left out."""
    has_safetensors = any(folder.rglob("*.safetensors"))
    left_out = []
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or name.as_posix() == sources.MIRRORED:
            continue  # what a hub's client, an editor or a mirror before this one keeps for itself
        target = kept / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.name == INDEX and not has_safetensors:
            _convert_index(path, target.with_name("model.safetensors.index.json"))
        elif path.name.startswith(WEIGHTS) and path.suffix == ".bin" and not has_safetensors:
            _convert(path, target.with_name(_safe_name(path.name)))
        elif _is_pickle(path):
            left_out.append(name.as_posix())
        elif path.name != INDEX:
            shutil.copyfile(path, target)
    return tuple(left_out)


def _is_pickle(path: pathlib.Path) -> bool:
    """By name, except for CTranslate2's model.bin (of faster-whisper), which is none."""
    if path.suffix not in PICKLES:
        return False
    with path.open("rb") as file:
        head = file.read(4)
    return path.name != "model.bin" or head[:2] == b"PK" or head[:1] == b"\x80"


def _safe_name(name: str) -> str:
    """`pytorch_model-00001-of-00002.bin` to `model-00001-of-00002.safetensors`, as transformers looks for it."""
    return "model" + name.removeprefix(WEIGHTS).removesuffix(".bin") + ".safetensors"


def _convert(path: pathlib.Path, target: pathlib.Path) -> None:
    """Pickled weights as safetensors; tensors that share memory become copies. Raises Unusable."""
    tensors = original_files.load_tensors(path)
    plain: dict[str, Tensor] = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(plain, target, metadata={"format": "pt"})


def _convert_index(path: pathlib.Path, target: pathlib.Path) -> None:
    try:
        index: dict[str, Any] = json.loads(path.read_bytes())
        index["weight_map"] = {name: _safe_name(file) for name, file in index["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"{path.name} is not an index of weights ({error})") from None
    target.write_text(json.dumps(index, indent=2) + "\n")
