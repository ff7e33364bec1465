"""A clip's file in this process's work folder, and its sound as it was cut or as a voice of a configuration takes it.

S samples.
"""

from __future__ import annotations

import pathlib

import numpy as np
import soundfile
import soxr
import torch
from kelong_contract import conditions, corpora, layout
from kelong_contract import store as stores
from kelong_speech import audio
from kelong_speech.config import VoiceConfig
from torch import Tensor

from kelong_trainer.context import BadData
from kelong_trainer.corpus.sound import decoding


def fetched(store: stores.Store, place: layout.Voice, clip: corpora.Clip, work_dir: pathlib.Path) -> pathlib.Path:
    """The clip's file, fetched from the store by whoever needs it first: stages and training hear the same bytes.

    Raises stores.NoSuchObject.
    """
    path = work_dir / "clips" / f"{clip.sha256}.flac"
    if not path.exists():
        store.get_file(layout.clip(place, clip.sha256), path)
    return path


def as_cut(path: pathlib.Path) -> audio.Speech:
    """The sound in a clip's file, as it was cut from its recording."""
    loaded, rate_hz = soundfile.read(path, dtype="float32")
    return audio.Speech(samples=loaded, sample_rate_hz=rate_hz)


def frames(clip: corpora.Clip, config: VoiceConfig) -> int:
    """The frames of a clip; one that is shorter than a training segment is filled with silence, and not lost."""
    wanted = config.audio
    own = clip.samples * wanted.sample_rate_hz // decoding.SAMPLE_RATE_HZ // wanted.hop_samples
    return max(own, config.model.segment_frames)


def samples(path: pathlib.Path, clip: corpora.Clip, config: VoiceConfig) -> Tensor:
    """The sound in a clip's file [S], S = `frames` x hop; raises BadData for a file that is not the clip's."""
    loaded, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    if rate_hz != decoding.SAMPLE_RATE_HZ or loaded.shape != (clip.samples, 1):
        raise BadData(
            conditions.DATASET_INVALID,
            f"clip {clip.sha256} has {loaded.shape[0]} samples in {loaded.shape[1]} channels at {rate_hz} Hz, "
            f"expected {clip.samples} in one at {decoding.SAMPLE_RATE_HZ} Hz; delete it from the store to have it "
            "cut again",
        )
    sound = loaded[:, 0]
    wanted = config.audio
    if wanted.sample_rate_hz != rate_hz:
        sound = soxr.resample(sound, rate_hz, wanted.sample_rate_hz)
    length = frames(clip, config) * wanted.hop_samples
    return torch.from_numpy(np.pad(sound, (0, max(0, length - len(sound))))[:length].copy())
