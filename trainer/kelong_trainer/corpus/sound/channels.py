"""Which of a file's channels to use: by level, by how far speech stands above the quiet, and by correlation.

Plain averaging cancels channels out of phase, combs channels that hear the same voice at different times, and adds the
hiss of a dead one. Called by decoding with the whole file, block by block; memory does not grow with its length.

Shapes: C channels, B windows, N samples of a window, K frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kelong_trainer.corpus.sound import media

# A file is written by what its beginning speaks for, and once more if the whole of it says otherwise.
GUESS_S = 60.0
# Levels are taken in the band of speech, which leaves out offsets, most hum, and hiss above.
BAND_HZ = (100.0, 8000.0)
WINDOW_S = 0.09
# All windows of the first minute or so are looked at, of what follows one in four.
ALL_WINDOWS, AFTERWARDS_ONE_IN = 700, 4
# The level of speech and of the quiet between: how loud the loudest and the quietest of a channel's windows are.
LOUD_SHARE, QUIET_SHARE = 0.95, 0.05
QUIETEST_DBFS = -80.0  # digital silence is not better than the quiet of a good room
# A channel is of use if its speech is at most so much quieter than the best one's and no worse above the quiet.
MOST_BELOW_LOUDEST_DB = 20.0
MOST_WORSE_DB = 8.0  # the average of two then loses at most 2 dB against the better
# The average of two may lose this much against the louder: two independent channels lose 3 dB, those out of phase all.
MOST_LOST_IN_MIX_DB = 5.0
# Two microphones apart: what they share is shifted in time. 0.05 ms puts the first hole of the sum at 10 kHz.
SHORTEST_DELAY_S, LONGEST_DELAY_S = 0.00005, 0.02
LEAST_DELAYED = 0.15
LEAST_DELAYED_TO_DIRECT = 1.5

_HISTOGRAM_DBFS = np.arange(-140.0, 130.0, 0.25)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The channels whose average is used."""

    channels: tuple[int, ...]
    of: int

    @property
    def name(self) -> str:
        """As `corpora.Sound.channel` tells it."""
        return "mix" if len(self.channels) == self.of > 1 else "+".join(map(str, self.channels))

    def mono(self, samples: media.Samples) -> media.Samples:
        """The average of the chosen channels of [C, S]; of all, where a file changes to fewer on the way."""
        there = [channel for channel in self.channels if channel < len(samples)] or list(range(len(samples)))
        mixed: media.Samples = samples[there[0]] if len(there) == 1 else samples[there].mean(axis=0, dtype=np.float32)
        return mixed


