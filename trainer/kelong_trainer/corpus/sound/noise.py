"""How loud a recording is from moment to moment, and how quiet between words. Called while a recording is listened to.

Levels are root mean squares of 10 ms in dB of full scale, at the rate the recording was decoded to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from kelong_contract.corpora import Stretch

VERSION = 1  # raise when the same sound would give another floor than before
FRAME_S = 0.01
SILENT_DBFS = -120.0
FLOOR_PERCENTILE = 10.0
# The VAD ends speech late and starts it later still: what lies this near to it is not the room's.
MARGIN_S = 0.1
LEAST_QUIET_S = 0.5  # of less than this nothing is learnt about the room
_STEP_DB = 0.1

Samples = npt.NDArray[np.float32]
Levels = npt.NDArray[np.float32]  # [F] dBFS


def levels(samples: Samples, rate_hz: int) -> Levels:
    """The level of each 10 ms [F]; what is left over at the end counts as a frame of its own length."""
    length = round(FRAME_S * rate_hz)
    whole = len(samples) // length * length
    powers = (samples[:whole].astype(np.float64).reshape(-1, length) ** 2).mean(axis=1)
    if whole < len(samples):
        powers = np.append(powers, (samples[whole:].astype(np.float64) ** 2).mean())
    found: Levels = (10 * np.log10(np.maximum(powers, 10 ** (SILENT_DBFS / 10)))).astype(np.float32)
    return found


def is_quiet(speech: Sequence[Stretch], frames: int, margin_s: float = MARGIN_S) -> npt.NDArray[np.bool_]:
    """Which of so many frames lie outside of all speech, by at least the margin."""
    quiet = np.ones(frames, bool)
    for stretch in speech:
        first = max(int((stretch.start_s - margin_s) / FRAME_S), 0)
        quiet[first : int((stretch.end_s + margin_s) / FRAME_S) + 1] = False
    return quiet


class Floor:
    """The 10th percentile of the levels between words, over all that it is given; its size does not grow.

    A recording without pauses has the 10th percentile of all its levels instead.
    """

    def __init__(self) -> None:
        bins = round(-SILENT_DBFS / _STEP_DB) + 64  # a square wave at full scale is at 0 dBFS
        self._quiet, self._all = np.zeros(bins, np.int64), np.zeros(bins, np.int64)

    def add(self, found: Levels, speech: Sequence[Stretch]) -> None:
        """Count the levels of a part of the recording; `speech` counts from its start."""
        bins = np.round((found.astype(np.float64) - SILENT_DBFS) / _STEP_DB).astype(np.int64)
        np.add.at(self._all, bins, 1)
        np.add.at(self._quiet, bins[is_quiet(speech, len(found))], 1)

    def dbfs(self) -> float:
        """The level of the quiet; that of silence if nothing was added."""
        counted = self._quiet if self._quiet.sum() * FRAME_S >= LEAST_QUIET_S else self._all
        total = int(counted.sum())
        if not total:
            return SILENT_DBFS
        place = int(np.searchsorted(np.cumsum(counted), FLOOR_PERCENTILE / 100 * total))
        return round(SILENT_DBFS + place * _STEP_DB, 1)
