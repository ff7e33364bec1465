"""The clips that are trained on, each made ready when it is wanted: sound, phonemes, features.

T phonemes with blanks, F frames, S samples.
"""

from __future__ import annotations

import collections
import logging
import pathlib

import torch
from kelong_contract import conditions, corpora, layout
from kelong_contract import store as stores
from kelong_speech import audio
from kelong_speech.config import VoiceConfig
from kelong_speech.text import symbols
from kelong_speech.text.utterance import Ids
from torch import Tensor

from kelong_trainer.context import BadData
from kelong_trainer.corpus.clips import clip_features, clip_sound
from kelong_trainer.scoring import held_out
from kelong_trainer.training.batches import Example

log = logging.getLogger(__name__)

CACHE_BYTES = 1 << 30  # of examples kept in memory; beyond that they are made again


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

    def durations(self, clip: corpora.Clip) -> Tensor | None:
        """Frames per phoneme [T], None where the corpus tells none."""
        path = self._file(clip, clip_features.DURATIONS)
        return clip_features.durations(path) if path else None

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
        self._config, self._store, self._place, self._work_dir = config, store, place, work_dir
        self._features = FeatureFiles(store, work_dir / "features")
        self._speakers = corpus.speakers
        self._kept: collections.OrderedDict[int, Example] = collections.OrderedDict()
        self._kept_bytes = 0
        usable = [(clip, clip_features.ids(clip)) for clip in held_out.trained_on(corpus)]
        self._clips = [(clip, ids) for clip, ids in usable if self._fits(clip, ids)]
        if not self._clips:
            raise BadData(
                conditions.TOO_FEW_CLIPS, f"none of the {len(corpus.clips)} clips of the corpus can be trained on"
            )
        untold = [clip.sha256 for clip, _ in self._clips if clip_features.DURATIONS not in clip.features]
        if config.model.frame_prior_layers and untold:
            raise BadData(
                conditions.DATASET_INVALID,
                f"{len(untold)} of {len(self._clips)} clips of the corpus come without durations, which the preset "
                f"{config.preset} needs (the first is {untold[0]}): make a new VoiceModel of the same recordings",
            )

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def frame_counts(self) -> list[int]:
        """Frames of every clip."""
        return [clip_sound.frames(clip, self._config) for clip, _ in self._clips]

    def digest(self, index: int) -> str:
        """The digest of a clip's sound, by which it draws."""
        return self._clips[index][0].sha256

    def phone_count(self, index: int, *, plain: bool) -> int:
        """Symbols of a clip, as the text encoder sees them; of its text without pauses and breaths if `plain`."""
        clip, ids = self._clips[index]
        marks = sum(phone in symbols.INLINE_MARKS for phone in clip.phones) if plain else 0
        return len(ids.phone_ids) - 2 * marks

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
        frames, needed = clip_sound.frames(clip, self._config), len(ids.phone_ids)
        if frames < needed:
            log.warning(
                "clip %s (%s) has %d frames, its text needs %d: left out", clip.sha256, clip.text, frames, needed
            )
        return frames >= needed

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
            durations=self._features.durations(clip),
        )

    def _samples(self, clip: corpora.Clip) -> Tensor:
        path = clip_sound.fetched(self._store, self._place, clip, self._work_dir)
        return clip_sound.samples(path, clip, self._config)
