"""Monotonic alignment search (Kim et al. 2020): which phoneme each frame of a recording belongs to.

Used in training only, on the CPU, without a gradient. The search is compiled by numba on first use and kept in
NUMBA_CACHE_DIR; the server never pays for it.

B batch, T phonemes, F frames, C channels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LOG_2PI = math.log(2 * math.pi)
_Search = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], None]


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


def search(scores: Tensor, phone_counts: Tensor, frame_counts: Tensor) -> Tensor:
    """Frames per phoneme [B, T] (int64, on the scores' device) of the best monotonic path through [B, F, T].

    Every phoneme gets at least one frame, in order; O(F x T) per item. Raises ValueError where an item has fewer frames
    than phonemes.
    """
    phones, frames = (counts.cpu().numpy().astype(np.int64) for counts in (phone_counts, frame_counts))
    for item, (phone_count, frame_count) in enumerate(zip(phones, frames, strict=True)):
        if frame_count < phone_count:
            raise ValueError(
                f"item {item} of the batch has {phone_count} symbols but only {frame_count} frames; every symbol "
                "needs one frame: leave such clips out of the corpus"
            )
    table = np.array(scores.detach().float().cpu().numpy(), order="C")  # a copy: the search writes into it
    durations = np.zeros((table.shape[0], table.shape[2]), dtype=np.int64)
    _compiled()(table, phones, frames, durations)
    return torch.from_numpy(durations).to(scores.device)


def expand(values: Tensor, durations: Tensor, frames: int) -> Tensor:
    """Repeat each phoneme's column over its frames: [B, C, T] and durations [B, T] to [B, C, frames], zero beyond."""
    ends = durations.cumsum(dim=1)  # [B, T]
    index = torch.arange(frames, device=values.device).expand(values.shape[0], -1).contiguous()
    owner = torch.searchsorted(ends, index, right=True)  # [B, frames]; T beyond the end
    inside = owner < values.shape[2]
    owner = owner.clamp_max(values.shape[2] - 1).unsqueeze(1).expand(-1, values.shape[1], -1)
    return values.gather(2, owner) * inside.unsqueeze(1).to(values.dtype)


def _search_batch(table: Any, phone_counts: Any, frame_counts: Any, durations: Any) -> None:
    """Fill `durations` [B, T]; `table` [B, F, T] of scores becomes the table of best sums. Compiled by numba."""
    for item in range(table.shape[0]):
        best = table[item]
        phones, frames = phone_counts[item], frame_counts[item]
        for frame in range(frames):
            # The band that leaves one frame for every phoneme still to come and was reachable so far.
            for phone in range(max(0, phones - frames + frame), min(phones, frame + 1)):
                stay = best[frame - 1, phone] if phone < frame else -np.inf
                step = best[frame - 1, phone - 1] if phone > 0 else -np.inf
                if frame > 0:
                    best[frame, phone] += max(stay, step)
        phone = phones - 1
        for frame in range(frames - 1, -1, -1):
            durations[item, phone] += 1
            if phone != 0 and (phone == frame or best[frame - 1, phone] < best[frame - 1, phone - 1]):
                phone -= 1


@functools.cache
def _compiled() -> _Search:
    import numba  # here, because importing it and its cache folder are for those who train

    compiled: _Search = numba.njit(nogil=True, cache=True)(_search_batch)
    return compiled
