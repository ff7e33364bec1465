"""Monotonic alignment search (Kim et al. 2020): which phoneme each frame of a recording belongs to.

Used in training only, on the CPU, without a gradient, item by item on threads beside what else is computed. The search
is compiled by numba on first use and kept in NUMBA_CACHE_DIR; the server never pays for it.

B batch, T phonemes, F frames, C channels.
"""

from __future__ import annotations

import concurrent.futures
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LOG_2PI = math.log(2 * math.pi)
_Search = Callable[[NDArray[np.float32], int, int, NDArray[np.int64]], None]


def log_likelihoods(latent: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Log N(latent frame; prior of phoneme), summed over channels: [B, C, F] and [B, C, T] to [B, F, T]."""
    precision = torch.exp(-2 * log_deviation)  # [B, C, T]
    constant = (-0.5 * _LOG_2PI - log_deviation - 0.5 * mean**2 * precision).sum(dim=1, keepdim=True)  # [B, 1, T]
    frames = latent.transpose(1, 2)  # [B, F, C]
    return constant + frames @ (mean * precision) + (-0.5 * frames**2) @ precision


def with_noise(scores: Tensor, phone_counts: Tensor, frame_counts: Tensor, scale: float, noise: Tensor) -> Tensor:
    """Scores plus normal noise as wide as each item's own scores, times `scale` (VITS2's noise-scaled search).

    The deviation is taken over the item's own positions, so that it does not depend on the rest of the batch.
    """
    frames = torch.arange(scores.shape[1], device=scores.device) < frame_counts.unsqueeze(1)  # [B, F]
    phones = torch.arange(scores.shape[2], device=scores.device) < phone_counts.unsqueeze(1)  # [B, T]
    inside = (frames.unsqueeze(2) & phones.unsqueeze(1)).to(scores.dtype)  # [B, F, T]
    count = inside.sum(dim=(1, 2), keepdim=True)
    mean = (scores * inside).sum(dim=(1, 2), keepdim=True) / count
    variance = (((scores - mean) * inside) ** 2).sum(dim=(1, 2), keepdim=True) / (count - 1).clamp_min(1)
    return scores + variance.sqrt() * noise * scale


class Search:
    """A search under way on threads of its own, so that what does not need its result need not wait for it.

    From a GPU the scores are copied once, while the GPU goes on; what is computed meanwhile hides the search. What is
    found does not depend on the number of threads.
    """

    def __init__(self, scores: Tensor, phone_counts: Sequence[int], frame_counts: Sequence[int]) -> None:
        for item, (phones, frames) in enumerate(zip(phone_counts, frame_counts, strict=True)):
            if frames < phones:
                raise ValueError(
                    f"item {item} of the batch has {phones} symbols but only {frames} frames; every symbol needs one "
                    "frame: leave such clips out of the corpus"
                )
        self._device = scores.device
        self._table, self._copied = _on_the_cpu(scores.detach().float())
        self._durations = torch.zeros(scores.shape[0], scores.shape[2], dtype=torch.int64)
        pool = _threads(torch.get_num_threads())
        longest_first = sorted(range(len(phone_counts)), key=lambda item: -phone_counts[item] * frame_counts[item])
        self._parts = [pool.submit(self._run, item, phone_counts[item], frame_counts[item]) for item in longest_first]

    def durations(self) -> Tensor:
        """Frames per phoneme [B, T] (int64, on the scores' device), once they are found."""
        for part in self._parts:
            part.result()
        return self._durations.to(self._device)

    def _run(self, item: int, phones: int, frames: int) -> None:
        if self._copied is not None:
            self._copied.synchronize()
        _compiled()(self._table[item].numpy(), phones, frames, self._durations[item].numpy())


def search(scores: Tensor, phone_counts: Tensor, frame_counts: Tensor) -> Tensor:
    """Frames per phoneme [B, T] (int64, on the scores' device) of the best monotonic path through [B, F, T].

    Every phoneme gets at least one frame, in order; O(F x T) per item. Raises ValueError where an item has fewer frames
    than phonemes.
    """
    return Search(scores, phone_counts.tolist(), frame_counts.tolist()).durations()


def expand(values: Tensor, durations: Tensor, frames: int) -> Tensor:
    """Repeat each phoneme's column over its frames: [B, C, T] and durations [B, T] to [B, C, frames], zero beyond."""
    ends = durations.cumsum(dim=1)  # [B, T]
    index = torch.arange(frames, device=values.device).expand(values.shape[0], -1).contiguous()
    owner = torch.searchsorted(ends, index, right=True)  # [B, frames]; T beyond the end
    inside = owner < values.shape[2]
    owner = owner.clamp_max(values.shape[2] - 1).unsqueeze(1).expand(-1, values.shape[1], -1)
    return values.gather(2, owner) * inside.unsqueeze(1).to(values.dtype)


def _on_the_cpu(scores: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """The scores in the CPU's memory, and what tells when they have come there; None if they are there."""
    if scores.device.type != "cuda":
        return scores.contiguous(), None
    copied = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
    copied.copy_(scores, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return copied, event


def _search_item(scores: Any, phones: int, frames: int, durations: Any) -> None:
    """Fill `durations` [T] from `scores` [F, T], which stay as they are. Compiled by numba.

    The loop over phonemes has no branch and none of its turns depends on the one before, so that it is compiled to
    vector instructions; the choices are made again on the way back, from the table of best sums.
    """
    best = np.full((frames, phones + 1), -np.inf, np.float32)  # column 0 is no phoneme
    best[0, 1] = scores[0, 0]
    for frame in range(1, frames):
        # The band that leaves one frame for every phoneme still to come and was reachable so far.
        low, high = max(0, phones - frames + frame), min(phones, frame + 1)
        stays, steps = best[frame - 1, low + 1 : high + 1], best[frame - 1, low:high]
        own, sums = scores[frame, low:high], best[frame, low + 1 : high + 1]
        for place in range(high - low):
            stay, step = stays[place], steps[place]
            sums[place] = own[place] + (step if stay < step else stay)
    phone = phones - 1
    for frame in range(frames - 1, -1, -1):
        durations[phone] += 1
        if phone != 0 and (phone == frame or best[frame - 1, phone + 1] < best[frame - 1, phone]):
            phone -= 1


@functools.cache
def _compiled() -> _Search:
    import numba  # here, because importing it and its cache folder are for those who train

    compiled: _Search = numba.njit(nogil=True, cache=True)(_search_item)
    return compiled


@functools.cache
def _threads(count: int) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(count, "alignment")
