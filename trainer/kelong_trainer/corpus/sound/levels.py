"""How loud a sound is and how high its peaks go, measured as it goes by."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import soxr

from kelong_trainer.corpus.sound import media

BLOCK_S = 0.1
OVERSAMPLING = 4
# How far speech and music rise between two samples: 3 dB is a tone at a quarter of the rate, sampled at its flanks.
MOST_BETWEEN_SAMPLES = 2.0
EDGE_SAMPLES = 64  # what of the block before is oversampled again, so that a peak at the seam is seen
NO_LOUDNESS_LUFS = -70.0  # what FFmpeg says where every block is below BS.1770's absolute gate


class Meter:
    """Loudness, true peak and the loudest tenth of a second of mono sound at one rate.

    Integrated loudness is ITU-R BS.1770's with its two gates, by FFmpeg's ebur128 filter, which keeps a histogram and
    so needs no more memory for longer sounds. True peak is that of the sound four times oversampled (annex 2 there).
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._samples = 0
        self._block_samples = round(rate_hz * BLOCK_S)
        self._rest = np.zeros(0, np.float32)
        self._loudest = self._peak = self._true_peak = 0.0
        self._lufs = NO_LOUDNESS_LUFS
        self._edge = np.zeros(EDGE_SAMPLES, np.float32)
        self._graph = av.filter.Graph()
        entry = self._graph.add_abuffer(
            sample_rate=rate_hz, format="fltp", layout="mono", time_base=Fraction(1, rate_hz)
        )
        loudness = self._graph.add("ebur128", "metadata=1:framelog=quiet")
        entry.link_to(loudness)
        loudness.link_to(self._graph.add("abuffersink"))
        self._graph.configure()

    def add(self, samples: media.Samples) -> None:
        """What goes by next, [S]."""
        if not samples.size:
            return
        self._peak = max(self._peak, float(np.abs(samples).max()))
        self._note_true_peak(samples)
        self._note_loudest(samples)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[np.newaxis]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, self._samples, Fraction(1, self._rate_hz)
        self._samples += len(samples)
        self._graph.push(frame)
        self._read_loudness()

    def finish(self) -> None:
        """Nothing follows: what the filter holds back is measured too."""
        self._note_true_peak(np.zeros(EDGE_SAMPLES, np.float32))
        self._graph.push(None)
        self._read_loudness()

    def _read_loudness(self) -> None:
        while True:
            try:
                told = self._graph.pull().metadata.get("lavfi.r128.I")
            except (av.BlockingIOError, av.EOFError):  # it wants more, or has told all
                return
            if told is not None:  # a last frame of less than 100 ms says nothing
                self._lufs = float(told)

    def _note_true_peak(self, samples: media.Samples) -> None:
        """Only where the samples come near enough to the highest peak so far for one between them to exceed it."""
        joined = np.concatenate([self._edge, samples])
        if float(np.abs(joined).max()) * MOST_BETWEEN_SAMPLES > self._true_peak:
            oversampled = soxr.resample(joined, self._rate_hz, OVERSAMPLING * self._rate_hz, quality="HQ")
            margin = OVERSAMPLING * EDGE_SAMPLES // 2  # where the cut itself rings
            self._true_peak = max(self._true_peak, float(np.abs(oversampled[margin:-margin]).max(initial=0.0)))
        self._edge = joined[-EDGE_SAMPLES:]

    def _note_loudest(self, samples: media.Samples) -> None:
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // self._block_samples * self._block_samples
        if whole:
            powers = (joined[:whole].reshape(-1, self._block_samples).astype(np.float64) ** 2).mean(axis=1)
            self._loudest = max(self._loudest, float(powers.max()))
        self._rest = joined[whole:]

    @property
    def peak(self) -> float:
        """The greatest sample, as an amplitude."""
        return self._peak

    @property
    def loudness_lufs(self) -> float | None:
        """Integrated loudness so far; None where nothing is above BS.1770's absolute gate."""
        return self._lufs if self._lufs > NO_LOUDNESS_LUFS else None

    @property
    def true_peak_dbfs(self) -> float:
        """The greatest value between and at the samples."""
        return float(20 * np.log10(max(self._true_peak, self._peak, 1e-6)))

    @property
    def loudest_dbfs(self) -> float:
        """The level of the loudest tenth of a second, of whole ones."""
        return float(10 * np.log10(max(self._loudest, 1e-12)))
