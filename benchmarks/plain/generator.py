"""The full generator as one would write it down from the papers: eager torch, fp32, nothing done for speed.

What the optimised one is measured against, and checked against: both read the same tensors, by the names of the
original's files, and give the same numbers. Batches hold items of equal length only: no padding, no masks.

B batch, T phonemes, F frames, S samples, C latent channels, H hidden, G speaker channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from kelong_speech.config import ModelConfig, VoiceConfig
from kelong_speech.synthesiser import Manner, Noise
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
BINS = 10  # of the duration splines


@dataclass(frozen=True)
class Text:
    """Texts: ids [B, T], text features [B, C, T], styles [B, C], the speakers' rows [B]."""

    phones: Tensor
    tones: Tensor
    languages: Tensor
    features: Tensor
    style: Tensor
    speaker: Tensor


def conv(w: Weights, name: str, x: Tensor, dilation: int = 1, groups: int = 1) -> Tensor:
    """A convolution that keeps the length, weight-normed where the file holds it so."""
    kernel = weight(w, name)
    padding = dilation * (kernel.shape[-1] - 1) // 2
    return functional.conv1d(x, kernel, w.get(f"{name}.bias"), padding=padding, dilation=dilation, groups=groups)


def weight(w: Weights, name: str) -> Tensor:
    """The plain weight, or direction times length over its norm (Salimans and Kingma 2016)."""
    if f"{name}.weight" in w:
        return w[f"{name}.weight"]
    direction = w[f"{name}.weight_v"]
    norm = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.dim() - 1))
    return torch.as_tensor(w[f"{name}.weight_g"] * direction / norm)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    """An affine map of the last dimension."""
    return functional.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def channel_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """Layer normalisation over the channels of [B, C, F]."""
    mean = x.mean(dim=1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=1, keepdim=True)
    gamma, beta = w[f"{name}.gamma"].view(1, -1, 1), w[f"{name}.beta"].view(1, -1, 1)
    return (x - mean) / torch.sqrt(variance + 1e-5) * gamma + beta


def attention(w: Weights, name: str, x: Tensor, config: ModelConfig, dropout: float) -> Tensor:
    """Self-attention with learned relative positions within a window (Shaw et al. 2018)."""
    batch, channels, time = x.shape
    size = channels // config.heads

    def heads(part: str) -> Tensor:
        return conv(w, f"{name}.conv_{part}", x).view(batch, config.heads, size, time).transpose(2, 3)

    query, key, value = heads("q") / math.sqrt(size), heads("k"), heads("v")  # [B, heads, F, size]
    distance = torch.arange(time).unsqueeze(0) - torch.arange(time).unsqueeze(1) + config.attention_window  # [F, F]
    near = (distance >= 0) & (distance <= 2 * config.attention_window)
    row = distance.clamp(0, 2 * config.attention_window).expand(batch, config.heads, -1, -1)
    by_distance = query @ w[f"{name}.emb_rel_k"].transpose(1, 2)  # [B, heads, F, W]
    scores = query @ key.transpose(2, 3) + by_distance.gather(3, row) * near
    weights = functional.dropout(torch.softmax(scores, dim=3), dropout)  # [B, heads, F, F]
    relative = torch.zeros_like(by_distance).scatter_add(3, row, weights * near)
    mixed = weights @ value + relative @ w[f"{name}.emb_rel_v"]
    return conv(w, f"{name}.conv_o", mixed.transpose(2, 3).reshape(batch, channels, time))


def transformer(
    w: Weights, name: str, x: Tensor, speaker: Tensor, config: ModelConfig, layers: int, dropout: float
) -> Tensor:
    """Post-norm layers; the speaker is added before the third."""
    for index in range(layers):
        if index == 2:
            x = x + linear(w, f"{name}.spk_emb_linear", speaker.transpose(1, 2)).transpose(1, 2)
        attended = functional.dropout(attention(w, f"{name}.attn_layers.{index}", x, config, dropout), dropout)
        x = channel_norm(w, f"{name}.norm_layers_1.{index}", x + attended)
        inner = functional.dropout(torch.relu(conv(w, f"{name}.ffn_layers.{index}.conv_1", x)), dropout)
        fed = functional.dropout(conv(w, f"{name}.ffn_layers.{index}.conv_2", inner), dropout)
        x = channel_norm(w, f"{name}.norm_layers_2.{index}", x + fed)
    return x


