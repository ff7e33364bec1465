"""What the preset `small` is built of: blocks that work on frames at the frame rate, laid out for CPUs.

The block is ConvNeXt's (Liu et al. 2022) as Vocos uses it for sound (Siuzdak 2023): a depth-wise convolution over time
and two matrix products. Values lie frame by frame, [B, F, D], so that the products need no copy and the convolution
runs over channels that lie together: on a CPU both reach near what its matrix units give.

B batch, F frames (or phonemes), C channels outside, D channels inside, G speaker channels, T phonemes, M mel bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kelong_speech import alignment, audio, encoders
from kelong_speech.config import AudioConfig, ModelConfig
from kelong_speech.encoders import Posterior, Prior

KERNEL = 7
EXPANSION = 3
PLACE_FEATURES = 4
LOG_DEVIATIONS = (-6.0, 3.0)
# Of the log-mel of speech.
USUAL_LEVEL, USUAL_SPREAD = -5.0, 2.5


class DepthwiseConv(nn.Module):
    """A convolution over time, each channel on its own; the length stays."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        plain = nn.Conv1d(channels, channels, kernel, groups=channels)
        assert plain.bias is not None
        self.weight, self.bias = nn.Parameter(plain.weight.detach()), nn.Parameter(plain.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, D] to [B, F, D]; seen as an image of one row whose channels lie together, nothing is copied."""
        image = x.transpose(1, 2).unsqueeze(2)  # [B, D, 1, F]
        kernel = self.weight.unsqueeze(2)
        padding = (0, kernel.shape[-1] // 2)
        done = functional.conv2d(image, kernel, self.bias, padding=padding, groups=x.shape[2])
        return done.squeeze(2).transpose(1, 2)


class Block(nn.Module):
    """One ConvNeXt block with a residual. `share` scales what it adds at the start of training."""

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        self.apart = DepthwiseConv(channels, KERNEL)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, EXPANSION * channels)
        self.narrow = nn.Linear(EXPANSION * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), share))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, F, D] to [B, F, D]; mask [B, F, 1]."""
        y = self.norm(self.apart(x if mask is None else x * mask))
        return torch.as_tensor(x + self.scale * self.narrow(functional.gelu(self.widen(y))))


class Stack(nn.Module):
    """Blocks between two projections, told who speaks. With `still` the last projection starts at zero."""

    def __init__(
        self, inputs: int, outputs: int, channels: int, depth: int, speaker_channels: int, *, still: bool = False
    ) -> None:
        super().__init__()
        self.pre = nn.Linear(inputs, channels)
        self.cond = nn.Linear(speaker_channels, channels)
        self.blocks = nn.ModuleList(Block(channels, 1 / max(depth, 1)) for _ in range(depth))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.post = nn.Linear(channels, outputs)
        if still:
            nn.init.zeros_(self.post.weight)
            nn.init.zeros_(self.post.bias)

    def forward(self, x: Tensor, mask: Tensor | None, speaker: Tensor) -> Tensor:
        """[B, C, F] with mask [B, 1, F] and speaker [B, G, 1] to [B, outputs, F]; beyond an item it is not zero."""
        y = self.pre(x.transpose(1, 2)) + self.cond(speaker.transpose(1, 2))
        frames = None if mask is None else mask.transpose(1, 2)
        for block in self.blocks:
            y = block(y, frames)
        return torch.as_tensor(self.post(self.norm(y)).transpose(1, 2))


