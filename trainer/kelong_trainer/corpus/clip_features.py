"""The files that encoder features of clips lie in: one tensor each, written by the features stage, read by the dataset.

Text features are kept per character, edges included, and spread over the phones when read: a quarter of the size.

C feature channels, N characters and two edges, T phones with blanks.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import safetensors
import safetensors.torch
import torch
from torch import Tensor

TEXT = "text"
STYLE = "style"
_NAME = "features"


def encode(features: Tensor) -> bytes:
    """The file of a clip's text features [C, N] or of its style [C]."""
    return safetensors.torch.save({_NAME: features.contiguous()})


def channels(path: pathlib.Path) -> int:
    """C, read from the file's header alone."""
    with safetensors.safe_open(path, framework="pt") as file:
        return int(file.get_slice(_NAME).get_shape()[0])


def text(path: pathlib.Path, word2ph: Sequence[int]) -> Tensor:
    """Text features [C, T]; `word2ph` counts the phones with blanks of each character (`Ids.word2ph`)."""
    kept = safetensors.torch.load_file(path)[_NAME]
    if kept.shape[1] != len(word2ph):
        raise ValueError(f"{path.name} has features for {kept.shape[1]} characters, the clip has {len(word2ph)}")
    return kept.repeat_interleave(torch.tensor(list(word2ph)), dim=1)


def style(path: pathlib.Path) -> Tensor:
    """A style vector [C]."""
    return safetensors.torch.load_file(path)[_NAME]