def style(w: Weights, x: Tensor, config: ModelConfig) -> Tensor:
    """Style vectors [B, C] through their net and codebooks."""
    name = "enc_p.in_feature_net"
    x = functional.gelu(linear(w, f"{name}.0", x))
    x = functional.layer_norm(x, x.shape[-1:], w[f"{name}.2.weight"], w[f"{name}.2.bias"])
    inner = functional.layer_norm(x, x.shape[-1:], w[f"{name}.3.norm.weight"], w[f"{name}.3.norm.bias"])
    gated = functional.silu(linear(w, f"{name}.3.mlp.c_fc1", inner)) * linear(w, f"{name}.3.mlp.c_fc2", inner)
    x = linear(w, f"{name}.4", x + linear(w, f"{name}.3.mlp.c_proj", gated))
    parts = linear(w, "enc_p.emo_vq.project_in", x).view(len(x), config.style_heads, 1, -1)  # [B, heads, 1, D]
    codes = w["enc_p.emo_vq._codebook.embed"]  # [heads, K, D]
    nearest = ((parts - codes) ** 2).sum(dim=3).argmin(dim=2)  # [B, heads]
    joined = codes[torch.arange(config.style_heads), nearest].flatten(1)
    return linear(w, "enc_p.emo_vq.project_out", joined)


