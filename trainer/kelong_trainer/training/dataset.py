"""Clips to batches: which clips meet in which batch is a pure function of seed and epoch, so that a resume is exact.

Batches hold clips of similar length and are bounded by their padded frames, not by a count: clips of 2 to 30 s are all
used. They are planned without regard to how many processes train; each then takes a part of every batch. Loading runs
ahead on one thread; it draws nothing at random.

B batch, T phonemes, F frames, S samples.
"""

from __future__ import annotations

import collections
import logging
import pathlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
import torch
from kelong_contract import conditions, corpora, layout
from kelong_contract import store as stores
from kelong_speech import audio
from kelong_speech.config import VoiceConfig
from kelong_speech.encoders import TextBatch
from kelong_speech.synthesiser import Recordings
from kelong_speech.text.utterance import Ids, Utterance
from torch import Tensor

from kelong_trainer.context import BadData
from kelong_trainer.corpus import clip_features, decoding
from kelong_trainer.scoring import held_out
from kelong_trainer.training import alignment_hints
from kelong_trainer.training.ranks import ALONE, Part, Ranks

log = logging.getLogger(__name__)

# A batch of very short clips is bounded too: the decoder's cost counts clips, not frames. A large batch, as many ranks
# take it, may have one for each 250 frames, which is about 3 s.
MOST_ITEMS, FRAMES_PER_ITEM = 32, 250
LENGTH_JITTER = 0.1  # neighbours by length change from epoch to epoch
CACHE_BYTES = 1 << 30  # of examples kept in memory; beyond that they are made again
BATCHES_AHEAD = 2


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


class FeatureFiles:
    """The encoder features of clips: fetched from the store when first wanted, kept in a folder."""

    def __init__(self, store: stores.Store, folder: pathlib.Path) -> None:
        self._store, self._folder = store, folder

    def text(self, clip: corpora.Clip, ids: Ids) -> Tensor | None:
        """Text features [channels, T], None where the corpus has none."""
        path = self._file(clip, clip_features.TEXT)
        return clip_features.text(path, ids.word2ph) if path else None

    def style(self, clip: corpora.Clip) -> Tensor | None:
        """The clip's own style vector [channels], None where the corpus has none."""
        path = self._file(clip, clip_features.STYLE)
        return clip_features.style(path) if path else None

    def channels(self, corpus: corpora.Corpus, kind: str) -> int | None:
        """The width of a kind of feature, None where the corpus has none."""
        path = self._file(corpus.clips[0], kind)
        return clip_features.channels(path) if path else None

    def usual_style(self, corpus: corpora.Corpus, speaker: str) -> tuple[float, ...] | None:
        """How a speaker usually sounds: the mean style vector of the clips trained on, of unit length."""
        vectors = [self.style(clip) for clip in held_out.trained_on(corpus) if clip.speaker == speaker]
        given = [vector for vector in vectors if vector is not None]
        if not given:
            return None
        mean = torch.stack(given).mean(dim=0)
        return tuple((mean / mean.norm()).tolist())

    def _file(self, clip: corpora.Clip, kind: str) -> pathlib.Path | None:
        key = clip.features.get(kind)
        if key is None:
            return None
        path = self._folder / kind / pathlib.PurePosixPath(key).name
        if not path.exists():
            self._store.get_file(key, path)
        return path


