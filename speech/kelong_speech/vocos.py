"""The waveform decoder of the preset `small`: all its layers at the frame rate, then an inverse Fourier transform.

After Vocos (Siuzdak 2023) and iSTFTNet (Kaneko et al. 2022): blocks predict each frame's magnitudes and phases, and
overlapping inverse transforms make the samples. The maths is one thirtieth of HiFi-GAN's.

B batch, C latent channels, D channels inside, F frames, N spectrogram bins, S samples = F x hop, G speaker channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kelong_speech import frames
from kelong_speech.config import AudioConfig, ModelConfig

LARGEST_LOG_MAGNITUDE = 5.0
WIDE = 7  # frames that the first layer sees


class Decoder(nn.Module):
    """Latents to a waveform. A window is a whole number of hops, so that overlapping is adding shifted rows."""

    window: Tensor

    def __init__(self, model: ModelConfig, audio: AudioConfig) -> None:
        super().__init__()
        self.hop, self.size = audio.hop_samples, audio.n_fft
        channels, depth = model.decoder_channels, model.decoder_layers
        self.apart = frames.DepthwiseConv(model.latent_channels, WIDE)
        self.stack = frames.Stack(model.latent_channels, self.size + 2, channels, depth, model.speaker_channels)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def forward(self, latent: Tensor, speaker: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, C, F] and speaker [B, G, 1] to [B, 1, S]; a mask [B, 1, F] keeps what is beyond an item at zero."""
        x = latent if mask is None else latent * mask
        x = x + self.apart(x.transpose(1, 2)).transpose(1, 2)
        out = self.stack(x, mask, speaker)  # [B, 2 N, F]
        log_magnitude, phase = out.float().chunk(2, dim=1)
        magnitude = torch.exp(log_magnitude.clamp_max(LARGEST_LOG_MAGNITUDE))
        spectrum = torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase))
        rows = torch.fft.irfft(spectrum.transpose(1, 2), self.size) * self.window  # [B, F, n_fft]
        weight = (self.window**2).expand(x.shape[0], x.shape[2], -1)
        if mask is not None:
            rows, weight = rows * mask.transpose(1, 2), weight * mask.transpose(1, 2)
        return (self._overlapped(rows) / self._overlapped(weight).clamp_min(1e-3)).unsqueeze(1)

    def _overlapped(self, rows: Tensor) -> Tensor:
        """Rows [B, F, n_fft], each a hop after the one before, added up: [B, F x hop], both edges cut equally."""
        batch, count, _ = rows.shape
        folds = self.size // self.hop
        parts = rows.view(batch, count, folds, self.hop)
        total = sum(functional.pad(parts[:, :, fold], (0, 0, fold, folds - 1 - fold)) for fold in range(folds))
        edge = (self.size - self.hop) // 2
        return torch.as_tensor(total).reshape(batch, -1)[:, edge : edge + count * self.hop]
