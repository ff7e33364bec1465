"""Which reading a character has in its sentence: models for polyphones behind one interface.

`open_model` gives the model an order names. `G2pM` is what installs with the packages (Park and Lee, "g2pM: A Neural
Grapheme-to-Phoneme Conversion Package for Mandarin Chinese Based on a New Open Benchmark Dataset", Interspeech 2020);
`polyphones_onnx` runs g2pW. What a model says is advice: `phrases.PhraseReader` weighs it against the dictionaries.
"""

import hashlib
import importlib.util
import io
import pathlib
import pickle
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from numpy import typing as npt

from kelong_speech.text import phonemes, pinyin, sentences

BUNDLED: Final = "bundled"
NONE: Final = "none"


class PolyphoneModel(Protocol):
    """Reads characters in the light of their text; safe to use from several threads."""

    @property
    def identity(self) -> str:
        """What a cache key and a voice's config must hold: other weights, other identity."""

    def choices(self, text: str) -> list[pinyin.Choice | None]:
        """For each character its reading here, or None where the model has no choice to make."""


class NoModel:
    """Leaves everything to the dictionaries."""

    identity: Final = NONE

    def choices(self, text: str) -> list[pinyin.Choice | None]:
        """No reading at all."""
        return [None] * len(text)


@cache
def _bundled() -> "G2pM":
    """Loaded once a process, whoever asks."""
    return G2pM()


def open_model(address: str | None, folder: pathlib.Path | None = None) -> PolyphoneModel:
    """The model an order names: None or `bundled` is g2pM, `none` is no model, anything else g2pW from `folder`.

    `folder` is what `sources.resolve` made of the address. Raises ValueError in a sentence if it holds no such model.
    """
    if address is None or address == BUNDLED:
        return _bundled()
    if address == NONE:
        return NoModel()
    if folder is None:
        raise ValueError(f"The polyphone model '{address}' has no folder; expected one with g2pW's files.")
    from kelong_speech.text import polyphones_onnx  # onnxruntime takes half a second that few need

    return polyphones_onnx.G2pW(folder)


