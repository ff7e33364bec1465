"""Which clips meet in which batch, as a pure function of seed and epoch, so that a resume is exact; and batches.

Batches hold clips of similar length and are bounded by their padded frames, not by a count: clips of 2 to 30 s are all
used. They are planned without regard to how many processes train; each then takes a part of every batch.

B batch, T phonemes, F frames, S samples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from kelong_speech import draws
from kelong_speech.encoders import TextBatch
from kelong_speech.synthesiser import Recordings
from kelong_speech.text import symbols
from kelong_speech.text.utterance import Ids
from torch import Tensor

from kelong_trainer.training.ranks import Part

# A batch of very short clips is bounded too: the decoder's cost counts clips, not frames. A large batch, as many ranks
# take it, may have one for each 250 frames, which is about 3 s.
MOST_ITEMS, FRAMES_PER_ITEM = 32, 250
# Clips that are trained as if nobody had marked their pauses and breaths, so that a text without marks is spoken well.
PLAIN_SHARE = 0.1
_MARK_IDS = torch.tensor([symbols.SYMBOL_IDS[mark] for mark in symbols.INLINE_MARKS])
LENGTH_JITTER = 0.1  # neighbours by length change from epoch to epoch


@dataclass(frozen=True, kw_only=True)
class Example:
    """One clip, ready to be batched. `clip` is its digest, by which it draws."""

    clip: str
    ids: Ids
    speaker_id: int
    samples: Tensor  # [S], S = F x hop
    spectrogram: Tensor  # [bins, F]
    text_features: Tensor | None  # [channels, T]
    style: Tensor | None  # [channels]
    durations: Tensor | None = None  # [T] frames, where the model is told them

    @property
    def size_bytes(self) -> int:
        """What it costs to keep."""
        held = (self.samples, self.spectrogram, self.text_features, self.style, self.durations)
        return sum(tensor.nbytes for tensor in held if tensor is not None)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one training step sees: a rank's part of a batch. `samples` is padded like the spectrograms."""

    clips: tuple[str, ...]
    part: Part
    text: TextBatch
    recordings: Recordings
    samples: Tensor  # [B, 1, S]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        known = self.recordings.durations_frames
        recordings = Recordings(
            spectrogram=self.recordings.spectrogram.to(device, non_blocking=True),
            frame_counts=self.recordings.frame_counts.to(device, non_blocking=True),
            durations_frames=None if known is None else known.to(device, non_blocking=True),
        )
        return Batch(
            clips=self.clips,
            part=self.part,
            text=self.text.to(device),
            recordings=recordings,
            samples=self.samples.to(device, non_blocking=True),
        )


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where in the data training is: `batch` batches of `epoch` are done. Both count from 0."""

    epoch: int = 0
    batch: int = 0


def plan(frame_counts: Sequence[int], batch_frames: int, seed: int, epoch: int) -> tuple[tuple[int, ...], ...]:
    """The batches of an epoch as indices of clips: every clip once, neighbours of similar length, in random order.

    No batch pads to more than `batch_frames` frames, but a clip that is longer than that is a batch of its own.
    """
    draw = np.random.default_rng((seed, epoch))
    most_items = max(MOST_ITEMS, batch_frames // FRAMES_PER_ITEM)
    lengths = np.asarray(frame_counts)
    order = np.argsort(lengths * draw.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER, len(lengths)), kind="stable")
    batches: list[tuple[int, ...]] = []
    current: list[int] = []
    longest = 0
    for index in order.tolist():
        longest_with = max(longest, frame_counts[index])
        if current and (longest_with * (len(current) + 1) > batch_frames or len(current) == most_items):
            batches.append(tuple(current))
            current, longest_with = [], frame_counts[index]
        current.append(index)
        longest = longest_with
    batches.append(tuple(current))
    return tuple(batches[index] for index in draw.permutation(len(batches)))


def without_marks(example: Example) -> Example:
    """A clip as plain text has it: its pauses and breaths, and what was known of them, belong to what they come after.

    Each of them goes with the blank behind it.
    """
    ids = example.ids
    phones = torch.tensor(ids.phone_ids)
    marked = torch.isin(phones, _MARK_IDS)
    marked[2::2] |= marked[1:-1:2]
    places = torch.nonzero(~marked).squeeze(1)  # [T of the plain text]
    if len(places) == len(phones):
        return example
    counts = torch.tensor(ids.word2ph)
    characters = torch.arange(len(counts)).repeat_interleave(counts)
    plain = Ids(
        phone_ids=tuple(phones[places].tolist()),
        tone_ids=tuple(torch.tensor(ids.tone_ids)[places].tolist()),
        language_ids=tuple(torch.tensor(ids.language_ids)[places].tolist()),
        word2ph=tuple(torch.bincount(characters[places], minlength=len(counts)).tolist()),
    )
    durations = example.durations
    if durations is not None:
        owners = torch.cumsum((~marked).long(), 0) - 1
        durations = durations.new_zeros(len(places)).index_add(0, owners, durations)
    features = example.text_features
    return dataclasses.replace(
        example, ids=plain, durations=durations, text_features=None if features is None else features[:, places]
    )


def is_plain(clip: str, seed: int, epoch: int) -> bool:
    """Whether a clip is trained without its marks in an epoch: by chance, and always the same."""
    return math.ldexp(draws.seed_of("marks", clip, epoch, seed) >> 10, -53) < PLAIN_SHARE


def divide(frame_counts: Sequence[int], ranks: int) -> tuple[tuple[int, ...], ...]:
    """The places in a batch that each rank takes: about equally many frames for each, every place taken once.

    Longest clips are given away first, each to who has least; a rank gets none if the batch has too few.
    """
    taken: list[list[int]] = [[] for _ in range(ranks)]
    frames = [0] * ranks
    for place in sorted(range(len(frame_counts)), key=lambda place: -frame_counts[place]):
        least = frames.index(min(frames))
        taken[least].append(place)
        frames[least] += frame_counts[place]
    return tuple(tuple(sorted(places)) for places in taken)


def collate(examples: Sequence[Example], hop_samples: int, part: Part | None = None) -> Batch:
    """Examples padded to the longest of each kind; without a part they are the whole batch."""
    phone_counts = [len(example.ids.phone_ids) for example in examples]
    frame_counts = [example.spectrogram.shape[1] for example in examples]
    longest_text, longest_frames = max(phone_counts), max(frame_counts)
    text = TextBatch(
        phone_ids=_padded([torch.tensor(example.ids.phone_ids) for example in examples], longest_text),
        tone_ids=_padded([torch.tensor(example.ids.tone_ids) for example in examples], longest_text),
        language_ids=_padded([torch.tensor(example.ids.language_ids) for example in examples], longest_text),
        phone_counts=torch.tensor(phone_counts),
        speaker_ids=torch.tensor([example.speaker_id for example in examples]),
        text_features=_optional([example.text_features for example in examples], longest_text),
        style=_optional([example.style for example in examples], None),
    )
    recordings = Recordings(
        spectrogram=_padded([example.spectrogram for example in examples], longest_frames),
        frame_counts=torch.tensor(frame_counts),
        durations_frames=_optional([example.durations for example in examples], longest_text),
    )
    samples = _padded([example.samples for example in examples], longest_frames * hop_samples)
    everything = Part(
        positions=tuple(range(len(examples))), items=len(examples), frames=sum(frame_counts), phones=sum(phone_counts)
    )
    return Batch(
        clips=tuple(example.clip for example in examples),
        part=part or everything,
        text=text,
        recordings=recordings,
        samples=samples.unsqueeze(1),
    )


def _padded(tensors: Sequence[Tensor], longest: int) -> Tensor:
    """Tensors stacked, zeros behind the last dimension's end."""
    whole = tensors[0].new_zeros(len(tensors), *tensors[0].shape[:-1], longest)
    for row, tensor in zip(whole, tensors, strict=True):
        row[..., : tensor.shape[-1]] = tensor
    return whole


def _optional(tensors: Sequence[Tensor | None], longest: int | None) -> Tensor | None:
    given = [tensor for tensor in tensors if tensor is not None]
    if not given:
        return None
    return torch.stack(given) if longest is None else _padded(given, longest)
