"""A plain reading of how the usual slicer cuts, to have its clips beside ours on the same recordings.

Written from a description of openvpi's audio-slicer (MIT): levels of short frames against one absolute threshold,
silent runs of at least `min_interval_s` cut greedily from left to right, no longest length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from corpus.truth import Span


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The defaults of its command line."""

    threshold_dbfs: float = -40.0
    min_length_s: float = 5.0
    min_interval_s: float = 0.3
    hop_s: float = 0.01
    max_silence_kept_s: float = 0.5


DEFAULTS = Settings()


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Silent frames: the first, the one behind the last, and where the clips around it end and begin."""

    start: int
    end: int
    left: int
    right: int


def cut(samples: npt.NDArray[np.float32], rate_hz: int, settings: Settings = DEFAULTS) -> tuple[Span, ...]:
    """The clips of a recording, samples [S]."""
    hop = round(settings.hop_s * rate_hz)
    levels = _levels(samples, hop, min(round(settings.min_interval_s * rate_hz), 4 * hop))
    whole = Span(start_s=0.0, end_s=len(samples) / rate_hz)
    least, interval = round(settings.min_length_s / settings.hop_s), round(settings.min_interval_s / settings.hop_s)
    if len(levels) <= least:
        return (whole,)
    runs = _runs(levels, settings, least, interval)
    begins = [0, *(run.right for run in runs)]
    ends = [*(run.left for run in runs), len(levels)]
    spans = [
        (first * hop / rate_hz, min(end * hop / rate_hz, whole.end_s)) for first, end in zip(begins, ends, strict=True)
    ]
    return tuple(Span(start_s=start_s, end_s=end_s) for start_s, end_s in spans if end_s > start_s)


def _runs(levels: npt.NDArray[np.float64], settings: Settings, least: int, interval: int) -> list[_Run]:
    """The silent runs that it cuts at."""
    kept = round(settings.max_silence_kept_s / settings.hop_s)
    threshold = 10 ** (settings.threshold_dbfs / 20)
    runs: list[_Run] = []
    begun: int | None = None
    clip_start = 0
    for frame, level in enumerate(levels):
        if level < threshold:
            begun = frame if begun is None else begun
            continue
        if begun is not None:
            leading = begun == 0 and frame > kept
            if leading or (frame - begun >= interval and frame - clip_start >= least):
                runs.append(_places(levels, begun, frame, kept))
                clip_start = runs[-1].right
        begun = None
    if begun is not None and len(levels) - begun >= interval:
        end = min(len(levels), begun + kept)
        quietest = begun + int(levels[begun:end].argmin())
        runs.append(_Run(start=begun, end=len(levels), left=quietest, right=len(levels)))
    return runs


def _places(levels: npt.NDArray[np.float64], start: int, end: int, kept: int) -> _Run:
    """A run up to `kept` is cut once at its quietest; of a longer one `kept` stays at most on either side."""
    if start == 0:
        right = max(end - kept, 0) + int(levels[max(end - kept, 0) : end].argmin())
        return _Run(start=start, end=end, left=0, right=right)
    if end - start <= kept:
        quietest = start + int(levels[start:end].argmin())
        return _Run(start=start, end=end, left=quietest, right=quietest)
    left = start + int(levels[start : start + kept].argmin())
    right = end - kept + int(levels[end - kept : end].argmin())
    if end - start <= 2 * kept:
        middle = end - kept + int(levels[end - kept : start + kept].argmin())
        left, right = min(left, middle), max(right, middle)
    return _Run(start=start, end=end, left=left, right=max(right, left))


def _levels(samples: npt.NDArray[np.float32], hop: int, window: int) -> npt.NDArray[np.float64]:
    """Root mean square of each window, centred on its hop."""
    padded = np.pad(samples.astype(np.float64) ** 2, window // 2)
    total = np.concatenate([[0.0], np.cumsum(padded)])
    starts = np.arange(0, len(padded) - window + 1, hop)
    means: npt.NDArray[np.float64] = np.sqrt(np.maximum((total[starts + window] - total[starts]) / window, 0.0))
    return means
