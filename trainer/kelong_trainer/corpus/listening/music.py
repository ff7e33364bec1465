"""Where music plays, alone or under speech: numpy only, no model. Called while a recording is listened to.

What tells music from all else here is that its tones stay: a note is held at one pitch, several at once, while the
harmonics of a voice glide and break off with each syllable, noise has no tones, and the mains' hum never changes and is
told by `hum`. So it counts the lines of the spectrogram that stay for a third of a second. Drums alone have none and
are not found.

F frames of 128 ms each 32 ms, N frequencies 7.8 Hz apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from kelong_contract.corpora import Stretch

from kelong_trainer.corpus.listening import hum
from kelong_trainer.corpus.listening.voice_activity import SAMPLE_RATE_HZ
from kelong_trainer.corpus.sound import flagged

VERSION = 2  # raise when the same sound would give other stretches than before
WINDOW_SAMPLES: Final = 2048
HOP_SAMPLES: Final = 512
HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE_HZ
LOWEST_HZ: Final = 150.0
HIGHEST_HZ: Final = 4500.0
LINE_FRAMES: Final = 10  # what stays for so long is a tone
LEAST_LINES: Final = 3  # at once: one alone may be a beep or a long vowel's
PROMINENCE_DB: Final = 8.0  # over what lies around it
NEIGHBOURS: Final = 10  # on each side
ABOVE_FLOOR_DB: Final = 6.0  # over the quietest tenth of its own frequency, which hum never leaves
LEAST_DBFS: Final = -75.0
BLOCK_S: Final = 3.0
# Of the frames of a block. What speech and music have is in docs/corpus.md.
LEAST_SHARE: Final = 0.15
JOINED_S: Final = 3.0
HUM_MARGIN_S: Final = 3.0  # where it begins and ends is known to a second; it lasts as a line for as long as a frame
BLOCKS_AT_ONCE: Final = 1000  # of frames, so that the spectrogram of a long window stays small

Samples = npt.NDArray[np.float32]
Levels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_HZ: Final = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ)
_USED: Final = (_HZ > LOWEST_HZ) & (_HZ < HIGHEST_HZ)
_WINDOW: Final = np.hanning(WINDOW_SAMPLES)


def find(samples: Samples, humming: Sequence[hum.Found] = ()) -> tuple[Stretch, ...]:
    """The stretches with music in samples [S] at 16 kHz, in seconds from the first of them.

    `humming` is where the mains hum: their lines last too, and are no music.
    """
    return joined(_stretches(shares(samples, humming) >= LEAST_SHARE, len(samples) / SAMPLE_RATE_HZ))


def shares(samples: Samples, humming: Sequence[hum.Found] = ()) -> npt.NDArray[np.float64]:
    """For each second, the part of the frames around it that hold several lasting tones (0 to 1)."""
    levels = _levels(samples)
    if len(levels) < LINE_FRAMES:
        return np.zeros(0)
    lines = _lines(levels)
    for found in humming:
        begin = max(int((found.stretch.start_s - HUM_MARGIN_S) / HOP_S), 0)
        end = int((found.stretch.end_s + HUM_MARGIN_S) / HOP_S) + 1
        lines[begin:end, _hummed(found)] = False
    holds = (lines.sum(axis=1) >= LEAST_LINES).astype(np.float64)  # [F]
    sums = np.concatenate([[0.0], np.cumsum(holds)])
    seconds = max(1, int(len(samples) / SAMPLE_RATE_HZ))
    middle = (np.arange(seconds) + 0.5) / HOP_S
    first = np.clip(np.round(middle - BLOCK_S / 2 / HOP_S), 0, len(holds) - 1).astype(int)
    last = np.clip(np.round(middle + BLOCK_S / 2 / HOP_S), first + 1, len(holds)).astype(int)
    share: npt.NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return share


def _levels(samples: Samples) -> Levels:
    """The level of each frequency in dB of full scale [F, N]."""
    if len(samples) < WINDOW_SAMPLES:
        return np.zeros((0, int(_USED.sum())), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[::HOP_SAMPLES]
    parts = []
    for start in range(0, len(frames), BLOCKS_AT_ONCE):
        spectra = np.fft.rfft(frames[start : start + BLOCKS_AT_ONCE] * _WINDOW, axis=1)[:, _USED]
        powers = 2 * np.abs(spectra) ** 2 / _WINDOW.sum() ** 2
        parts.append((10 * np.log10(powers + 1e-12)).astype(np.float32))
    return np.concatenate(parts)


def _lines(levels: Levels) -> Mask:
    """Where a peak of the spectrum belongs to one that stays [F, N]; it may move by one frequency."""
    around = np.stack([np.roll(levels, shift, axis=1) for shift in range(-NEIGHBOURS, NEIGHBOURS + 1, 4)]).mean(axis=0)
    peaks = np.zeros(levels.shape, bool)
    peaks[:, 1:-1] = (levels[:, 1:-1] >= levels[:, :-2]) & (levels[:, 1:-1] > levels[:, 2:])
    peaks &= (levels > around + PROMINENCE_DB) & (levels > LEAST_DBFS)
    peaks &= levels > np.percentile(levels, 10, axis=0) + ABOVE_FLOOR_DB
    wide = peaks.copy()
    wide[:, 1:] |= peaks[:, :-1]
    wide[:, :-1] |= peaks[:, 1:]
    return _lasting(wide) & peaks


def _lasting(mask: Mask) -> Mask:
    """What belongs to a run of LINE_FRAMES or more along the first axis (a morphological opening)."""
    runs = np.ones((len(mask) - LINE_FRAMES + 1, mask.shape[1]), bool)
    for shift in range(LINE_FRAMES):
        runs &= mask[shift : len(runs) + shift]
    lasting = np.zeros_like(mask)
    for shift in range(LINE_FRAMES):
        lasting[shift : len(runs) + shift] |= runs
    return lasting


def _hummed(found: hum.Found) -> Mask:
    """Which frequencies a line of the hum may be taken for [N]."""
    away_hz = np.abs(_HZ[_USED][:, None] - found.exact_hz * np.array(found.harmonics))
    return np.asarray((away_hz <= 1.5 * SAMPLE_RATE_HZ / WINDOW_SAMPLES).any(axis=1))


def _stretches(plays: Mask, length_s: float) -> tuple[Stretch, ...]:
    """Seconds in a row as stretches; the last reaches to the end."""
    starts, ends = flagged.runs(plays)
    return tuple(
        Stretch(start_s=float(start), end_s=length_s if end == len(plays) else float(end))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Stretches in order, of windows that follow one another, with those that are near as one."""
    found: list[Stretch] = []
    for stretch in stretches:
        if found and stretch.start_s - found[-1].end_s < JOINED_S:
            found[-1] = Stretch(start_s=found[-1].start_s, end_s=stretch.end_s)
        else:
            found.append(stretch)
    return tuple(found)
