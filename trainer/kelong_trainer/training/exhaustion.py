"""Which errors say that memory is exhausted."""

from __future__ import annotations

import torch

# How a CPU's allocator, oneDNN and the GPU's libraries say so, where they raise RuntimeErrors.
_SAYINGS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "alloc_failed")


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error).lower() for saying in _SAYINGS)
