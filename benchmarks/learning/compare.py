"""How far two ways of saying the same sentences are from each other: the SNR of one folder of WAVs against another.

`python benchmarks/learning/compare.py EXACT OTHER` takes two folders that `evaluate.py` wrote for one step, say in FP32
and in BF16, and prints the lowest, the middle and the highest of the sentences' SNR in dB.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import soundfile


def decibels(exact: Path, other: Path) -> float:
    """SNR of a recording against another of the same length; raises SystemExit where the lengths differ."""
    wanted, _ = soundfile.read(exact, dtype="float64")
    found, _ = soundfile.read(other, dtype="float64")
    if wanted.shape != found.shape:
        raise SystemExit(f"{other} has {len(found)} samples and {exact} {len(wanted)}: they cannot be compared")
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((found - wanted) ** 2)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exact", type=Path)
    parser.add_argument("other", type=Path)
    given = parser.parse_args()
    found = [decibels(path, given.other / path.name) for path in sorted(given.exact.glob("*.wav"))]
    print(f"{len(found)} sentences: {min(found):.1f} to {max(found):.1f} dB, median {statistics.median(found):.1f}")


if __name__ == "__main__":
    main()
