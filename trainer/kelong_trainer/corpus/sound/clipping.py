"""How much of a recording is clipped, and in which of its seconds, told from the samples as the file holds them.

Decoding resamples, and that smears flat tops: whoever looks at a clip afterwards no longer finds them. So the decoder
looks as the sound goes by; memory does not grow with its length but for one entry a second.

Shapes: C channels, S samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from kelong_contract import corpora

from kelong_trainer.corpus.sound import flagged, media

SECOND_S = 1.0
# Samples in a row at the extreme are a flat top from this many on; a wave's own top has fewer of them there.
FLAT_SAMPLES = 3
SAME_LEVEL = 5e-5
# A second whose extreme is lower was turned down very far, or is silence.
LEAST_LEVEL = 0.1
# Below full scale only several tops at one level tell: a single one may be a wave's own, in coarse steps.
FULL_SCALE = 0.98
LEAST_TOPS = 4


class Meter:
    """Counts samples in flat tops, second by second.

    A second has a flat top where its samples stand at its own extreme, three and more in a row, for each channel and
    sign by itself: a recording that was clipped and then turned down, wholly or in part, is still clipped. What a lossy
    coder made of clipped sound is no longer at one level and is not counted.
    """

    def __init__(self) -> None:
        self._rate_hz = 0
        self._waiting: list[media.Samples] = []
        self._waiting_samples = 0
        self._samples = self._clipped = 0
        self._ended_s = 0.0
        self._found: list[corpora.ClippedStretch] = []

    def add(self, block: media.Block) -> None:
        """What goes by next: only the channels that are used."""
        if self._waiting and (block.rate_hz, len(block.samples)) != (self._rate_hz, len(self._waiting[0])):
            self._look(np.concatenate(self._waiting, axis=1))
        self._rate_hz = block.rate_hz
        self._waiting.append(block.samples)
        self._waiting_samples += block.samples.shape[1]
        second = round(self._rate_hz * SECOND_S)
        if self._waiting_samples >= second:
            joined = np.concatenate(self._waiting, axis=1)
            whole = joined.shape[1] // second * second
            for start in range(0, whole, second):
                self._look(joined[:, start : start + second])
            self._waiting, self._waiting_samples = [joined[:, whole:]], joined.shape[1] - whole

    def finish(self) -> None:
        """Nothing follows: what is left over is a second of its own length."""
        if self._waiting_samples:
            self._look(np.concatenate(self._waiting, axis=1))

    def _look(self, samples: media.Samples) -> None:
        """One second [C, S]."""
        self._waiting, self._waiting_samples = [], 0
        count = samples.shape[1]
        clipped = max(_clipped(channel, 1) + _clipped(channel, -1) for channel in samples)
        start_s, self._ended_s = self._ended_s, self._ended_s + count / self._rate_hz
        self._samples += count
        self._clipped += clipped
        if clipped:
            self._found.append(
                corpora.ClippedStretch(
                    start_s=round(start_s, 6), end_s=round(self._ended_s, 6), share=round(clipped / count, 6)
                )
            )

    @property
    def share(self) -> float:
        """Of all samples, in each second those of its most clipped channel."""
        return self._clipped / self._samples if self._samples else 0.0

    @property
    def stretches(self) -> tuple[corpora.ClippedStretch, ...]:
        """The seconds that hold flat tops; times count from the start of the sound."""
        return tuple(self._found)


def _clipped(samples: npt.NDArray[np.float32], sign: int) -> int:
    """How many of one channel's samples [S] are in flat tops above (1) or below (-1)."""
    extreme = float(samples.max()) if sign > 0 else -float(samples.min())
    if extreme < LEAST_LEVEL:
        return 0
    bound = extreme * (1 - SAME_LEVEL)
    at_extreme = samples >= bound if sign > 0 else samples <= -bound
    if np.count_nonzero(at_extreme) < FLAT_SAMPLES:
        return 0
    starts, ends = flagged.runs(at_extreme)
    lengths = ends - starts
    tops = lengths[lengths >= FLAT_SAMPLES]
    return int(tops.sum()) if len(tops) >= (1 if extreme >= FULL_SCALE else LEAST_TOPS) else 0
