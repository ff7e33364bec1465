"""The original's `.pth` files, read without running what a pickle may hold, and written as the original reads them.

A file is a dictionary of four: `model` (tensors by name), `iteration` (the epoch, from 1), `optimizer` (AdamW's state
by the parameter's number) and `learning_rate` (the configured one). `conversion` knows what the tensors mean.
"""

from __future__ import annotations

import collections
import pathlib
import pickle
import re
import tarfile
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NETWORKS = ("G", "D", "WD", "DUR")
MOST_BYTES = 8 << 30  # the original's largest file, G with AdamW's state, has 0.93 GB
MOST_STRUCTURE_BYTES = 64 << 20  # names and numbers beside the tensors; the original's have less than 1 MB
_NAME = re.compile(r"(?P<network>G|D|WD|DUR)_(?P<step>\d+)(?P<release>_release)?(?P<half>_half)?\.pth")
_FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")
_KINDS = ("step", "exp_avg", "exp_avg_sq")


class Unusable(Exception):
    """A file or folder that is not what the original writes, or not what is understood; the message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """AdamW's state. `moments` are by the parameter's number; `settings` is the one parameter group without them."""

    moments: dict[int, dict[str, Tensor]]
    parameters: int
    settings: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LegacyFile:
    """The content of one file. `optimiser` is None where the file holds none."""

    model: dict[str, Tensor]
    iteration: int
    learning_rate: float
    optimiser: Optimiser | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """The files of one step in a folder, by network."""

    step: int
    paths: dict[str, pathlib.Path]


def find(folder: pathlib.Path, step: int | None = None) -> Found:
    """The files of `step`, or of the newest step that has a G, in a folder. Raises Unusable."""
    by_step: dict[int, dict[str, pathlib.Path]] = {}
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        raise Unusable(f"the folder {folder} cannot be read: {error.strerror}") from None
    for path in names:
        match = _NAME.fullmatch(path.name)
        if match:  # a whole file comes before its `_release` in the order of names, and is kept
            by_step.setdefault(int(match["step"]), {}).setdefault(match["network"], path)
    steps = [number for number, paths in by_step.items() if "G" in paths]
    if not steps:
        raise Unusable(f"{folder} has no G_<step>.pth: name the folder where the original left its models")
    chosen = max(steps) if step is None else step
    if chosen not in steps:
        known = ", ".join(map(str, sorted(steps)))
        raise Unusable(f"{folder} has no G_{chosen}.pth; it has the steps {known}")
    return Found(step=chosen, paths={name: by_step[chosen][name] for name in NETWORKS if name in by_step[chosen]})


def file_name(network: str, step: int) -> str:
    """`G_8000.pth` and the like."""
    return f"{network}_{step}.pth"


def read(path: pathlib.Path) -> LegacyFile:
    """Read a file; tensors stay on disk until they are used. Raises Unusable naming the file."""
    document = _load(path)
    if not isinstance(document, dict) or not isinstance(document.get("model"), dict):
        raise Unusable(f"{path.name} has no dictionary 'model': it is not a file that Bert-VITS2 saved")
    model = dict(document["model"])
    wrong = [str(name) for name, value in model.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if wrong or not model:
        raise Unusable(f"{path.name}: 'model' must hold tensors by name, and holds {', '.join(wrong[:3]) or 'nothing'}")
    return LegacyFile(
        model=model,
        iteration=_number(path, document, "iteration", int, 0),
        learning_rate=_number(path, document, "learning_rate", float, 0.0),
        optimiser=_optimiser(path, document.get("optimizer")),
    )


def write(path: pathlib.Path, content: LegacyFile) -> None:
    """Write a file under its final name when it is whole."""
    optimiser = content.optimiser
    document = {
        "model": collections.OrderedDict(content.model),
        "iteration": content.iteration,
        "optimizer": None
        if optimiser is None
        else {
            "state": optimiser.moments,
            "param_groups": [{**optimiser.settings, "params": list(range(optimiser.parameters))}],
        },
        "learning_rate": content.learning_rate,
    }
    part = path.with_name(path.name + ".part")
    torch.save(document, part)
    part.replace(path)


def load_tensor(path: pathlib.Path) -> Tensor:
    """One tensor that the original saved by itself, such as the style vector of a clip. Raises Unusable."""
    found = _load(path)
    if not isinstance(found, Tensor):
        raise Unusable(f"{path.name} holds no tensor by itself")
    return found


def load_tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """Weights by name, as pytorch_model.bin holds them. Raises Unusable."""
    found = _load(path)
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise Unusable(f"{path.name} does not hold tensors by name alone")
    return dict(found)


def _load(path: pathlib.Path) -> Any:
    """Tensors and plain values only: whatever else a pickle names is refused before anything of it runs."""
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    if size_bytes > MOST_BYTES:
        raise Unusable(f"{path.name} has {size_bytes / 2**30:.1f} GiB, the most is {MOST_BYTES >> 30} GiB")
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        elif tarfile.is_tarfile(path):
            raise Unusable(
                f"{path.name} has the tar form of PyTorch before 0.4, which is not read; load it there and save it "
                "again with a current PyTorch"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols: what cannot be read is refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        named = _FORBIDDEN.search(str(error))
        what = f" ({named[1]})" if named else ""
        raise Unusable(
            f"{path.name} holds more than tensors and plain numbers{what}, or is damaged: it is not loaded, because "
            "such a pickle can run programs; get the file as it was saved by the original"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).partition(". ")[0].partition("\n")[0] or type(error).__name__
        raise Unusable(f"{path.name} is damaged or is no PyTorch file ({first})") from None


def _check_archive(path: pathlib.Path) -> None:
    """PyTorch never compresses: an archive that would grow when it is read was not made by it."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    grown = [item.filename for item in members if item.file_size > item.compress_size + 1024]
    structure = sum(item.file_size for item in members if item.filename.endswith(".pkl"))
    if grown or structure > MOST_STRUCTURE_BYTES or sum(item.file_size for item in members) > MOST_BYTES:
        raise Unusable(f"{path.name} is not as PyTorch writes it: it would grow beyond its size when it is read")


