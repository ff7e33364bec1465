"""What training minimises: each loss a small function, and the two sums that the optimisers see.

The formulas are those of HiFi-GAN (Kong et al. 2020) and VITS (Kim et al. 2021); the weights those of ZH-Clap.

B batch, C channels, F frames, M segment frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from kelong_speech.synthesiser import Training
from torch import Tensor
from torch.nn import functional

from kelong_trainer.discriminators import Judgement


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each part of the generator's loss counts; what is not here counts once."""

    mel: float = 45.0
    feature_match: float = 2.0
    commitment: float = 1.0


def weights(profile: Literal["fixed", "as-original"]) -> Weights:
    """`as-original` leaves the commitment loss out, as ZH-Clap does (it computes it and forgets it)."""
    return Weights() if profile == "fixed" else Weights(commitment=0.0)


def judging(real: Judgement, made: Judgement) -> Tensor:
    """The judges' own loss: real should score 1, made 0 (least squares, Mao et al. 2017)."""
    parts = [((1 - score.float()) ** 2).mean() for score in real.scores]
    parts += [(score.float() ** 2).mean() for score in made.scores]
    return torch.stack(parts).sum()


def adversarial(made: Judgement) -> Tensor:
    """The generator wants its sound to score 1."""
    return torch.stack([((1 - score.float()) ** 2).mean() for score in made.scores]).sum()


def feature_match(real: Judgement, made: Judgement) -> Tensor:
    """How differently the judges see the two, summed over all their feature maps."""
    parts = [
        functional.l1_loss(seen.float(), wanted.float().detach())
        for made_maps, real_maps in zip(made.features, real.features, strict=True)
        for seen, wanted in zip(made_maps, real_maps, strict=True)
    ]
    return torch.stack(parts).sum()


def mel(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance of two log-mel spectrograms [B, bands, M]."""
    return functional.l1_loss(made, wanted)


def divergence(result: Training) -> Tensor:
    """KL divergence of the posterior from the text's prior, per frame (one draw for the expectation)."""
    log_prior = result.prior_log_deviation.float()
    gap = (result.latent_prior.float() - result.prior_mean.float()) ** 2 * torch.exp(-2 * log_prior)
    each = log_prior - result.posterior.log_deviation.float() - 0.5 + 0.5 * gap  # [B, C, F]
    mask = result.posterior.mask.float()
    return (each * mask).sum() / mask.sum()


def durations(result: Training) -> Tensor:
    """Both duration predictors' losses, per phoneme of the whole batch."""
    phones = result.prior.mask.float().sum(dim=(1, 2))  # [B]
    return ((result.duration_error + result.duration_nll) * phones).sum() / phones.sum()


@dataclass(frozen=True, kw_only=True)
class GeneratorLosses:
    """The parts of the generator's loss before weighing."""

    adversarial: Tensor
    feature_match: Tensor
    mel: Tensor
    divergence: Tensor
    durations: Tensor
    commitment: Tensor

    def total(self, weight: Weights) -> Tensor:
        """What the generator's optimiser minimises."""
        plain = self.adversarial + self.divergence + self.durations
        weighed = weight.feature_match * self.feature_match + weight.mel * self.mel
        return plain + weighed + weight.commitment * self.commitment
