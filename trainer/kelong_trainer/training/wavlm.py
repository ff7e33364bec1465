"""What a WavLM hears in a sound: the hidden states that the generator's speech should share with recordings.

A frozen model of speech as a critic is StyleTTS 2's idea (Li et al. 2023); the model is WavLM (Chen et al. 2022). It is
configured by `model.sources.wavlm`; without it nothing of this exists and nothing is paid for it. transformers is
imported here, so this module is loaded by those who have such a source.

B batch, S samples, L hidden states, H their width, N WavLM frames (one each 20 ms).
"""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import torch
from kelong_speech import features
from torch import Tensor
from torchaudio import transforms

SAMPLE_RATE_HZ = 16_000  # what every WavLM was trained on


class Ears:
    """A frozen WavLM behind a resampler. No part of a training state: it never changes and is never saved.

    `identity` is the SHA-256 of its tensors and their names, whichever form of file they came from.
    """

    def __init__(self, model: Any, sample_rate_hz: int) -> None:
        self._model = model.eval().requires_grad_(False)
        self.identity = _digest(model)
        self._resample: Any = transforms.Resample(sample_rate_hz, SAMPLE_RATE_HZ).to(model.device)

    @classmethod
    def load(cls, folder: pathlib.Path, sample_rate_hz: int, device: torch.device) -> Ears:
        """Load from a folder with weights and config.json, for sound at a rate; raises `ModelSourceUnavailable`."""
        model = features.load_model(folder, "WavLM")
        if model.config.model_type != "wavlm":
            raise features.unavailable("WavLM", folder, f"it is a model of type {model.config.model_type}")
        return cls(model.to(device), sample_rate_hz)

    @property
    def states(self) -> int:
        """How many hidden states there are: one before the first layer and one after each."""
        return int(self._model.config.num_hidden_layers) + 1

    @property
    def channels(self) -> int:
        """Width of what is heard: all hidden states stacked, 13 x 768 = 9984 for WavLM base plus."""
        return self.states * int(self._model.config.hidden_size)

    def hear(self, sound: Tensor) -> Tensor:
        """Samples [B, 1, S] to the hidden states, stacked: [B, L x H, N]. A gradient passes to the sound alone."""
        at_its_rate = self._resample(sound.squeeze(1).float())
        heard = self._model(at_its_rate, output_hidden_states=True).hidden_states
        return torch.stack(heard, dim=1).transpose(2, 3).flatten(1, 2)


def _digest(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