@dataclass(frozen=True, kw_only=True)
class Level:
    """A channel's loud windows (speech, if there is any) and its quiet ones."""

    loud_dbfs: float
    quiet_dbfs: float

    @property
    def range_db(self) -> float:
        """How far speech stands above the quiet: hiss and hum alone have next to none."""
        return self.loud_dbfs - max(self.quiet_dbfs, QUIETEST_DBFS)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The first two channels together.

    `lost_db` is how much weaker their average is than the louder. `direct` and `delayed` are the heights of the
    correlation of the whitened channels (0 to 1) at no delay and at the best one.
    """

    lost_db: float
    direct: float
    delayed: float


class Ear:
    """Listens to a file that goes by, and says which of its channels to use; one that begins in mono has one."""

    def __init__(self) -> None:
        self._meter: _Meter | None = None
        self._is_mono = False

    def add(self, block: media.Block) -> None:
        """What goes by next."""
        if self._meter is None and not self._is_mono:
            self._is_mono = len(block.samples) == 1
            self._meter = None if self._is_mono else _Meter(block.rate_hz, len(block.samples))
        # A joined stream may change its rate or channels: the first part of it decides.
        if self._meter is not None and self._meter.fits(block):
            self._meter.add(block.samples)

    @property
    def is_mono(self) -> bool:
        """Whether there is nothing to choose."""
        return self._is_mono

    def choice(self, places: tuple[str, ...]) -> Choice:
        """The channels to use of what has gone by; `places` are their names. Nothing can be added afterwards."""
        if self._meter is None:
            return Choice(channels=(0,), of=1)
        return decide(self._meter.levels(), self._meter.pair(), places)


def guess(reader: media.Readable) -> Choice:
    """What the first GUESS_S of a file speak for; raises Undecodable."""
    ear, heard_s = Ear(), 0.0
    for block in reader.blocks():
        ear.add(block)
        heard_s += block.samples.shape[1] / block.rate_hz
        if ear.is_mono or heard_s >= GUESS_S:
            break
    return ear.choice(reader.places)


def decide(levels: tuple[Level, ...], pair: Pair, places: tuple[str, ...]) -> Choice:
    """The rules, on what was measured of each channel and of the first two.

    One channel alone if only it is of use. Of more than two the centre, where films have their speech; without it the
    pair in front if it is one, and else the best alone: more than two microphones are never in step.
    """
    count = len(levels)
    useful = [index for index in _useful(levels) if index >= len(places) or places[index] != "LFE"]
    useful = useful or list(range(count))
    best = max(useful, key=lambda index: (round(levels[index].range_db / 3), levels[index].loud_dbfs))
    centre = [index for index in useful if index < len(places) and places[index] == "FC"]
    alone = Choice(channels=(centre[0] if count > 2 and centre else best,), of=count)
    in_front = count == 2 or (not centre and places[:2] == ("FL", "FR"))
    if len(useful) < 2 or not in_front or not {0, 1} <= set(useful) or not _may_be_mixed(pair):
        return alone
    return Choice(channels=(0, 1), of=count)


def _useful(levels: tuple[Level, ...]) -> list[int]:
    best_range_db = max(level.range_db for level in levels)
    clear = [index for index, level in enumerate(levels) if level.range_db >= best_range_db - MOST_WORSE_DB]
    loudest_dbfs = max(levels[index].loud_dbfs for index in clear)
    return [index for index in clear if levels[index].loud_dbfs >= loudest_dbfs - MOST_BELOW_LOUDEST_DB]


def _may_be_mixed(pair: Pair) -> bool:
    apart = pair.delayed >= LEAST_DELAYED and pair.delayed >= LEAST_DELAYED_TO_DIRECT * pair.direct
    return not (apart or pair.lost_db > MOST_LOST_IN_MIX_DB)


class _Meter:
    """Levels of two and more channels that go by, and the correlation of the first two."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz, self._channels = rate_hz, channels
        self._window_samples = max(64, 1 << round(np.log2(rate_hz * WINDOW_S)))
        self._window = np.hanning(self._window_samples).astype(np.float32)
        frequencies = np.fft.rfftfreq(self._window_samples, 1 / rate_hz)
        self._band = (frequencies >= BAND_HZ[0]) & (frequencies <= BAND_HZ[1])
        self._rest = np.zeros((channels, 0), np.float32)
        self._histograms = np.zeros((channels, len(_HISTOGRAM_DBFS)), np.int64)
        self._own = np.zeros((2, int(self._band.sum())))
        self._cross = np.zeros(int(self._band.sum()), np.complex128)

    def fits(self, block: media.Block) -> bool:
        return block.rate_hz == self._rate_hz and len(block.samples) == self._channels

    def add(self, samples: media.Samples) -> None:
        joined = np.concatenate([self._rest, samples], axis=1)
        windows = joined.shape[1] // self._window_samples
        whole = windows * self._window_samples
        self._rest = joined[:, whole:]
        if windows:
            step = AFTERWARDS_ONE_IN if int(self._histograms[0].sum()) >= ALL_WINDOWS else 1
            self._listen(joined[:, :whole].reshape(self._channels, windows, self._window_samples)[:, ::step])

    def _listen(self, windows: media.Samples) -> None:
        spectra = np.fft.rfft(windows * self._window, axis=2)[:, :, self._band]  # [C, B, K]
        squares = spectra.real.astype(np.float64) ** 2 + spectra.imag.astype(np.float64) ** 2
        scale = 2 / (self._window_samples * float((self._window.astype(np.float64) ** 2).sum()))
        powers = scale * squares.sum(axis=2)  # [C, B]: mean squares
        places = np.digitize(10 * np.log10(np.maximum(powers, 1e-14)), _HISTOGRAM_DBFS) - 1
        for histogram, found in zip(self._histograms, places, strict=True):
            histogram += np.bincount(np.clip(found, 0, None), minlength=len(histogram))
        self._own += squares[:2].sum(axis=1)
        self._cross += (spectra[0] * spectra[1].conj()).sum(axis=0)

    def _finish(self) -> None:
        """A file shorter than a window is one window, filled up with silence."""
        if not self._histograms.any():
            short = self._window_samples - self._rest.shape[1]
            self._listen(np.pad(self._rest, ((0, 0), (0, short)))[:, np.newaxis])

    def levels(self) -> tuple[Level, ...]:
        self._finish()
        return tuple(_level(histogram) for histogram in self._histograms)

    def pair(self) -> Pair:
        self._finish()
        loudest = float(self._own.sum(axis=1).max())
        mixed = float((self._own.sum() + 2 * self._cross.sum().real) / 4)  # |a + b|² / 4
        direct, delayed = self._correlation()
        return Pair(
            lost_db=float(10 * np.log10(max(loudest, 1e-12) / max(mixed, 1e-12))), direct=direct, delayed=delayed
        )

    def _correlation(self) -> tuple[float, float]:
        """Heights of the whitened cross-correlation without delay, and at the best delay that would be heard."""
        coherence = self._cross / np.sqrt(np.maximum(self._own[0] * self._own[1], 1e-24))
        spectrum = np.zeros(len(self._band), np.complex128)
        spectrum[self._band] = coherence
        heights = np.abs(np.fft.irfft(spectrum)) * self._window_samples / (2 * max(1, int(self._band.sum())))
        lags = np.minimum(np.arange(len(heights)), len(heights) - np.arange(len(heights))) / self._rate_hz
        audible = (lags >= max(SHORTEST_DELAY_S, 1 / self._rate_hz)) & (lags <= LONGEST_DELAY_S)
        return float(heights[~audible & (lags < LONGEST_DELAY_S)].max()), float(heights[audible].max())


def _level(histogram: npt.NDArray[np.int64]) -> Level:
    counted = np.cumsum(histogram)

    def at(share: float) -> float:
        return float(_HISTOGRAM_DBFS[int(np.searchsorted(counted, share * counted[-1]))])

    return Level(loud_dbfs=at(LOUD_SHARE), quiet_dbfs=at(QUIET_SHARE))