class G2pM:
    """The weights of the package g2pM by our own arithmetic: one pass for all polyphones of a text.

    A bidirectional LSTM of 32 cells over 64-wide character embeddings, then two layers to 876 readings; only readings
    that its dictionary lists for the character are considered. Cells of both directions advance together, and the
    input's part of the gates is a table made once.

    Shapes: V characters, N characters of the text with both ends, H cells of one direction.
    """

    _FILES: Final = ("np_ckpt.pkl", "char2idx.pkl", "class2idx.pkl", "digest_cedict.pkl")
    _BEGIN, _END, _UNKNOWN = "시", "끝", "<UNK>"

    def __init__(self) -> None:
        found = importlib.util.find_spec("g2pM")
        if found is None or not found.submodule_search_locations:
            raise ValueError("The package g2pM is not installed; install it or set the polyphone model to 'none'.")
        folder = pathlib.Path(found.submodule_search_locations[0])
        contents = [(folder / name).read_bytes() for name in self._FILES]
        weights, self._characters, classes, listed = map(unpickle_arrays, contents)
        self.identity: Final = f"g2pM:{hashlib.sha256(b''.join(contents)).hexdigest()[:16]}"
        self._readings = {number: _syllable(spelling) for spelling, number in classes.items()}
        candidates = {
            char: [classes[spelling] for spelling in spellings if self._sayable(classes.get(spelling))]
            for char, spellings in listed.items()
        }
        self._candidates = {char: numbers for char, numbers in candidates.items() if len(numbers) > 1}
        self._hidden = weights["lstm.weight_hh_l0"].shape[1]
        self._inputs, self._recurrent = _join_directions(weights, self._hidden)
        self._layers = [
            (np.ascontiguousarray(weights[f"logit_layer.{layer}.weight"].T), weights[f"logit_layer.{layer}.bias"])
            for layer in (0, 2)
        ]

    def _sayable(self, number: int | None) -> bool:
        return number is not None and phonemes.is_syllable(self._readings[number].spelling)

    def readings(self, char: str) -> tuple[pinyin.Syllable, ...]:
        """Those it chooses from: two or more for a polyphone, none for any other character."""
        return tuple(self._readings[number] for number in self._candidates.get(char, ()))

    def choices(self, text: str) -> list[pinyin.Choice | None]:
        """The likeliest reading of each character that has several; None for the others."""
        found: list[pinyin.Choice | None] = [None] * len(text)
        written = sentences.as_written(text)
        for start, end in sentences.places(written):
            places = [place for place in range(start, end) if written[place] in self._candidates]
            if places:
                scores = self.scores(written[start:end], [place - start for place in places])
                for place, row in zip(places, scores, strict=True):
                    found[place] = self._choose(self._candidates[written[place]], row)
        return found

    def _choose(self, candidates: Sequence[int], scores: npt.NDArray[np.float32]) -> pinyin.Choice:
        shares = np.exp(scores[candidates] - scores[candidates].max())
        best = int(shares.argmax())
        return pinyin.Choice(self._readings[candidates[best]], float(shares[best] / shares.sum()))

    def scores(self, text: str, places: Sequence[int]) -> npt.NDArray[np.float32]:
        """How much speaks for each reading, [places, 876], in a sentence of N - 2 characters."""
        unknown = self._characters[self._UNKNOWN]
        known = (self._characters.get(char, unknown) for char in text)
        ids = [self._characters[self._BEGIN], *known, self._characters[self._END]]
        inputs = self._inputs[ids]  # [N, 4 gates, 2 directions, H]
        inputs[:, :, 1] = inputs[::-1, :, 1].copy()
        inputs = inputs.reshape(len(ids), -1)
        wide = 2 * self._hidden
        hidden, cell = np.zeros(wide, np.float32), np.zeros(wide, np.float32)
        states = np.empty((len(ids), wide), np.float32)
        for step in range(len(ids)):
            gates = hidden @ self._recurrent
            gates += inputs[step]
            np.tanh(gates, out=gates)
            taken, kept, new, shown = gates.reshape(4, wide)
            cell = (0.5 * kept + 0.5) * cell + (0.5 * taken + 0.5) * new
            hidden = (0.5 * shown + 0.5) * np.tanh(cell)
            states[step] = hidden
        both = np.concatenate([states[:, : self._hidden], states[::-1, self._hidden :]], axis=1)
        (first, first_bias), (second, second_bias) = self._layers
        scores: npt.NDArray[np.float32] = (
            np.maximum(both[np.asarray(places) + 1] @ first + first_bias, 0) @ second + second_bias
        )
        return scores


def _syllable(spelling: str) -> pinyin.Syllable:
    """The dictionary's `nu:3` and `r5` as we spell them."""
    if spelling == "r5":
        return pinyin.Syllable("er", 5)
    return pinyin.syllable(spelling.replace("u:", "v"))


def _join_directions(
    weights: dict[str, npt.NDArray[np.float32]], hidden: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The input's part of all gates, [V, 4 gates, 2 directions, H], and the recurrent weights, [2H, 8H].

    A logistic gate is half a tanh of half its argument plus a half: with the halving put into the weights here, one
    tanh does for all gates.
    """
    gates = 4
    halves = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), hidden)[:, None]  # in, forget, new, out
    inputs = []
    recurrent = np.zeros((2 * hidden, gates, 2, hidden), np.float32)
    for direction, suffix in enumerate(("", "_reverse")):
        bias = weights[f"lstm.bias_ih_l0{suffix}"] + weights[f"lstm.bias_hh_l0{suffix}"]
        table = weights["embedding.weight"] @ (halves * weights[f"lstm.weight_ih_l0{suffix}"]).T + halves[:, 0] * bias
        inputs.append(table.reshape(-1, gates, hidden))
        own = (halves * weights[f"lstm.weight_hh_l0{suffix}"]).T.reshape(hidden, gates, hidden)
        recurrent[direction * hidden : (direction + 1) * hidden, :, direction] = own
    return np.stack(inputs, axis=2), np.ascontiguousarray(recurrent.reshape(2 * hidden, -1))


def unpickle_arrays(content: bytes) -> Any:
    """Plain containers and arrays from a pickle, and nothing else: no other name in the file is ever looked up."""
    return _ArraysOnly(io.BytesIO(content)).load()


class _ArraysOnly(pickle.Unpickler):
    # numpy's own names of 2020 and what they are called now.
    _ALLOWED: Final[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        allowed = self._ALLOWED.get((module, name))
        if allowed is None:
            raise ValueError(f"The polyphone model's file names {module}.{name}; only arrays were expected in it.")
        return allowed
