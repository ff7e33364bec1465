"""The generator: `forward` for training, `infer` for speech. Text in, waveform out, with every result named.

Module names are those of the original's files, so that checkpoints stay interchangeable.

B batch, T phonemes, F frames, S samples = F x hop, C latent channels, H hidden, G speaker channels, M segment frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from kelong_contract.orders import Precision
from torch import Tensor, nn

from kelong_speech import alignment, decoder, durations, encoders, flow, frames, layers, vocos
from kelong_speech.config import VoiceConfig
from kelong_speech.draws import Draws
from kelong_speech.encoders import Posterior, Prior, TextBatch

MAX_FRAMES = 12000  # about 139 s at 44.1 kHz: more in one utterance is a voice that cannot time its phonemes yet


class SpeechTooLong(ValueError):
    """The durations drawn for a text add up to more than one utterance may have."""


class Noise(Protocol):
    """Where an utterance's randomness comes from; one per item, so that an item does not depend on its batch."""

    def normal(self, channels: int, length: int) -> Tensor:
        """Standard normal values [channels, length], float32 on the CPU."""


class SeededNoise:
    """Noise that is a function of the seed alone, on any device."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def normal(self, channels: int, length: int) -> Tensor:
        """The next values of this seed."""
        return torch.randn(channels, length, generator=self._generator)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How one item is spoken: `length` 1.0 as trained, larger slower; the others how much may vary."""

    length: float = 1.0
    sdp_ratio: float = 0.2  # part of the stochastic predictor in the durations
    noise: float = 0.6  # variation of the sound
    noise_w: float = 0.8  # variation of the durations


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Recordings of a training batch: linear spectrograms padded to the longest."""

    spectrogram: Tensor  # [B, bins, F]
    frame_counts: Tensor  # [B] int64
    durations_frames: Tensor | None = None  # [B, T] int64: where they are known, nothing is searched for


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What a model with a prior for frames is taught besides: what the text alone says, and what it should say."""

    waveform: Tensor  # [B, 1, M x hop]: the segments, spoken from the prior as `infer` does
    phones: Tensor  # [B, bands, F]: the log-mel of each frame's phoneme as a whole
    frames: Tensor  # [B, bands, F]: the log-mel of each frame
    wanted: Tensor  # [B, bands, F]: the recording's


@dataclass(frozen=True, kw_only=True)
class Training:
    """What one training pass gives the losses."""

    waveform: Tensor  # [B, 1, M x hop]: the segments, spoken
    segment_starts_frames: Tensor  # [B] int64: where each segment begins in its recording
    posterior: Posterior
    latent_prior: Tensor  # [B, C, F]: the posterior's latent, sent through the flow to the prior's space
    prior_mean: Tensor  # [B, C, F]: the prior's statistics, expanded over frames
    prior_log_deviation: Tensor  # [B, C, F]
    prior: Prior
    durations_frames: Tensor  # [B, T] int64, found by the alignment
    log_durations: Tensor  # [B, 1, T], predicted
    duration_error: Tensor  # [B]: the plain predictor's squared error per phoneme
    duration_nll: Tensor  # [B]: the stochastic predictor's negative log-likelihood per phoneme
    speaker: Tensor  # [B, G, 1]
    lessons: Lessons | None = None


@dataclass(frozen=True, kw_only=True)
class Utterances:
    """What `infer` says; beyond an item's own samples its waveform is padding."""

    waveform: Tensor  # [B, 1, S], float32
    sample_counts: Tensor  # [B] int64
    durations_frames: Tensor  # [B, T] int64