def _number(path: pathlib.Path, document: dict[Any, Any], name: str, kind: type, missing: Any) -> Any:
    value = document.get(name, missing)
    if value is None:
        return missing
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and not isinstance(value, int)):
        raise Unusable(f"{path.name}: '{name}' is {str(value)[:40]!r}, expected a number")
    return kind(value)


def _optimiser(path: pathlib.Path, found: Any) -> Optimiser | None:
    if found is None:
        return None
    groups = found.get("param_groups") if isinstance(found, dict) else None
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(groups[0], dict):
        raise Unusable(f"{path.name}: 'optimizer' is not the state of AdamW with one group of parameters")
    numbers = groups[0].get("params")
    state = found.get("state")
    if not isinstance(numbers, list) or not isinstance(state, dict) or numbers != list(range(len(numbers))):
        raise Unusable(f"{path.name}: the optimiser's parameters are not numbered from 0")
    moments = {number: _moments(path, number, entry, len(numbers)) for number, entry in state.items()}
    settings = {str(name): value for name, value in groups[0].items() if name != "params"}
    return Optimiser(moments=moments, parameters=len(numbers), settings=settings)


def _moments(path: pathlib.Path, number: Any, entry: Any, count: int) -> dict[str, Tensor]:
    if not isinstance(number, int) or not 0 <= number < count or not isinstance(entry, dict):
        raise Unusable(f"{path.name}: the optimiser's state of parameter {str(number)[:20]} is not understood")
    if sorted(entry) != sorted(_KINDS):
        held = ", ".join(map(str, entry))
        raise Unusable(f"{path.name}: the optimiser keeps {held} of a parameter, expected {', '.join(_KINDS)} (AdamW)")
    # Older PyTorch counted steps in a plain number.
    step = entry["step"]
    made = {**entry, "step": step if isinstance(step, Tensor) else torch.tensor(float(step))}
    if not all(isinstance(value, Tensor) for value in made.values()):
        raise Unusable(f"{path.name}: the optimiser's state of parameter {number} holds something else than tensors")
    return {kind: made[kind] for kind in _KINDS}
