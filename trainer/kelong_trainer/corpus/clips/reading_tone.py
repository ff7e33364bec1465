"""How much a clip sounds like reading aloud (朗读腔) rather than talking.

Called by the judge stage; a note, never a gate. No single cue decides (Laan, "The contribution of intonation, segmental
durations, and spectral features to the perception of a spontaneous and a read speaking style", Speech Communication 22,
1997). Readers range wider in pitch, let it fall steadily through each phrase, pause where marks are, do not hesitate
and keep their pace. Each cue becomes a figure from 0 (talking) to 1 (reading); the tone is their mean. The borders of
each are plausible for Mandarin, not fitted to listeners' judgements: compare clips of one voice by it, not voices.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr
from kelong_contract.corpora import Stretch, Word

from kelong_trainer.corpus.words import agreement, punctuation

VERSION = 1  # raise when the same clip would get another tone than before
RATE_HZ = 8000
FRAME_S, HOP_S = 0.05, 0.02
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
# YIN takes the first dip below this; of 0.1 to 0.2 its authors find little difference.
VOICED = 0.15
LEAST_VOICED_S = 1.0
LEAST_PHRASE_S = 0.8
LEAST_PAUSE_S = 0.15
LEAST_CUES = 2

# From talking to reading.
_RANGE_SEMITONES = (6.0, 14.0)
_FALL_SEMITONES_PER_S = (0.0, 4.0)
_PAUSES_AT_MARKS = (0.4, 1.0)
_FILLERS_PER_SYLLABLE = (0.05, 0.0)
_PACE_VARIATION = (0.35, 0.08)

_FILLERS = re.compile("嗯|呃|额|唔|那个|这个这个|就是说|然后呢|怎么说呢|对吧|是吧|我觉得吧|反正就是")

Samples = npt.NDArray[np.float32]
Pitches = npt.NDArray[np.float64]  # [F] Hz, NaN where nothing periodic is heard


@dataclass(frozen=True, kw_only=True)
class Cues:
    """What speaks for reading, each 0 to 1, None where the clip has too little to tell by."""

    pitch_range: float | None = None
    declination: float | None = None
    pauses_at_marks: float | None = None
    fluency: float | None = None
    steadiness: float | None = None


def tone(cues: Cues) -> float | None:
    """The mean of the cues that there are; None for fewer than two."""
    known = [value for value in dataclasses.astuple(cues) if value is not None]
    return round(statistics.fmean(known), 3) if len(known) >= LEAST_CUES else None


def cues(samples: Samples, rate_hz: int, speech: Sequence[Stretch], words: Sequence[Word]) -> Cues:
    """The cues of a clip [S]; times of its speech and words count from its first sample."""
    heard = pitches(samples, rate_hz)
    syllables = agreement.spoken(words)
    said = "".join(word.text for word in words)
    fillers = len(_FILLERS.findall(said)) / len(syllables) if syllables else None
    return Cues(
        pitch_range=_between(_range_semitones(heard), _RANGE_SEMITONES),
        declination=_between(_fall_semitones_per_s(heard, speech), _FALL_SEMITONES_PER_S),
        pauses_at_marks=_between(_share_at_marks(speech, words), _PAUSES_AT_MARKS),
        fluency=_between(fillers, _FILLERS_PER_SYLLABLE),
        steadiness=_between(_pace_variation(speech, syllables), _PACE_VARIATION),
    )


def pitches(samples: Samples, rate_hz: int) -> Pitches:
    """The fundamental frequency of each 20 ms.

    By YIN (de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", 2002), steps 2 to
    5: the difference function, divided by its mean so far; the first dip below a threshold; its place by a parabola.
    """
    sound = soxr.resample(samples, rate_hz, RATE_HZ).astype(np.float64)
    lags, window, hop = int(RATE_HZ / LOWEST_HZ) + 2, int(FRAME_S * RATE_HZ), int(HOP_S * RATE_HZ)
    if len(sound) < window + lags:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(sound, window + lags)[::hop]  # [F, window + lags]
    normal = _normalised_difference(frames, window, lags)
    first = int(RATE_HZ / HIGHEST_HZ)
    found = np.full(len(frames), np.nan)
    dips = (
        (normal[:, first : lags - 1] < VOICED)
        & (normal[:, first : lags - 1] <= normal[:, first + 1 : lags])
        & (normal[:, first : lags - 1] <= normal[:, first - 1 : lags - 2])
    )
    rows = np.flatnonzero(dips.any(axis=1))
    lag = first + dips[rows].argmax(axis=1)
    before, at, after = normal[rows, lag - 1], normal[rows, lag], normal[rows, lag + 1]
    curvature = before - 2 * at + after
    shift = np.where(curvature > 0, (before - after) / (2 * np.maximum(curvature, 1e-12)), 0.0)
    found[rows] = RATE_HZ / (lag + shift)
    return found


def _normalised_difference(frames: npt.NDArray[np.float64], window: int, lags: int) -> npt.NDArray[np.float64]:
    """YIN's d' of each frame [F, lags]; silent frames are 1 everywhere."""
    length = 1 << (window + lags).bit_length()
    spectrum = np.fft.rfft(frames, length)
    kernel = np.fft.rfft(frames[:, :window], length)
    products = np.fft.irfft(spectrum * kernel.conj(), length)[:, :lags]
    sums = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    powers = sums[:, window : window + lags] - sums[:, :lags]
    difference = np.maximum(powers[:, :1] + powers - 2 * products, 0.0)
    means = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, lags)
    normal = np.ones_like(difference)
    audible = means > 1e-9
    normal[:, 1:][audible] = difference[:, 1:][audible] / means[audible]
    return normal


def _range_semitones(heard: Pitches) -> float | None:
    voiced = heard[~np.isnan(heard)]
    if len(voiced) * HOP_S < LEAST_VOICED_S:
        return None
    low, high = np.percentile(voiced, [5, 95])
    return float(12 * np.log2(high / low))


def _fall_semitones_per_s(heard: Pitches, speech: Sequence[Stretch]) -> float | None:
    """How fast the pitch falls in a phrase: the mean over phrases, weighed by their length."""
    slopes, weights = [], []
    for stretch in speech:
        first, last = max(round(stretch.start_s / HOP_S), 0), round(stretch.end_s / HOP_S)
        part = heard[first:last]
        times = np.flatnonzero(~np.isnan(part)) * HOP_S
        if stretch.end_s - stretch.start_s < LEAST_PHRASE_S or len(times) * HOP_S < LEAST_PHRASE_S / 2:
            continue
        slopes.append(float(np.polyfit(times, 12 * np.log2(part[~np.isnan(part)]), 1)[0]))
        weights.append(stretch.end_s - stretch.start_s)
    return -float(np.average(slopes, weights=weights)) if slopes else None


def _share_at_marks(speech: Sequence[Stretch], words: Sequence[Word]) -> float | None:
    """Of the pauses, those at the boundary of words that has a mark."""
    boundaries = [
        ((left.end_s + right.start_s) / 2, punctuation.is_marked(left)) for left, right in itertools.pairwise(words)
    ]
    pauses = [
        (left.end_s + right.start_s) / 2
        for left, right in itertools.pairwise(speech)
        if right.start_s - left.end_s >= LEAST_PAUSE_S
    ]
    if not pauses or not boundaries:
        return None
    return statistics.fmean(
        any(marked for boundary_s, marked in boundaries if abs(boundary_s - pause_s) <= punctuation.REACH_S)
        for pause_s in pauses
    )


def _pace_variation(speech: Sequence[Stretch], syllables: Sequence[agreement.Spoken]) -> float | None:
    """How much the rate of syllables varies between phrases: standard deviation over mean."""
    rates = []
    for stretch in speech:
        length_s = stretch.end_s - stretch.start_s
        inside = [item for item in syllables if stretch.start_s <= (item.start_s + item.end_s) / 2 < stretch.end_s]
        if length_s >= LEAST_PHRASE_S and inside:
            rates.append(len(inside) / length_s)
    return statistics.pstdev(rates) / statistics.fmean(rates) if len(rates) > 1 else None


def _between(value: float | None, borders: tuple[float, float]) -> float | None:
    """0 at the first border and beyond, 1 at the second."""
    return None if value is None else min(max((value - borders[0]) / (borders[1] - borders[0]), 0.0), 1.0)
