"""One training step as the papers tell it (VITS, Kim et al. 2021): forward, the judges' step, the generator's step.

Each network is asked whenever a loss wants it, and AdamW walks over the tensors one by one.

B batch, T phonemes, F frames, S samples, C latent channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from kelong_speech import audio
from kelong_speech.config import VoiceConfig
from numpy.typing import NDArray
from plain import generator, judges
from plain.generator import Text, Weights
from torch import Tensor
from torch.nn import functional

DROPOUT = 0.1
DURATION_DROPOUT = 0.5


@dataclass(frozen=True)
class Clips:
    """Clips of equal length: what is said, and samples [B, 1, S]."""

    text: Text
    samples: Tensor


class Trainer:
    """Two networks as tables of tensors, and their optimisers."""

    def __init__(self, made: Weights, judging: Weights, config: VoiceConfig) -> None:
        self.config = config
        self.made = {name: _learnable(name, tensor) for name, tensor in made.items()}
        self.judging = {name: _learnable(name, tensor) for name, tensor in judging.items()}
        self.optimisers = [
            torch.optim.AdamW(
                [tensor for tensor in table.values() if tensor.requires_grad],
                lr=2e-4,
                betas=(0.8, 0.99),
                eps=1e-9,
                foreach=False,
            )
            for table in (self.judging, self.made)
        ]

    def step(self, clips: Clips) -> dict[str, float]:
        """Train once on the clips; the losses before weighing."""
        sound, model = self.config.audio, self.config.model
        spectrogram = audio.linear_spectrogram(clips.samples[:, 0], sound)
        batch, _, frames = spectrogram.shape
        w, text = self.made, clips.text
        speaker = w["emb_g.weight"][text.speaker].unsqueeze(2)
        hidden, mean, log_deviation = generator.text_encoder(w, text, speaker, model, DROPOUT)
        noise = torch.randn(batch, model.latent_channels, frames)
        z, _, posterior_log_deviation = generator.posterior(w, spectrogram, speaker, noise, model)
        z_prior = generator.flow(w, z, speaker, model, reverse=False, dropout=DROPOUT)
        durations = self._align(z_prior, mean, log_deviation)  # [B, T]

        spoken = durations.unsqueeze(1).float()
        draw = torch.randn(batch, 2, spoken.shape[2])
        fixed, who = hidden.detach(), speaker.detach()
        nll = generator.duration_likelihood(w, fixed, who, spoken, draw, model, DURATION_DROPOUT)
        error = (generator.duration_predictor(w, fixed, who, DURATION_DROPOUT) - torch.log(spoken + 1e-6)) ** 2
        owner = torch.stack([torch.repeat_interleave(torch.arange(spoken.shape[2]), row) for row in durations])
        prior_mean = mean.gather(2, owner.unsqueeze(1).expand(-1, model.latent_channels, -1))
        prior_log = log_deviation.gather(2, owner.unsqueeze(1).expand(-1, model.latent_channels, -1))

        starts = torch.randint(frames - model.segment_frames, (batch,))
        pieces = [z[item, :, start : start + model.segment_frames] for item, start in enumerate(starts)]
        made = generator.decoder(w, torch.stack(pieces), speaker, model)
        hop, length = sound.hop_samples, model.segment_frames * sound.hop_samples
        real = torch.stack(
            [clips.samples[item, :, start * hop : start * hop + length] for item, start in enumerate(starts)]
        )

        scores_real, _ = judges.judge(self.judging, real)
        scores_made, _ = judges.judge(self.judging, made.detach())
        judging = _sum((1 - score) ** 2 for score in scores_real) + _sum(score**2 for score in scores_made)
        self._descend(0, judging, 200.0)

        scores_made, maps_made = judges.judge(self.judging, made)
        _, maps_real = judges.judge(self.judging, real)
        wanted = torch.stack(
            [spectrogram[item, :, start : start + model.segment_frames] for item, start in enumerate(starts)]
        )
        losses = {
            "adversarial": _sum((1 - score) ** 2 for score in scores_made),
            "feature_match": _sum(
                (a - b.detach()).abs()
                for x, y in zip(maps_made, maps_real, strict=True)
                for a, b in zip(x, y, strict=True)
            ),
            "mel": functional.l1_loss(
                audio.log_mel(audio.linear_spectrogram(made[:, 0], sound), sound), audio.log_mel(wanted, sound)
            ),
            "divergence": (
                prior_log
                - posterior_log_deviation
                - 0.5
                + 0.5 * (z_prior - prior_mean) ** 2 * torch.exp(-2 * prior_log)
            ).sum()
            / (batch * frames),
            "durations": ((error.sum(dim=(1, 2)) + nll) / spoken.shape[2]).mean(),
        }
        total = losses["adversarial"] + 2 * losses["feature_match"] + 45 * losses["mel"]
        self._descend(1, total + losses["divergence"] + losses["durations"], 500.0)
        return {name: value.item() for name, value in {"discriminators": judging, **losses}.items()}

    def _align(self, z: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
        """The search over log N(z; mean, deviation) [B, F, T]: frames per phoneme [B, T]."""
        with torch.no_grad():
            precision = torch.exp(-2 * log_deviation)  # [B, C, T]
            constant = (-0.5 * math.log(2 * math.pi) - log_deviation - 0.5 * mean**2 * precision).sum(
                dim=1, keepdim=True
            )
            frames = z.transpose(1, 2)
            scores = constant + frames @ (mean * precision) - 0.5 * frames**2 @ precision
        return torch.stack([torch.from_numpy(align(item.numpy())) for item in scores])

    def _descend(self, which: int, loss: Tensor, largest_norm: float) -> None:
        optimiser = self.optimisers[which]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, largest_norm)
        optimiser.step()


def align(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Monotonic alignment search (Kim et al. 2020) row by row: scores [F, T] to frames per phoneme [T]."""
    frames, phones = scores.shape
    best = np.full((frames, phones), -np.inf, dtype=np.float32)
    best[0, 0] = scores[0, 0]
    for frame in range(1, frames):
        stepped = np.concatenate([[-np.inf], best[frame - 1, :-1]]).astype(np.float32)
        best[frame] = scores[frame] + np.maximum(best[frame - 1], stepped)
    durations, phone = np.zeros(phones, dtype=np.int64), phones - 1
    for frame in range(frames - 1, -1, -1):
        durations[phone] += 1
        if phone and (phone == frame or best[frame - 1, phone] < best[frame - 1, phone - 1]):
            phone -= 1
    return durations


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack([part.mean() for part in parts]).sum()


def _learnable(name: str, tensor: Tensor) -> Tensor:
    """Codebooks follow averages of their own; all else learns by descent."""
    return tensor.clone() if "_codebook" in name else tensor.clone().requires_grad_()