def text_encoder(
    w: Weights, text: Text, speaker: Tensor, config: ModelConfig, dropout: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states [B, H, T], and mean and log deviation of the prior [B, C, T]."""
    x = w["enc_p.emb.weight"][text.phones] + w["enc_p.tone_emb.weight"][text.tones]
    x = x + w["enc_p.language_emb.weight"][text.languages]  # [B, T, H]
    x = x + conv(w, "enc_p.bert_proj", conv(w, "enc_p.bert_pre_proj", text.features)).transpose(1, 2)
    x = x + linear(w, "enc_p.out_feature_net", style(w, text.style, config)).unsqueeze(1)
    x = (x * math.sqrt(config.hidden_channels)).transpose(1, 2)
    hidden = transformer(w, "enc_p.encoder", x, speaker, config, config.text_layers, dropout)
    mean, log_deviation = conv(w, "enc_p.proj", hidden).chunk(2, dim=1)
    return hidden, mean, log_deviation


def flow(w: Weights, z: Tensor, speaker: Tensor, config: ModelConfig, *, reverse: bool, dropout: float = 0.0) -> Tensor:
    """Coupling layers and flips (Glow; Kim et al. 2021), [B, C, F] there or back."""
    for index in reversed(range(config.flow_couplings)) if reverse else range(config.flow_couplings):
        name = f"flow.flows.{2 * index}"
        z = z.flip(1) if reverse else z
        kept, moved = z.chunk(2, dim=1)
        inner = conv(w, f"{name}.pre", kept)
        inner = transformer(w, f"{name}.enc", inner, speaker, config, config.flow_layers, dropout)
        shift = conv(w, f"{name}.post", inner)
        z = torch.cat([kept, moved - shift if reverse else moved + shift], dim=1)
        z = z if reverse else z.flip(1)
    return z


def wavenet(w: Weights, name: str, x: Tensor, speaker: Tensor, layers: int) -> Tensor:
    """Gated convolutions with skips (van den Oord et al. 2016)."""
    channels = x.shape[1]
    conditions = conv(w, f"{name}.cond_layer", speaker)
    total = torch.zeros_like(x)
    for index in range(layers):
        condition = conditions[:, 2 * channels * index : 2 * channels * (index + 1)]
        gate = conv(w, f"{name}.in_layers.{index}", x) + condition
        both = conv(w, f"{name}.res_skip_layers.{index}", torch.tanh(gate[:, :channels]) * gate[:, channels:].sigmoid())
        if index == layers - 1:
            return total + both
        x, total = x + both[:, :channels], total + both[:, channels:]
    return total


def posterior(w: Weights, spectrogram: Tensor, speaker: Tensor, noise: Tensor, config: ModelConfig) -> list[Tensor]:
    """A draw from the posterior, and its mean and log deviation, each [B, C, F]."""
    x = wavenet(w, "enc_q.enc", conv(w, "enc_q.pre", spectrogram), speaker, config.posterior_layers)
    mean, log_deviation = conv(w, "enc_q.proj", x).chunk(2, dim=1)
    return [mean + noise * torch.exp(log_deviation), mean, log_deviation]


def decoder(w: Weights, z: Tensor, speaker: Tensor, config: ModelConfig) -> Tensor:
    """HiFi-GAN's generator (Kong et al. 2020): [B, C, F] to samples [B, 1, S]."""
    x = conv(w, "dec.conv_pre", z) + conv(w, "dec.cond", speaker)
    kernels = len(config.resblock_kernels)
    for stage, (rate, size) in enumerate(zip(config.upsample_rates, config.upsample_kernels, strict=True)):
        x = functional.leaky_relu(x, 0.1)
        kernel, bias = weight(w, f"dec.ups.{stage}"), w[f"dec.ups.{stage}.bias"]
        x = functional.conv_transpose1d(x, kernel, bias, stride=rate, padding=(size - rate) // 2)
        total = torch.zeros_like(x)
        for block in range(kernels):
            y, name = x, f"dec.resblocks.{stage * kernels + block}"
            for index, dilation in enumerate(config.resblock_dilations):
                inner = conv(w, f"{name}.convs1.{index}", functional.leaky_relu(y, 0.1), dilation)
                y = y + conv(w, f"{name}.convs2.{index}", functional.leaky_relu(inner, 0.1))
            total = total + y
        x = total / kernels
    return torch.tanh(conv(w, "dec.conv_post", functional.leaky_relu(x, 0.01)))


def duration_predictor(w: Weights, hidden: Tensor, speaker: Tensor, dropout: float = 0.0) -> Tensor:
    """Log frames per phoneme [B, 1, T]."""
    x = hidden + conv(w, "dp.cond", speaker)
    x = functional.dropout(channel_norm(w, "dp.norm_1", torch.relu(conv(w, "dp.conv_1", x))), dropout)
    x = functional.dropout(channel_norm(w, "dp.norm_2", torch.relu(conv(w, "dp.conv_2", x))), dropout)
    return conv(w, "dp.proj", x)


def separable(w: Weights, name: str, x: Tensor, config: ModelConfig, dropout: float = 0.0) -> Tensor:
    """Dilated depth-wise separable convolutions with residuals."""
    for index in range(config.stochastic_duration_layers):
        dilation = config.duration_kernel**index
        y = conv(w, f"{name}.convs_sep.{index}", x, dilation, groups=x.shape[1])
        y = functional.gelu(channel_norm(w, f"{name}.norms_1.{index}", y))
        y = conv(w, f"{name}.convs_1x1.{index}", y)
        x = x + functional.dropout(functional.gelu(channel_norm(w, f"{name}.norms_2.{index}", y)), dropout)
    return x


def spline(x: Tensor, knots: Tensor, scale: float, inverse: bool) -> tuple[Tensor, Tensor]:
    """A monotonic rational-quadratic spline on -5..5 (Durkan et al. 2019); x [B, T], knots [B, T, 29]."""
    bound, least = 5.0, 1e-3

    def edges(parts: Tensor) -> Tensor:
        shares = least + (1 - least * BINS) * torch.softmax(parts / scale, dim=2)
        return functional.pad(shares.cumsum(dim=2), (1, 0)) * 2 * bound - bound

    xs, ys = edges(knots[..., :BINS]), edges(knots[..., BINS : 2 * BINS])
    edge = math.log(math.exp(1 - least) - 1)
    slopes = least + functional.softplus(functional.pad(knots[..., 2 * BINS :], (1, 1), value=edge))
    inside = (x > -bound) & (x < bound)
    at = x.clamp(-bound, bound)
    which = torch.searchsorted(ys if inverse else xs, at.unsqueeze(2)).clamp(1, BINS) - 1  # [B, T, 1]
    x0, x1, y0, y1, d0, d1 = (
        values.gather(2, which + step).squeeze(2) for values in (xs, ys, slopes) for step in (0, 1)
    )
    s = (y1 - y0) / (x1 - x0)
    if inverse:
        a = (at - y0) * (d0 + d1 - 2 * s) + (y1 - y0) * (s - d0)
        b = (y1 - y0) * d0 - (at - y0) * (d0 + d1 - 2 * s)
        t = 2 * -s * (at - y0) / (-b - torch.sqrt((b * b + 4 * a * s * (at - y0)).clamp_min(0)))
        image = x0 + t * (x1 - x0)
    else:
        t = (at - x0) / (x1 - x0)
        image = y0 + (y1 - y0) * (s * t * t + d0 * t * (1 - t)) / (s + (d0 + d1 - 2 * s) * t * (1 - t))
    below = s + (d0 + d1 - 2 * s) * t * (1 - t)
    log_slope = torch.log(s * s * (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2)) - 2 * torch.log(below)
    log_slope = -log_slope if inverse else log_slope
    return torch.where(inside, image, x), torch.where(inside, log_slope, torch.zeros_like(x))


def spline_flow(
    w: Weights, name: str, z: Tensor, condition: Tensor, config: ModelConfig, reverse: bool
) -> tuple[Tensor, Tensor]:
    """One coupling of the duration flow, [B, 2, T] there or back, and the sums of its log slopes [B]."""
    inner = separable(w, f"{name}.convs", conv(w, f"{name}.pre", z[:, :1]) + condition, config)
    knots = conv(w, f"{name}.proj", inner).transpose(1, 2)  # [B, T, 29]
    image, log_slope = spline(z[:, 1], knots, math.sqrt(condition.shape[1]), reverse)
    return torch.stack([z[:, 0], image], dim=1), log_slope.sum(dim=1)


def duration_condition(
    w: Weights, hidden: Tensor, speaker: Tensor, config: ModelConfig, dropout: float = 0.0
) -> Tensor:
    """What the duration flows are told of the text [B, H, T]."""
    x = conv(w, "sdp.pre", hidden) + conv(w, "sdp.cond", speaker)
    return conv(w, "sdp.proj", separable(w, "sdp.convs", x, config, dropout))


def sampled_durations(w: Weights, hidden: Tensor, speaker: Tensor, noise: Tensor, config: ModelConfig) -> Tensor:
    """Log frames per phoneme [B, 1, T] from scaled noise [B, 2, T]; the step next to the affine one is left out."""
    condition, z = duration_condition(w, hidden, speaker, config), noise
    for index in reversed(range(2, config.stochastic_duration_flows + 1)):
        z, _ = spline_flow(w, f"sdp.flows.{2 * index - 1}", z.flip(1), condition, config, reverse=True)
    return ((z.flip(1) - w["sdp.flows.0.m"]) * torch.exp(-w["sdp.flows.0.logs"]))[:, :1]


def duration_flow(w: Weights, name: str, z: Tensor, condition: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """All steps of a duration flow forward: the image and the log volume of each item [B]."""
    logs = w[f"{name}.0.logs"]
    z, total = w[f"{name}.0.m"] + torch.exp(logs) * z, logs.sum() * z.shape[2]
    for index in range(1, config.stochastic_duration_flows + 1):
        z, log_volume = spline_flow(w, f"{name}.{2 * index - 1}", z, condition, config, reverse=False)
        z, total = z.flip(1), total + log_volume
    return z, total


def duration_likelihood(
    w: Weights, hidden: Tensor, speaker: Tensor, frames: Tensor, noise: Tensor, config: ModelConfig, dropout: float
) -> Tensor:
    """A bound on -log p(frames) of each item [B]; frames [B, 1, T], noise [B, 2, T] (Kim et al. 2021)."""
    condition = duration_condition(w, hidden, speaker, config, dropout)
    seen = separable(w, "sdp.post_convs", conv(w, "sdp.post_pre", frames), config, dropout)
    drawn, volume = duration_flow(w, "sdp.post_flows", noise, condition + conv(w, "sdp.post_proj", seen), config)
    u, v = drawn[:, :1], drawn[:, 1:]
    volume = volume + (functional.logsigmoid(u) + functional.logsigmoid(-u)).sum(dim=(1, 2))
    log_q = (-0.5 * (math.log(2 * math.pi) + noise**2)).sum(dim=(1, 2)) - volume
    log_frames = torch.log((frames - torch.sigmoid(u)).clamp_min(1e-5))
    z, volume = duration_flow(w, "sdp.flows", torch.cat([log_frames, v], dim=1), condition, config)
    volume = volume - log_frames.sum(dim=(1, 2))
    return (0.5 * (math.log(2 * math.pi) + z**2)).sum(dim=(1, 2)) - volume + log_q


def infer(w: Weights, text: Text, config: VoiceConfig, manner: Manner, noise: Noise) -> Tensor:
    """Speak one text: samples [S]."""
    model = config.model
    speaker = w["emb_g.weight"][text.speaker].unsqueeze(2)  # [1, G, 1]
    hidden, mean, log_deviation = text_encoder(w, text, speaker, model)
    drawn = noise.normal(2, hidden.shape[2]).unsqueeze(0) * manner.noise_w
    varied = sampled_durations(w, hidden, speaker, drawn, model)
    log_durations = varied * manner.sdp_ratio + duration_predictor(w, hidden, speaker) * (1 - manner.sdp_ratio)
    durations = torch.ceil(torch.exp(log_durations) * manner.length)[0, 0].long()
    owner = torch.repeat_interleave(torch.arange(len(durations)), durations)  # [F]
    drawn = noise.normal(model.latent_channels, len(owner)).unsqueeze(0) * manner.noise
    z = mean[:, :, owner] + drawn * torch.exp(log_deviation[:, :, owner])
    return decoder(w, flow(w, z, speaker, model, reverse=True), speaker, model)[0, 0]