class Synthesiser(nn.Module):
    """The whole generator, sized by a configuration."""

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.config = config
        model = config.model
        # In the order of the files: the optimiser's moments are stored by position.
        self.enc_p = encoders.TextEncoder(model, config.variant)
        self.dec = vocos.Decoder(model, config.audio) if model.decoder == "vocos" else decoder.Decoder(model)
        self.enc_q = (
            frames.PosteriorEncoder(model, config.audio)
            if model.posterior_encoder == "convnext"
            else encoders.PosteriorEncoder(model, config.audio.spectrogram_bins)
        )
        self.flow = flow.Flow(model)
        self.sdp = durations.stochastic(model)
        self.dp = durations.DurationPredictor(model)
        self.emb_g = nn.Embedding(model.speakers, model.speaker_channels)
        self.frame_prior = frames.FramePrior(model, config.audio.mel_bands) if model.frame_prior_layers else None

    def forward(
        self, text: TextBatch, recordings: Recordings, draws: Draws, *, alignment_noise: float = 0.0
    ) -> Training:
        """One training pass. `alignment_noise` scales the noise of the alignment search (see `alignment_noise_at`).

        An item's part of the result depends on its own draws alone, save for dropout, which uses torch's generator,
        and for codebooks, which follow the whole batch. Raises ValueError for an item with fewer frames than phonemes
        or than a segment, and for one without durations where the model is told them.
        """
        frame_counts, phone_counts = recordings.frame_counts.tolist(), text.phone_counts.tolist()
        starts = self._segment_starts(frame_counts, draws).to(recordings.spectrogram.device)
        speaker = self.emb_g(text.speaker_ids).unsqueeze(2)  # [B, G, 1]
        prior = self.enc_p(text, speaker, draws)
        channels = self.config.model.latent_channels
        draw = draws.normal("posterior", [(channels, count) for count in frame_counts], recordings.spectrogram)
        posterior = self.enc_q(recordings.spectrogram, recordings.frame_counts, speaker, draw)
        latent_prior = self.flow(posterior.latent, posterior.mask, speaker)
        find_durations = self._align(latent_prior, prior, text, recordings, draws, alignment_noise)
        segments = slices(posterior.latent, starts, self.config.model.segment_frames)
        # What needs no alignment is computed while it is searched.
        waveform = None if self.frame_prior is not None else self.dec(segments, speaker)
        found = find_durations()  # [B, T]
        expected = self._expected(prior, found, posterior.mask, speaker)

        spoken = found.unsqueeze(1).to(prior.mean.dtype)  # [B, 1, T]
        phones = prior.mask.sum(dim=(1, 2))  # [B]
        duration_draw = draws.normal("durations", [(2, count) for count in phone_counts], spoken)
        nll = self.sdp.negative_log_likelihood(prior.hidden, prior.mask, speaker, spoken, duration_draw)
        log_durations = self.dp(prior.hidden, prior.mask, speaker)
        error = ((log_durations - torch.log(spoken + 1e-6) * prior.mask) ** 2).sum(dim=(1, 2))

        lessons = None
        if waveform is None:
            waveform, lessons = self._taught(segments, starts, expected, prior, found, recordings, draws, speaker)
        return Training(
            waveform=waveform,
            segment_starts_frames=starts,
            posterior=posterior,
            latent_prior=latent_prior,
            prior_mean=expected.mean,
            prior_log_deviation=expected.log_deviation,
            prior=prior,
            durations_frames=found,
            log_durations=log_durations,
            duration_error=error / phones,
            duration_nll=nll / phones,
            speaker=speaker,
            lessons=lessons,
        )

    def settle(self, precision: Precision = "FP32") -> None:
        """Compute effective weights once and for all: for a generator that only speaks from now on.

        With BF16 it speaks under autocast to bfloat16 alone; what that concerns is kept in bfloat16.
        """
        layers.settle(self)
        if precision == "BF16":
            for part in (self.frame_prior, self.flow, self.dec):
                if part is not None:
                    layers.settle(part, torch.bfloat16)

    @torch.no_grad()
    def infer(
        self, text: TextBatch, manners: Sequence[Manner], noises: Sequence[Noise], *, max_frames: int = MAX_FRAMES
    ) -> Utterances:
        """Speak a batch, each item in its own manner with its own noise. Call in eval mode.

        An item's result does not depend on the batch it is in. Under autocast to bfloat16 it lasts exactly as long as
        in full precision. Raises `SpeechTooLong` beyond `max_frames`.
        """
        with torch.autocast(text.phone_ids.device.type, enabled=False):  # rounded, it would last another time
            speaker = self.emb_g(text.speaker_ids).unsqueeze(2)
            prior = self.enc_p(text, speaker)
            found = self._durations(text, prior, speaker, manners, noises, max_frames)  # [B, T]
        frame_counts = found.sum(dim=1).clamp_min(1)

        longest = int(frame_counts.max())
        mask = encoders.length_mask(frame_counts, longest).to(prior.mean.dtype)
        expected = self._expected(prior, found, mask, speaker)
        mean, deviation = expected.mean, torch.exp(expected.log_deviation)
        draw = _draw(noises, mean.shape[1], frame_counts.tolist(), mean) * _column([m.noise for m in manners], mean)
        latent = self.flow((mean + draw * deviation) * mask, mask, speaker, reverse=True) * mask
        alone = len(manners) == 1
        return Utterances(
            waveform=self.dec(latent, speaker, None if alone else mask).float(),
            sample_counts=frame_counts * self.config.audio.hop_samples,
            durations_frames=found,
        )

    def _durations(
        self,
        text: TextBatch,
        prior: Prior,
        speaker: Tensor,
        manners: Sequence[Manner],
        noises: Sequence[Noise],
        max_frames: int,
    ) -> Tensor:
        """Frames of each phoneme [B, T] as each item's manner has them; raises `SpeechTooLong`."""
        phone_counts = text.phone_counts.tolist()

        duration_draw = _draw(noises, 2, phone_counts, prior.mean) * _column([m.noise_w for m in manners], prior.mean)
        ratio = _column([manner.sdp_ratio for manner in manners], prior.mean)
        varied = self.sdp.sample(prior.hidden, prior.mask, speaker, duration_draw)
        log_durations = varied * ratio + self.dp(prior.hidden, prior.mask, speaker) * (1 - ratio)
        length = _column([manner.length for manner in manners], prior.mean)
        exact = torch.exp(log_durations) * prior.mask * length  # [B, 1, T]
        self._check_length(exact, max_frames)
        return self._whole(exact).squeeze(1).long()

    def _expected(self, prior: Prior, found: Tensor, mask: Tensor, speaker: Tensor) -> frames.Expected:
        """What the text says about each frame, phonemes lasting `found` frames [B, T]."""
        if self.frame_prior is not None:
            expected: frames.Expected = self.frame_prior(prior, found, mask, speaker)
            return expected
        count = mask.shape[2]
        return frames.Expected(
            mean=alignment.expand(prior.mean, found, count),
            log_deviation=alignment.expand(prior.log_deviation, found, count),
        )

    def _taught(
        self,
        segments: Tensor,
        starts: Tensor,
        expected: frames.Expected,
        prior: Prior,
        found: Tensor,
        recordings: Recordings,
        draws: Draws,
        speaker: Tensor,
    ) -> tuple[Tensor, Lessons]:
        """The segments spoken from the posterior, and what else a model with a prior for frames is taught by."""
        assert self.frame_prior is not None and expected.acoustic is not None
        counts = recordings.frame_counts.tolist()
        mask = encoders.length_mask(recordings.frame_counts, expected.mean.shape[2]).to(expected.mean.dtype)
        draw = draws.normal("prior", [(expected.mean.shape[1], count) for count in counts], expected.mean)
        drawn = (expected.mean + Manner.noise * draw * torch.exp(expected.log_deviation.detach())) * mask
        latent = self.flow(drawn, mask, speaker, reverse=True)
        both = torch.cat([segments, slices(latent, starts, segments.shape[2])])
        waveform, from_prior = self.dec(both, speaker.repeat(2, 1, 1)).chunk(2)
        lessons = Lessons(
            waveform=from_prior,
            phones=alignment.expand(self.frame_prior.of_phones(prior), found, mask.shape[2]),
            frames=expected.acoustic,
            wanted=frames.acoustic(recordings.spectrogram, self.config.audio) * mask,
        )
        return waveform, lessons

    def _whole(self, exact: Tensor) -> Tensor:
        """Whole frames of what was predicted; the original rounds up, which at few frames a phoneme drags."""
        if self.config.model.duration_rounding == "up":
            return torch.ceil(exact)
        return torch.where(exact > 0, torch.round(exact).clamp_min(1), exact)

    @torch.no_grad()
    def _align(
        self,
        latent_prior: Tensor,
        prior: Prior,
        text: TextBatch,
        recordings: Recordings,
        draws: Draws,
        noise_scale: float,
    ) -> Callable[[], Tensor]:
        """Begin to search for the durations, unless the recordings come with them; the way to wait for them."""
        known = recordings.durations_frames
        if known is not None:
            return lambda: known
        if self.frame_prior is not None:
            raise ValueError(f"the preset {self.config.preset} is told durations, but these recordings come without")
        scores = alignment.log_likelihoods(latent_prior.float(), prior.mean.float(), prior.log_deviation.float())
        if noise_scale > 0:
            shapes = list(zip(recordings.frame_counts.tolist(), text.phone_counts.tolist(), strict=True))
            noise = draws.normal("alignment", shapes, scores)
            scores = alignment.with_noise(scores, text.phone_counts, recordings.frame_counts, noise_scale, noise)
        return alignment.Search(scores, text.phone_counts.tolist(), recordings.frame_counts.tolist()).durations

    def _segment_starts(self, frame_counts: Sequence[int], draws: Draws) -> Tensor:
        segment = self.config.model.segment_frames
        if min(frame_counts) < segment:
            raise ValueError(
                f"a recording of {min(frame_counts)} frames is shorter than the training segment of {segment} frames: "
                "leave such clips out of the corpus"
            )
        fractions = draws.fractions("segment")
        starts = [int(f * (count - segment + 1)) for f, count in zip(fractions, frame_counts, strict=True)]
        return torch.tensor(starts)

    def _check_length(self, exact: Tensor, max_frames: int) -> None:
        total = float(exact.sum(dim=(1, 2)).max())
        if not total <= max_frames:  # also true when it is not a number
            seconds = total * self.config.audio.frame_s
            limit = max_frames * self.config.audio.frame_s
            raise SpeechTooLong(
                f"the voice would take {seconds:.0f} s to say this, the limit is {limit:.0f} s: "
                "lower `length` or `noise_w`, split the text, or train the voice further"
            )


def alignment_noise_at(step: int) -> float:
    """The scale of the alignment search's noise at a training step: it fades out over the first 5000 (VITS2)."""
    return max(0.01 - 2e-6 * step, 0.0)


def slices(x: Tensor, starts: Tensor, length: int) -> Tensor:
    """From each item [C, F] the `length` columns that begin at its start: [B, C, F] and [B] to [B, C, length]."""
    index = starts.view(-1, 1, 1) + torch.arange(length, device=x.device)  # [B, 1, length]
    return x.gather(2, index.expand(-1, x.shape[1], -1))


def _draw(noises: Sequence[Noise], channels: int, lengths: Sequence[int], like: Tensor) -> Tensor:
    """Each item's own noise, padded with zeros to the longest: [B, channels, longest]."""
    drawn = like.new_zeros(len(noises), channels, max(lengths))
    for item, (noise, length) in enumerate(zip(noises, lengths, strict=True)):
        drawn[item, :, :length] = noise.normal(channels, length).to(like.device)
    return drawn


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)