class Dataset:
    """The clips of a frozen corpus, fetched from the store once and kept in memory as far as that goes."""

    def __init__(
        self,
        corpus: corpora.Corpus,
        config: VoiceConfig,
        store: stores.Store,
        place: layout.Voice,
        work_dir: pathlib.Path,
    ) -> None:
        self._config, self._store, self._place, self._folder = config, store, place, work_dir / "clips"
        self._features = FeatureFiles(store, work_dir / "features")
        self._speakers = corpus.speakers
        self._kept: collections.OrderedDict[int, Example] = collections.OrderedDict()
        self._kept_bytes = 0
        self._durations: tuple[Tensor, ...] = ()
        usable = [(clip, _ids(clip)) for clip in held_out.trained_on(corpus)]
        self._clips = [(clip, ids) for clip, ids in usable if self._fits(clip, ids)]
        if not self._clips:
            raise BadData(
                conditions.TOO_FEW_CLIPS, f"none of the {len(corpus.clips)} clips of the corpus can be trained on"
            )

        if config.model.frame_prior_layers:
            self._durations = self._aligned(corpus)

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def frame_counts(self) -> list[int]:
        """Frames of every clip."""
        return [self._frames(clip) for clip, _ in self._clips]

    @property
    def phone_counts(self) -> list[int]:
        """Symbols of every clip, as the text encoder sees them."""
        return [len(ids.phone_ids) for _, ids in self._clips]

    def fetch(self, index: int) -> Example:
        """A clip by its index, from memory if it is there."""
        kept = self._kept.get(index)
        if kept is not None:
            self._kept.move_to_end(index)
            return kept
        example = self._load(index)
        self._kept[index] = example
        self._kept_bytes += example.size_bytes
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.size_bytes
        return example

    def _fits(self, clip: corpora.Clip, ids: Ids) -> bool:
        """Preprocessing lets no such clip through; should one come all the same, it is named and left out."""
        frames, needed = self._frames(clip), len(ids.phone_ids)
        if frames < needed:
            log.warning(
                "clip %s (%s) has %d frames, its text needs %d: left out", clip.sha256, clip.text, frames, needed
            )
        return frames >= needed

    def _frames(self, clip: corpora.Clip) -> int:
        """The frames of a clip; one that is shorter than a segment is filled with silence, and not lost."""
        wanted = self._config.audio
        own = clip.samples * wanted.sample_rate_hz // decoding.SAMPLE_RATE_HZ // wanted.hop_samples
        return max(own, self._config.model.segment_frames)

    def _aligned(self, corpus: corpora.Corpus) -> tuple[Tensor, ...]:
        """Frames per phoneme [T] of each clip, found by the recogniser's times and an aligner (`alignment_hints`)."""
        began = time.monotonic()
        transcripts = {transcript.key: transcript for transcript in corpus.transcripts}
        wanted = self._config.audio
        heard = [
            alignment_hints.Heard(
                ids=ids,
                log_mel=audio.log_mel(audio.linear_spectrogram(self._samples(clip)[None], wanted), wanted)[0].numpy(),
                windows_s=alignment_hints.character_windows(clip, transcripts.get(clip.recording)),
                frame_s=wanted.frame_s,
            )
            for clip, ids in self._clips
        ]
        found = tuple(torch.from_numpy(counts) for counts in alignment_hints.align(heard))
        log.info("%d clips aligned in %.1f s", len(found), time.monotonic() - began)
        return found

    def _load(self, index: int) -> Example:
        clip, ids = self._clips[index]
        samples = self._samples(clip)
        return Example(
            clip=clip.sha256,
            ids=ids,
            speaker_id=self._speakers[clip.speaker],
            samples=samples,
            spectrogram=audio.linear_spectrogram(samples.unsqueeze(0), self._config.audio)[0].contiguous(),  # [bins, F]
            text_features=self._features.text(clip, ids),
            style=self._features.style(clip),
            durations=self._durations[index] if self._durations else None,
        )

    def _samples(self, clip: corpora.Clip) -> Tensor:
        """A clip's sound at the voice's rate, a whole number of frames: [S]."""
        path = self._folder / f"{clip.sha256}.flac"
        if not path.exists():
            self._store.get_file(layout.clip(self._place, clip.sha256), path)
        loaded, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        if rate_hz != decoding.SAMPLE_RATE_HZ or loaded.shape != (clip.samples, 1):
            raise BadData(
                conditions.DATASET_INVALID,
                f"clip {clip.sha256} has {loaded.shape[0]} samples in {loaded.shape[1]} channels at {rate_hz} Hz, "
                f"expected {clip.samples} in one at {decoding.SAMPLE_RATE_HZ} Hz; delete it from the store to have it "
                "cut again",
            )
        sound = loaded[:, 0]
        wanted = self._config.audio
        if wanted.sample_rate_hz != rate_hz:
            sound = soxr.resample(sound, rate_hz, wanted.sample_rate_hz)
        length = self._frames(clip) * wanted.hop_samples
        return torch.from_numpy(np.pad(sound, (0, max(0, length - len(sound))))[:length].copy())


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


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A batch and the position that training has once it is done."""

    batch: Batch
    after: Position


class Loader:
    """A rank's part of the batches from a position on, without end, loaded ahead on a thread. Close it when done."""

    def __init__(
        self,
        dataset: Dataset,
        batch_frames: int,
        seed: int,
        start: Position,
        hop_samples: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self._dataset, self._batch_frames, self._seed, self._hop_samples = dataset, batch_frames, seed, hop_samples
        self._ranks = ranks
        self._frame_counts, self._phone_counts = dataset.frame_counts, dataset.phone_counts
        self._ready: queue.Queue[Loaded | BaseException] = queue.Queue(maxsize=BATCHES_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(start,), name="loader", daemon=True)
        self._thread.start()

    def next(self) -> Loaded:
        """The next batch; raises what went wrong while loading it."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop loading."""
        self._closed.set()
        self._thread.join()

    def _run(self, start: Position) -> None:
        try:
            for loaded in self._batches(start):
                if not self._offer(loaded):
                    return
        except Exception as error:  # handed to the loop, which raises it where it can be dealt with
            self._offer(error)

    def _offer(self, item: Loaded | BaseException) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def _batches(self, start: Position) -> Iterator[Loaded]:
        epoch, first = start.epoch, start.batch
        while True:
            batches = plan(self._frame_counts, self._batch_frames, self._seed, epoch)
            for index in range(first, len(batches)):
                last = index + 1 == len(batches)
                after = Position(epoch=epoch + 1) if last else Position(epoch=epoch, batch=index + 1)
                yield Loaded(batch=self._batch(batches[index]), after=after)
            epoch, first = epoch + 1, 0

    def _batch(self, clips: Sequence[int]) -> Batch:
        frame_counts = self._frame_counts
        positions = divide([frame_counts[clip] for clip in clips], self._ranks.size)[self._ranks.rank]
        part = Part(
            positions=positions,
            items=len(clips),
            frames=sum(frame_counts[clip] for clip in clips),
            phones=sum(self._phone_counts[clip] for clip in clips),
        )
        own = [clips[place] for place in positions] or [min(clips, key=lambda clip: frame_counts[clip])]
        return collate([self._dataset.fetch(clip) for clip in own], self._hop_samples, part)


def _ids(clip: corpora.Clip) -> Ids:
    utterance = Utterance.from_phones(
        written=clip.text,
        spoken=clip.spoken,
        phones=clip.phones,
        tones=clip.tones,
        word2ph=clip.word2ph,
        language_ids=clip.language_ids,
    )
    return utterance.ids()


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