class PosteriorEncoder(nn.Module):
    """The sound of a recording, as a log-mel, to a distribution over latents, and one draw from it."""

    def __init__(self, model: ModelConfig, sound: AudioConfig) -> None:
        super().__init__()
        self.sound = sound
        self.enc = Stack(
            sound.mel_bands,
            2 * model.latent_channels,
            model.hidden_channels,
            model.posterior_layers,
            model.speaker_channels,
        )

    def forward(self, spectrogram: Tensor, frame_counts: Tensor, speaker: Tensor, noise: Tensor) -> Posterior:
        """[B, bins, F] with counts [B], speaker [B, G, 1] and standard normal noise [B, C, F]."""
        mask = encoders.length_mask(frame_counts, spectrogram.shape[2]).to(spectrogram.dtype)
        stats = self.enc(acoustic(spectrogram, self.sound), mask, speaker) * mask
        mean, log_deviation = stats.chunk(2, dim=1)
        latent = (mean + noise * log_deviation.exp()) * mask
        return Posterior(latent=latent, mean=mean, log_deviation=log_deviation, mask=mask)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a text says about each frame."""

    mean: Tensor  # [B, C, F], of the latent
    log_deviation: Tensor  # [B, C, F]
    acoustic: Tensor | None = None  # [B, M, F], the log-mel, where there is a prior for frames


class FramePrior(nn.Module):
    """Phonemes and how long they last to what each frame is like: their prior, corrected by where in one a frame lies.

    Without it a prior is constant over a phoneme, and all that moves within must come from the flow, which learns it
    slowly. It also tells the log-mel of phonemes and of frames: losses on those teach text to sound directly, and the
    first is what phonemes are aligned by (as the prior of Grad-TTS, Popov et al. 2021), since unlike the latent a
    log-mel means the same from the first step on.
    """

    def __init__(self, model: ModelConfig, bands: int) -> None:
        super().__init__()
        hidden, self.latent = model.hidden_channels, model.latent_channels
        self.phones = nn.Linear(hidden, bands)
        outputs = 2 * self.latent + bands
        self.enc = Stack(hidden + PLACE_FEATURES, outputs, hidden, model.frame_prior_layers, model.speaker_channels)
        with torch.no_grad():  # no correction at first
            self.enc.post.weight[: 2 * self.latent] = 0
            self.enc.post.bias[: 2 * self.latent] = 0

    def of_phones(self, prior: Prior) -> Tensor:
        """The log-mel of each phoneme as a whole, [B, M, T]."""
        return torch.as_tensor(self.phones(prior.hidden.transpose(1, 2)).transpose(1, 2))

    def forward(self, prior: Prior, durations: Tensor, mask: Tensor, speaker: Tensor) -> Expected:
        """Frames per phoneme [B, T], mask [B, 1, F] and speaker [B, G, 1]."""
        count = mask.shape[2]
        hidden = alignment.expand(prior.hidden, durations, count)
        out = self.enc(torch.cat([hidden, places(durations, count)], dim=1), mask, speaker) * mask
        shift, stretch, bands = out.split([self.latent, self.latent, out.shape[1] - 2 * self.latent], dim=1)
        log_deviation = alignment.expand(prior.log_deviation, durations, count) + stretch
        return Expected(
            mean=alignment.expand(prior.mean, durations, count) + shift,
            log_deviation=log_deviation.clamp(*LOG_DEVIATIONS),
            acoustic=bands,
        )


def acoustic(spectrogram: Tensor, sound: AudioConfig) -> Tensor:
    """The log-mel of a linear spectrogram, [B, bins, F] to [B, M, F], brought to about mean 0 and deviation 1."""
    return (audio.log_mel(spectrogram, sound) - USUAL_LEVEL) / USUAL_SPREAD


def places(durations: Tensor, frames: int) -> Tensor:
    """Where in its phoneme each frame lies: durations [B, T] to [B, 4, frames].

    The part before it, the part after it, how long the phoneme is (log), and one over that; zero beyond an item.
    """
    ends = durations.cumsum(dim=1)
    index = torch.arange(frames, device=durations.device).expand(durations.shape[0], -1).contiguous()
    owner = torch.searchsorted(ends, index, right=True)
    inside = (owner < durations.shape[1]).unsqueeze(1)
    owner = owner.clamp_max(durations.shape[1] - 1)
    length = durations.gather(1, owner).clamp_min(1).float()
    part = (index - (ends.gather(1, owner) - length) + 0.5) / length
    return torch.stack([part, 1 - part, length.log(), 1 / length], dim=1) * inside
