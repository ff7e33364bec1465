"""Who speaks, as a vector of unit length: two of one person point the same way.

Called by the listen stage, and by the judges of auditions.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import transformers
from kelong_contract import store as stores
from kelong_speech import audio, sources

BUNDLED: Final = "bundled"
NONE: Final = "none"

Vector = npt.NDArray[np.float32]  # of unit length
# The vector of whoever speaks, None where nobody does.
Embed = Callable[[audio.Speech], Vector | None]


def identity(address: str | None, namespace: str, store: stores.Store) -> str:
    """What a cache key must hold of a source of embeddings; raises ModelSourceUnavailable."""
    if address in (None, BUNDLED):
        return f"resemblyzer {importlib.metadata.version('resemblyzer')}"
    assert address is not None  # of the two that were left
    return NONE if address == NONE else sources.identity(address, namespace, store)


def load(address: str | None, namespace: str, store: stores.Store, models: pathlib.Path) -> Embed | None:
    """The embedding that a source names: Resemblyzer's where it names nothing else, None for `none`.

    `models` is a folder for fetched models. Raises ModelSourceUnavailable.
    """
    if address in (None, BUNDLED):
        return resemblyzer_embedding()
    assert address is not None  # of the two that were left
    folder = sources.resolve(address, namespace, store, models)
    return None if folder is None else x_vector_embedding(folder, address)


def resemblyzer_embedding() -> Embed:
    """Resemblyzer's encoder (Wan et al., Generalized end-to-end loss, 2018), with the weights in its package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports a name that SciPy has moved
        import resemblyzer

    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)

    def embed(speech: audio.Speech) -> Vector | None:
        if not speech.samples.any():
            return None
        voiced = resemblyzer.preprocess_wav(speech.samples, source_sr=speech.sample_rate_hz)
        if not len(voiced):
            return None
        with _one_thread():
            vector: Vector = encoder.embed_utterance(voiced)
        return vector

    return embed


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A recurrent network's threads wait for each other at every frame: one is faster, when others work by far."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def x_vector_embedding(folder: pathlib.Path, address: str) -> Embed:
    """A speaker verification model of transformers, such as microsoft/wavlm-base-plus-sv.

    `address` is what the folder was named by. Raises ModelSourceUnavailable.
    """
    try:
        extractor: Any = transformers.AutoFeatureExtractor
        extractor = extractor.from_pretrained(folder, local_files_only=True)
        model, report = transformers.AutoModelForAudioXVector.from_pretrained(
            folder, local_files_only=True, weights_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        why = f"it holds no speaker verification model ({str(error).splitlines()[0]})"
        raise sources.ModelSourceUnavailable(address, why) from error
    lacking = sorted(key for key in report["missing_keys"] if not key.startswith("objective."))  # that is for training
    if lacking:
        raise sources.ModelSourceUnavailable(address, f"its weights lack {', '.join(lacking[:5])}")
    model.eval()
    rate_hz = int(extractor.sampling_rate)

    @torch.no_grad()
    def embed(speech: audio.Speech) -> Vector | None:
        if not speech.samples.any():
            return None
        inputs = extractor(audio.resample(speech, rate_hz).samples, sampling_rate=rate_hz, return_tensors="pt")
        vector = model(**inputs).embeddings[0]
        unit: Vector = (vector / vector.norm()).numpy()
        return unit

    return embed
