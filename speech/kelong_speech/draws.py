"""What a training pass draws at random: a function of seed, step and clip, and of nothing else.

Neither the place of a clip in its batch nor the process that trains on it changes what is drawn for it, so that
training is the same on one process and on several, and goes on after a stop as if there had been none. Dropout is not
among it: its masks have no clip and come from torch's own generator.

B batch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_EVERYONE = "all clips"


def seed_of(*words: object) -> int:
    """63 bits that no two lists of words share but by chance."""
    digest = hashlib.sha256("\n".join(str(word) for word in words).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _alone(rows: Tensor) -> Tensor:
    return rows


class Draws:
    """The draws of one step for the clips of one batch, named by their digests, in the batch's order.

    Every draw has a name (`purpose`), so that none depends on which others are made. `together` gives the rows of all
    processes' items, in the whole batch's order, for those who learn from the batch as a whole: [B, ...] to
    [B of all, ...]; without it there is one process.
    """

    def __init__(
        self, seed: int, step: int, clips: Sequence[str], together: Callable[[Tensor], Tensor] = _alone
    ) -> None:
        self._seed, self._step, self._clips = seed, step, tuple(clips)
        self.together = together

    def __len__(self) -> int:
        """Items of the batch."""
        return len(self._clips)

    def normal(self, purpose: str, shapes: Sequence[tuple[int, ...]], like: Tensor) -> Tensor:
        """Standard normal values for each item in its own shape, zeros behind its ends: [B, *the largest shape].

        They are drawn on the device of `like`; CPU and GPU draw different numbers.
        """
        largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
        drawn = like.new_zeros(len(self._clips), *largest)
        generator = torch.Generator(like.device)
        for row, clip, shape in zip(drawn, self._clips, shapes, strict=True):
            generator.manual_seed(self._key(purpose, clip))
            own = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
            row[tuple(slice(size) for size in shape)] = own
        return drawn

    def uniform(self, purpose: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Values from 0 to 1, the same shape for each item: [B, *shape]."""
        drawn = like.new_empty(len(self._clips), *shape)
        generator = torch.Generator(like.device)
        for row, clip in zip(drawn, self._clips, strict=True):
            torch.rand(shape, generator=generator.manual_seed(self._key(purpose, clip)), out=row)
        return drawn

    def fractions(self, purpose: str) -> list[float]:
        """One number for each item, from 0 to below 1, without a tensor or a device: to choose or to leave out by."""
        return [math.ldexp(self._key(purpose, clip) >> 10, -53) for clip in self._clips]

    def common(self, purpose: str, device: torch.device) -> torch.Generator:
        """A generator for what is drawn once for the whole batch, equal in all processes."""
        return torch.Generator(device).manual_seed(self._key(purpose, _EVERYONE))

    def _key(self, purpose: str, clip: str) -> int:
        return seed_of(purpose, clip, self._step, self._seed)
