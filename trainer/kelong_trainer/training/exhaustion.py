"""Which errors say that memory is exhausted."""

from __future__ import annotations

import torch

# How a CPU's allocator, the GPU's libraries and oneDNN say so, where they raise RuntimeErrors. oneDNN has but one
# sentence for whatever hinders it: of shapes and types that are computed elsewhere too, it is the memory for its code.
_SAYINGS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "alloc_failed",
    "could not create a primitive",
    "could not create a memory",
)


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error).lower() for saying in _SAYINGS)
