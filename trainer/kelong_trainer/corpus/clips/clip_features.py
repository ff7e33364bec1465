"""The files that features of clips lie in: one tensor each, written by the last two stages, read by the dataset.

Text features are kept per character, edges included, and spread over the phones when read: a quarter of the size.

C feature channels, N characters and two edges, T phones with blanks.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import safetensors
import safetensors.torch
import torch
from kelong_contract import corpora
from kelong_speech.text.utterance import Ids, Utterance
from torch import Tensor

TEXT = "text"
STYLE = "style"
DURATIONS = "durations"
_NAME = "features"


def encode(features: Tensor) -> bytes:
    """The file of a clip's text features [C, N], of its style [C] or of its durations [T]."""
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


def durations(path: pathlib.Path) -> Tensor:
    """Frames per phoneme [T]."""
    return safetensors.torch.load_file(path)[_NAME]


def ids(clip: corpora.Clip) -> Ids:
    """A clip's phonemes as the network takes them, with blanks."""
    utterance = Utterance.from_phones(
        written=clip.text,
        spoken=clip.spoken,
        phones=clip.phones,
        tones=clip.tones,
        word2ph=clip.word2ph,
        language_ids=clip.language_ids,
    )
    return utterance.ids()
