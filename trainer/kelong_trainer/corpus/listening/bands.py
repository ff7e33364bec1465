"""What band of frequencies a recording has, and how any sound would be in that band.

A voice on the telephone is less like the same voice in a room, and so is compared with that voice as the telephone
would give it. Called while a recording is listened to.

K frequencies 31.25 Hz apart, at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from kelong_contract.corpora import Stretch

from kelong_trainer.corpus.listening.voice_activity import SAMPLE_RATE_HZ

VERSION = 1  # raise when the same sound would give another band than before
FRAME_SAMPLES: Final = 512
# Speech has its weight here whatever it came through; a telephone passes 300 to 3400 Hz.
MIDDLE_HZ: Final = (350.0, 3300.0)
BELOW_HZ: Final = (80.0, 220.0)
ABOVE_HZ: Final = (4300.0, 7500.0)
# What is so much weaker than the middle was cut away. Of the stand-in's speech, by which both were set, the frequencies
# above have -14 dB and those below -8 dB; noise of 40 dB less than the speech hides that anything was cut.
CUT_ABOVE_DB: Final = -42.0
CUT_BELOW_DB: Final = -25.0
# Where the spectrum has fallen by this much from the middle's mean, it ends: at its lower edge a voice is strong.
LOW_EDGE_DB, HIGH_EDGE_DB = -12.0, -30.0
STEP_HZ: Final = 50.0  # edges are rounded to this, so that recordings made alike have the same band

Samples = npt.NDArray[np.float32]
Powers = npt.NDArray[np.float64]

_HZ: Final = np.fft.rfftfreq(FRAME_SAMPLES, 1 / SAMPLE_RATE_HZ)
_WINDOW: Final = np.hanning(FRAME_SAMPLES)


@dataclass(frozen=True, kw_only=True)
class Band:
    """From where to where a recording has sound; all that 16 kHz can hold unless something was cut away."""

    low_hz: float = 0.0
    high_hz: float = SAMPLE_RATE_HZ / 2

    @property
    def is_narrow(self) -> bool:
        """Whether something was cut away."""
        return self != Band()


class Spectrum:
    """The mean power of speech by frequency, over all that it is given; its size does not grow."""

    def __init__(self) -> None:
        self._powers: Powers = np.zeros(len(_HZ))

    def add(self, samples: Samples, speech: Sequence[Stretch]) -> None:
        """A part of the recording [S] at 16 kHz; `speech` counts from its start."""
        for stretch in speech:
            spoken = samples[round(stretch.start_s * SAMPLE_RATE_HZ) : round(stretch.end_s * SAMPLE_RATE_HZ)]
            if len(spoken) < FRAME_SAMPLES:
                continue
            frames = np.lib.stride_tricks.sliding_window_view(spoken, FRAME_SAMPLES)[:: FRAME_SAMPLES // 2]
            self._powers += (np.abs(np.fft.rfft(frames * _WINDOW, axis=1)) ** 2).sum(axis=0)

    def band(self) -> Band:
        """What was cut away of it, if anything."""
        middle = self._mean(MIDDLE_HZ)
        if middle <= 0:
            return Band()
        low_hz, high_hz = 0.0, SAMPLE_RATE_HZ / 2
        if self._mean(ABOVE_HZ) < middle * 10 ** (CUT_ABOVE_DB / 10):
            high_hz = _rounded(_HZ[self._powers >= middle * 10 ** (HIGH_EDGE_DB / 10)].max())
        if self._mean(BELOW_HZ) < middle * 10 ** (CUT_BELOW_DB / 10):
            low_hz = _rounded(_HZ[self._powers >= middle * 10 ** (LOW_EDGE_DB / 10)].min())
        return Band(low_hz=low_hz, high_hz=high_hz)

    def _mean(self, between_hz: tuple[float, float]) -> float:
        return float(self._powers[(between_hz[0] <= _HZ) & (between_hz[1] >= _HZ)].mean())


def _rounded(hz: float) -> float:
    return float(np.round(hz / STEP_HZ) * STEP_HZ)


def limited(samples: Samples, band: Band) -> Samples:
    """Sound [S] at 16 kHz with nothing outside of a band."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    spectrum[(hz < band.low_hz) | (hz > band.high_hz)] = 0
    kept: Samples = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
    return kept
