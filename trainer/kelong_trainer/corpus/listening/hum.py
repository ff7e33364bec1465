"""Where the mains hum, at which frequency, and how loud: numpy only. Called while a recording is listened to.

The mains' hum is a comb of lines at multiples of 50 or 60 Hz that stays where it is, in frequency and in level, while
a voice glides and breaks off and a melody goes on to its next note. So it is looked for in what each frequency does
not fall below for most of six seconds, which between words is the hum alone. A chord that is held so long has lines
beside the comb.

F frames of 256 ms each 128 ms, N frequencies 3.9 Hz apart, W windows of STEADY_FRAMES frames, one each STEP_FRAMES.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from kelong_contract import corpora

from kelong_trainer.corpus.listening.voice_activity import SAMPLE_RATE_HZ

VERSION = 1  # raise when the same sound would give other stretches than before
FRAME_SAMPLES: Final = 1 << 12
HOP_SAMPLES: Final = FRAME_SAMPLES // 2
HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE_HZ
STEADY_FRAMES: Final = 47
STEP_FRAMES: Final = 8
# What stays below this percentile of a window's frames is there all the time: speech leaves at least so much quiet.
STEADY_PERCENTILE: Final = 10
HIGHEST_HZ: Final = 4500.0
# Grids keep to 0.2 Hz, sound cards to less; a semitone is 6 %.
MAINS_HZ: Final = (50.0, 60.0)
MOST_OFF: Final = 0.004
TRIED: Final = 9  # frequencies in that range
ON_COMB_HZ: Final = 1.0  # how far a line may lie from where it should
# So far above what lies around it is a line, and where there is a comb, a line of it.
PROMINENCE_DB: Final = 10.0
OF_COMB_DB: Final = 3.0
# Of the lines below HUM_HZ so many must be on the comb, and such a part of them.
HUM_HZ: Final = 640.0
LEAST_LINES: Final = 3
LEAST_SHARE: Final = 0.6
AROUND: Final = (4, 9)  # frequencies away from a line, on both sides, between it and its neighbours
LEAST_DBFS: Final = -75.0
LOUD_DBFS: Final = -48.0  # quieter hum takes less from a voice than cutting its lines out would
# What is taken out on both sides of a line: grids wander a little, and more would take from the voice.
NOTCH_HZ: Final = 0.3
NOTCH_SHARE: Final = 0.0003

Samples = npt.NDArray[np.float32]
Powers = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

_WINDOW: Final = np.hanning(FRAME_SAMPLES).astype(np.float32)
_BIN_HZ: Final = SAMPLE_RATE_HZ / FRAME_SAMPLES
_BINS: Final = int(HIGHEST_HZ / _BIN_HZ) + AROUND[1] + 2


@dataclass(frozen=True, kw_only=True)
class Found:
    """A stretch with hum, its frequency as it was measured, and which multiples of that stand out, a little or much."""

    stretch: corpora.Hum
    exact_hz: float
    harmonics: tuple[int, ...]
    loud: tuple[int, ...]


def find(samples: Samples) -> tuple[Found, ...]:
    """The stretches with hum in samples [S] at 16 kHz, in seconds from the first of them; good to a second or two."""
    found: list[Found] = []
    for start_s, powers in _steady(samples):
        comb = _comb(powers)
        if comb is None:
            continue
        end_s = min(start_s + (STEADY_FRAMES + 1) * HOP_S, len(samples) / SAMPLE_RATE_HZ)
        stretch = corpora.Hum(
            start_s=round(start_s, 3), end_s=round(end_s, 3), hz=comb.mains_hz, level_dbfs=comb.level_dbfs
        )
        new = Found(stretch=stretch, exact_hz=comb.exact_hz, harmonics=comb.harmonics, loud=comb.loud)
        if found and _touch(found[-1].stretch, stretch):
            last = found.pop()
            new = Found(
                stretch=_both(last.stretch, stretch),
                exact_hz=comb.exact_hz,
                harmonics=tuple(sorted({*last.harmonics, *comb.harmonics})),
                loud=tuple(sorted({*last.loud, *comb.loud})),
            )
        found.append(new)
    return tuple(found)


def without(samples: Samples, found: Sequence[Found]) -> Samples:
    """The same sound without the lines of loud hum, which an embedding takes for a part of the voice."""
    loud = [item for item in found if item.stretch.level_dbfs >= LOUD_DBFS]
    if not loud:
        return samples
    spectrum = np.fft.rfft(samples)
    per_hz = len(samples) / SAMPLE_RATE_HZ
    for item in loud:
        for number in item.loud:
            line_hz = number * item.exact_hz
            first, last = round((line_hz - ON_COMB_HZ) * per_hz), round((line_hz + ON_COMB_HZ) * per_hz) + 1
            middle = first + int(np.abs(spectrum[first:last]).argmax())  # over so long a time it is known much better
            width = round((NOTCH_HZ + NOTCH_SHARE * line_hz) * per_hz)
            spectrum[max(middle - width, 0) : middle + width + 1] = 0
    cleaned: Samples = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
    return cleaned


def joined(stretches: Sequence[corpora.Hum]) -> tuple[corpora.Hum, ...]:
    """Stretches in order, of windows that follow one another, with those that are near as one."""
    found: list[corpora.Hum] = []
    for stretch in stretches:
        found.append(_both(found.pop(), stretch) if found and _touch(found[-1], stretch) else stretch)
    return tuple(found)


def _touch(left: corpora.Hum, right: corpora.Hum) -> bool:
    return left.hz == right.hz and right.start_s - left.end_s < STEADY_FRAMES * HOP_S


def _both(left: corpora.Hum, right: corpora.Hum) -> corpora.Hum:
    level_dbfs = max(left.level_dbfs, right.level_dbfs)
    return corpora.Hum(start_s=left.start_s, end_s=right.end_s, hz=left.hz, level_dbfs=level_dbfs)


def _steady(samples: Samples) -> Iterator[tuple[float, Powers]]:
    """The start of each window, and the power [N] that each frequency does not fall below for most of it."""
    count = (len(samples) - FRAME_SAMPLES) // HOP_SAMPLES + 1
    if count < STEADY_FRAMES:
        return
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    scale = 2 / (FRAME_SAMPLES * float((_WINDOW.astype(np.float64) ** 2).sum()))
    powers = np.empty((len(frames), _BINS), np.float32)
    for index, frame in enumerate(frames):
        powers[index] = np.abs(np.fft.rfft(frame * _WINDOW)[:_BINS]) ** 2 * scale
    rank = STEADY_FRAMES * STEADY_PERCENTILE // 100
    for start in range(0, count - STEADY_FRAMES + 1, STEP_FRAMES):
        yield start * HOP_S, np.partition(powers[start : start + STEADY_FRAMES], rank, axis=0)[rank]


class _Comb(NamedTuple):
    mains_hz: float
    exact_hz: float
    level_dbfs: float
    harmonics: tuple[int, ...]
    loud: tuple[int, ...]


def _comb(powers: Powers) -> _Comb | None:
    """The hum in steady powers [N], None where there is none."""
    lines_hz, prominences_db = _lines(powers)
    low = (lines_hz < HUM_HZ) & (prominences_db >= PROMINENCE_DB)
    most, best = 0.0, (0.0, 0.0)
    for mains_hz in MAINS_HZ:
        for hz in mains_hz * np.linspace(1 - MOST_OFF, 1 + MOST_OFF, TRIED):
            on_comb = low & _on_comb(lines_hz, hz)
            score = float(prominences_db[on_comb].sum())
            if on_comb.sum() >= max(LEAST_LINES, LEAST_SHARE * low.sum()) and score > most:
                numbers = np.round(lines_hz[on_comb] / hz)
                exact_hz = float((lines_hz[on_comb] * numbers).sum() / (numbers**2).sum())  # least squares
                most, best = score, (mains_hz, exact_hz)
    if not most:
        return None
    mains_hz, exact_hz = best
    on_comb = _on_comb(lines_hz, exact_hz)
    found_hz = lines_hz[on_comb]
    places = np.round(found_hz / _BIN_HZ).astype(int)
    power = float(powers[places[:, None] + np.arange(-2, 3)].astype(np.float64).sum())  # a Hann window's main lobe
    level_dbfs = round(10 * float(np.log10(power + 1e-14)), 1)
    if level_dbfs < LEAST_DBFS:
        return None
    numbers = np.round(found_hz / exact_hz).astype(int)
    loud = numbers[prominences_db[on_comb] >= PROMINENCE_DB]
    return _Comb(mains_hz, exact_hz, level_dbfs, tuple(numbers.tolist()), tuple(loud.tolist()))


def _on_comb(lines_hz: Values, hz: float) -> npt.NDArray[np.bool_]:
    numbers = np.round(lines_hz / hz)
    on_comb: npt.NDArray[np.bool_] = (np.abs(lines_hz - hz * numbers) <= ON_COMB_HZ) & (numbers >= 1)
    return on_comb


def _lines(powers: Powers) -> tuple[Values, Values]:
    """The frequencies of the spectrum's peaks, and how far each stands above what lies around it in dB."""
    levels = 10 * np.log10(powers.astype(np.float64) + 1e-14)
    middle = levels[1:-1]
    peaks = np.flatnonzero((middle >= levels[:-2]) & (middle > levels[2:])) + 1
    peaks = peaks[(peaks >= 3) & (peaks < _BINS - AROUND[1])]
    offsets = np.arange(AROUND[0], AROUND[1] + 1)
    around = np.median(levels[np.abs(peaks[:, None] + np.concatenate([-offsets, offsets]))], axis=1)
    kept = levels[peaks] - around >= OF_COMB_DB
    peaks, prominences_db = peaks[kept], (levels[peaks] - around)[kept]
    before, at, after = levels[peaks - 1], levels[peaks], levels[peaks + 1]
    moved = 0.5 * (before - after) / (before - 2 * at + after)  # the top of the parabola through the three
    return (peaks + moved) * _BIN_HZ, prominences_db
