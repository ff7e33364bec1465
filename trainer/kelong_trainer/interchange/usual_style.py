"""The usual style of imported speakers: a vector that the original saved beside a clip, or one of a recording."""

from __future__ import annotations

import pathlib
import tempfile

import soundfile
from kelong_contract import store as stores
from kelong_speech import audio, features, sources
from torch import Tensor
from torch.nn import functional

from kelong_trainer.corpus.sound import decoding, media
from kelong_trainer.interchange import original_files
from kelong_trainer.interchange.original_files import Unusable

SAVED = (".pt", ".pth")


def read(path: pathlib.Path, channels: int | None, encoder: str | None, store: stores.Store) -> tuple[float, ...]:
    """The style in a file, `channels` wide and of unit length; `encoder` is the source that a recording needs.

    Raises Unusable or sources.ModelSourceUnavailable.
    """
    saved = path.suffix in SAVED
    if not saved and encoder is None:
        raise Unusable(
            f"{path} is no .pt file with a style: name the style encoder that is to hear it as a recording "
            "(--style-source store:PREFIX)"
        )
    found = original_files.load_tensor(path) if saved else _heard(path, str(encoder), store)
    vector = found.detach().float().flatten()
    if channels is None or vector.numel() != channels:
        raise Unusable(f"{path} gives {vector.numel()} values, the voice's style has {channels or 'none'}")
    return tuple(functional.normalize(vector, dim=0).tolist())


def _heard(path: pathlib.Path, encoder: str, store: stores.Store) -> Tensor:
    """What the encoder hears in a recording, decoded as recordings to train with are."""
    with tempfile.TemporaryDirectory(prefix="kelong-style-") as work:
        folder = sources.resolve(encoder, "", store, pathlib.Path(work) / "models")
        if folder is None:
            raise Unusable(f"--style-source {encoder} is no style encoder")
        sound = pathlib.Path(work) / "style.flac"
        try:
            decoding.decode(path, sound)
        except (media.Undecodable, OSError) as error:
            raise Unusable(f"{path} cannot be heard: {error}") from None
        samples, rate_hz = soundfile.read(sound, dtype="float32")
        return features.StyleEncoder.load(folder).of_audio(audio.Speech(samples=samples, sample_rate_hz=rate_hz))
