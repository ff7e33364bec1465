"""One training step: the judges learn, then the generator does. It knows nothing of when, where or how often.

B batch, S samples, M segment frames.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from kelong_speech import audio, synthesiser
from kelong_speech.synthesiser import Training
from torch import Tensor, nn

from kelong_trainer import losses
from kelong_trainer.dataset import Batch
from kelong_trainer.state import TrainingState

LARGEST_NORM_DISCRIMINATORS = 200.0
LARGEST_NORM_GENERATOR = 500.0


class Diverged(Exception):
    """A loss or a gradient is no longer a number; the weights must not be kept."""


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What does not change from step to step."""

    seed: int
    precision: Literal["FP32", "BF16"]
    profile: Literal["fixed", "as-original"]


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step measured: losses before weighing, and gradient norms before clipping."""

    losses: dict[str, float]
    gradient_norms: dict[str, float]


def seed_of(seed: int, step: int) -> int:
    """The seed of everything a step draws at random: 63 bits that no two steps share but by chance."""
    digest = hashlib.sha256(f"step {step} of {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def run(state: TrainingState, batch: Batch, rate: float, settings: StepSettings) -> StepResult:
    """Train one step on a batch at a learning rate. `state.step` is the last finished step and grows by one.

    Raises Diverged before the generator's weights change; the state is then good for nothing but an inquest.
    """
    step = state.step + 1
    torch.manual_seed(seed_of(settings.seed, step))
    device = next(state.generator.parameters()).device
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "BF16")
    batch = batch.to(device)
    clip = settings.profile == "fixed" or settings.precision == "BF16"

    with mixed:
        result = state.generator(batch.text, batch.recordings, alignment_noise=synthesiser.alignment_noise_at(step - 1))
    made = result.waveform.float()
    real = _segments(state, batch, result)

    with mixed:
        judging = losses.judging(state.discriminators(real), state.discriminators(made.detach()))
    discriminators_norm = _descend(
        state.discriminators,
        state.discriminator_optimiser,
        judging,
        rate,
        LARGEST_NORM_DISCRIMINATORS if clip else None,
    )

    parts = _generator_losses(state, batch, result, real, made, mixed)
    total = parts.total(losses.weights(settings.profile))
    generator_norm = _descend(
        state.generator, state.generator_optimiser, total, rate, LARGEST_NORM_GENERATOR if clip else None
    )
    state.step = step
    values = {"discriminators": judging, "generator": total, **vars(parts)}
    return StepResult(
        losses={name: value.item() for name, value in values.items()},
        gradient_norms={"discriminators": discriminators_norm, "generator": generator_norm},
    )


def _segments(state: TrainingState, batch: Batch, result: Training) -> Tensor:
    """The recordings' samples where the generator spoke: [B, 1, M x hop]."""
    hop = state.config.audio.hop_samples
    length = state.config.model.segment_frames * hop
    return synthesiser.slices(batch.samples, result.segment_starts_frames * hop, length)


def _generator_losses(
    state: TrainingState, batch: Batch, result: Training, real: Tensor, made: Tensor, mixed: torch.autocast
) -> losses.GeneratorLosses:
    config = state.config
    with torch.no_grad(), mixed:
        seen_real = state.discriminators(real)
    with (
        _frozen(state.discriminators),
        mixed,
    ):  # their gradients are of no use here, and cost as much as the forward pass
        seen_made = state.discriminators(made)
    # The target's mel is cut from the whole clip's, so that its edges see the sound around them.
    wanted = synthesiser.slices(batch.recordings.spectrogram, result.segment_starts_frames, config.model.segment_frames)
    return losses.GeneratorLosses(
        adversarial=losses.adversarial(seen_made),
        feature_match=losses.feature_match(seen_real, seen_made),
        mel=losses.mel(
            audio.log_mel(audio.linear_spectrogram(made.squeeze(1), config.audio), config.audio),
            audio.log_mel(wanted, config.audio),
        ),
        divergence=losses.divergence(result),
        durations=losses.durations(result),
        commitment=result.prior.commitment.float(),
    )


def _descend(
    network: nn.Module, optimiser: torch.optim.AdamW, loss: Tensor, rate: float, largest_norm: float | None
) -> float:
    """One step of an optimiser; the gradient norm before clipping. Raises Diverged instead of spoiling the weights."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), largest_norm or math.inf).item()
    if not math.isfinite(norm) or not math.isfinite(loss.item()):
        raise Diverged(f"the loss is {loss.item()}, the gradient norm {norm}")
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    return norm


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """While it lasts, no gradients of the network's own parameters are computed."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
