"""What training minimises: each loss a small function, and the weighted sum that the generator sees.

The formulas are those of HiFi-GAN (Kong et al. 2020), VITS (Kim et al. 2021), VITS2 (Kong et al. 2023) and StyleTTS 2
(Li et al. 2023); their weights are in the order (`orders.LossWeights`, whose fields name them).

A loss is a mean over the batch of all ranks; what is computed here is a rank's contribution to it (`ranks.Part`). With
one process that is the mean itself. Padding changes none of them but the durations' scores as the original takes them.

B batch, C channels, F frames, M segment frames, T phonemes, N WavLM frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from kelong_contract.orders import LossWeights
from kelong_speech import audio
from kelong_speech.config import AudioConfig, VoiceConfig
from kelong_speech.synthesiser import Lessons, Training
from torch import Tensor
from torch.nn import functional

from kelong_trainer.training.discriminators import Judgement
from kelong_trainer.training.ranks import Part

FURTHER_WINDOWS = ((512, 40), (2048, 120))  # samples and mel bands


def weights(ordered: LossWeights, profile: Literal["fixed", "as-original"], *, judges_durations: bool) -> LossWeights:
    """The weights in effect. `as-original` computes some losses and forgets to add them, as ZH-Clap does.

    There the commitment loss is never added, and what a WavLM hears only where durations are judged too.
    """
    if profile == "fixed":
        return ordered
    if judges_durations:
        return dataclasses.replace(ordered, commitment=0.0)
    return dataclasses.replace(ordered, commitment=0.0, wavlm_feature=0.0, wavlm_adversarial=0.0)


def total(parts: Mapping[str, Tensor], weight: LossWeights) -> Tensor:
    """What the generator's optimiser minimises: the parts, named as the weights are, weighted and added."""
    return torch.stack([value * getattr(weight, name) for name, value in parts.items()]).sum()


def judging(real: Judgement, made: Judgement, part: Part) -> Tensor:
    """The judges' own loss: real should score 1, made 0 (least squares, Mao et al. 2017)."""
    parts = [part.mean((1 - score.float()) ** 2) for score in real.scores]
    parts += [part.mean(score.float() ** 2) for score in made.scores]
    return torch.stack(parts).sum()


def adversarial(made: Judgement, part: Part) -> Tensor:
    """The generator wants its sound to score 1."""
    return torch.stack([part.mean((1 - score.float()) ** 2) for score in made.scores]).sum()


def feature_match(real: Judgement, made: Judgement, part: Part) -> Tensor:
    """How differently the judges see the two, summed over all their feature maps."""
    parts = [
        part.mean(functional.l1_loss(seen.float(), wanted.float().detach()))
        for made_maps, real_maps in zip(made.features, real.features, strict=True)
        for seen, wanted in zip(made_maps, real_maps, strict=True)
    ]
    return torch.stack(parts).sum()


def mel(made: Tensor, wanted: Tensor, part: Part) -> Tensor:
    """Mean distance of two log-mel spectrograms [B, bands, M]."""
    return part.mean(functional.l1_loss(made, wanted))


def resolutions(config: VoiceConfig) -> tuple[AudioConfig, ...]:
    """Further windows, in samples, that the sound is compared by where a decoder makes its phases itself."""
    if config.model.decoder != "vocos":
        return ()
    return tuple(
        dataclasses.replace(config.audio, n_fft=size, win_samples=size, hop_samples=size // 4, mel_bands=bands)
        for size, bands in FURTHER_WINDOWS
    )


def sound(made: Tensor, real: Tensor, own: Tensor, config: VoiceConfig, part: Part) -> Tensor:
    """Mean distance of log-mel spectrograms of `made` and `real` [B, 1, S], over all resolutions.

    `own` is the real one's linear spectrogram [B, bins, M] at the voice's own resolution, cut from the whole clip's, so
    that its edges see the sound around them.
    """
    spectrogram = audio.linear_spectrogram(made.squeeze(1), config.audio)
    distances = [mel(audio.log_mel(spectrogram, config.audio), audio.log_mel(own, config.audio), part)]
    for further in resolutions(config):
        pair = [audio.log_mel(audio.linear_spectrogram(wave.squeeze(1), further), further) for wave in (made, real)]
        distances.append(mel(pair[0], pair[1], part))
    return torch.stack(distances).mean()


def acoustic(lessons: Lessons, mask: Tensor, part: Part) -> Tensor:
    """How far the log-mels that the text tells of phonemes and of frames are from the recording's, per frame."""
    gaps = (lessons.phones.float() - lessons.wanted).abs() + (lessons.frames.float() - lessons.wanted).abs()
    return part.per_frame((gaps.mean(dim=1, keepdim=True) * mask.float()).sum())


def divergence(result: Training, part: Part) -> Tensor:
    """KL divergence of the posterior from the text's prior, per frame (one draw for the expectation)."""
    log_prior = result.prior_log_deviation.float()
    gap = (result.latent_prior.float() - result.prior_mean.float()) ** 2 * torch.exp(-2 * log_prior)
    each = log_prior - result.posterior.log_deviation.float() - 0.5 + 0.5 * gap  # [B, C, F]
    return part.per_frame((each * result.posterior.mask.float()).sum())


def durations(result: Training, part: Part) -> Tensor:
    """Both duration predictors' losses, per phoneme of the whole batch."""
    phones = result.prior.mask.float().sum(dim=(1, 2))  # [B]
    return part.per_phone(((result.duration_error + result.duration_nll) * phones).sum())


def judging_heard(real: Tensor, made: Tensor, part: Part) -> Tensor:
    """The loss of the judge of what a WavLM hears, from its scores [B, N]."""
    return part.mean((1 - real.float()) ** 2) + part.mean(made.float() ** 2)


def adversarial_heard(made: Tensor, part: Part) -> Tensor:
    """The generator wants what a WavLM hears of it to score 1."""
    return part.mean((1 - made.float()) ** 2)


def heard(real: Tensor, made: Tensor, states: int, part: Part) -> Tensor:
    """How differently a WavLM hears the two [B, states x H, N]: the mean distance of each state, summed."""
    return part.mean(functional.l1_loss(made.float(), real.float().detach())) * states


class DurationScores:
    """How scores of durations [B, T] become losses: what a predictor gives should score 0, what was found 1.

    `fixed`: means over the phonemes there are, so that neither padding nor the number of items changes them, and over
    the predictors. `as-original`: each item's mean over the padded length, summed over the items of the batch. Only
    there a loss depends on how a batch is divided, among ranks or into parts that fit into memory: each has its own
    padding.
    """

    def __init__(self, mask: Tensor, part: Part, profile: Literal["fixed", "as-original"]) -> None:
        self._mask, self._part, self._fixed = mask.squeeze(1), part, profile == "fixed"

    def judging(self, found: Tensor, predicted: Sequence[Tensor]) -> Tensor:
        """The judge's loss."""
        return self._mean((1 - found) ** 2) + self._over(predicted, 0.0)

    def adversarial(self, predicted: Sequence[Tensor]) -> Tensor:
        """The predictors want their durations to score 1."""
        return self._over(predicted, 1.0)

    def _over(self, predicted: Sequence[Tensor], wanted: float) -> Tensor:
        return torch.stack([self._mean((score - wanted) ** 2) for score in predicted]).mean()

    def _mean(self, each: Tensor) -> Tensor:
        if self._fixed:
            return self._part.per_phone((each.float() * self._mask).sum())
        return self._part.mean(each) * self._part.items
