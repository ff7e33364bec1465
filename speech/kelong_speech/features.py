"""What other models know about a text or a sound: text-encoder features per phoneme and CLAP style vectors.

Both load from a local folder that transformers reads, and neither is ever replaced by zeros: what is configured and
cannot be loaded is `ModelSourceUnavailable`. The trainer computes them for its clips, the server for what it says.

C feature channels, N characters, T phonemes.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
import string
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from kelong_speech import audio, sources

DEFAULT_HIDDEN_STATE = -3
# CLAP's feature extractor draws from numpy's global generator, so its state is set before each clip and restored after.
# The rule belongs in the cache key of a style vector.
CLAP_RULE = "one clip at a time, numpy seeded with the first 32 bits of the SHA-256 of its int16 samples"
_numpy_state = threading.Lock()


class TextTooLong(ValueError):
    """A text has more characters than the text encoder has positions for."""


def unavailable(what: str, where: object, reason: str) -> sources.ModelSourceUnavailable:
    """The error of a source whose model is there and cannot be used; its message names both and the reason."""
    return sources.ModelSourceUnavailable(str(where), f"the {what} there cannot be used, {reason}")


_LETTERS = frozenset(string.ascii_letters)
_RUNS = re.compile(r"[A-Za-z]+|[\s\S]")


class TextEncoder:
    """A BERT-like encoder whose hidden states, one per character, are spread over the phonemes of each character."""

    def __init__(self, model: Any, tokenizer: Any, hidden_state: int) -> None:
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._hidden_state = hidden_state

    @classmethod
    def load(
        cls, folder: pathlib.Path, *, hidden_state: int = DEFAULT_HIDDEN_STATE, device: torch.device | None = None
    ) -> TextEncoder:
        """Load from a folder with weights, config.json and vocabulary; raises `ModelSourceUnavailable`."""
        model = load_model(folder, "text encoder", add_pooling_layer=False)
        layers = model.config.num_hidden_layers
        if not -(layers + 1) <= hidden_state <= layers:
            reason = f"it has {layers + 1} hidden states, number {hidden_state} was asked for"
            raise unavailable("text encoder", folder, reason)
        return cls(model.to(device or torch.device("cpu")), _load_tokenizer(folder), hidden_state)

    @property
    def channels(self) -> int:
        """Width of the features."""
        return int(self._model.config.hidden_size)

    @property
    def max_characters(self) -> int:
        """The longest text it can take."""
        return int(self._model.config.max_position_embeddings) - 2

    @torch.no_grad()
    def encode(self, spoken: str, word2ph: Sequence[int]) -> Tensor:
        """Features [C, T] on the CPU for a normalised text, T = sum of `word2ph`.

        `word2ph` has an entry for each character and one for each edge. Every channel has unit length over the
        characters, edges included. Raises `TextTooLong`, and ValueError where counts do not fit.
        """
        if len(word2ph) != len(spoken) + 2:
            expected = len(spoken) + 2
            raise ValueError(f"{len(spoken)} characters and two edges need {expected} counts, not {len(word2ph)}")
        tokens, places = self._tokens(spoken)
        if len(tokens) > self.max_characters:
            raise TextTooLong(
                f"{len(tokens)} characters in one piece, the text encoder takes {self.max_characters}: split the text"
            )
        tokens = [self._tokenizer.cls_token, *tokens, self._tokenizer.sep_token]
        ids = torch.tensor([self._tokenizer.convert_tokens_to_ids(tokens)], device=self._model.device)
        states = self._model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        state = states.hidden_states[self._hidden_state][0].float()  # [tokens + 2, C]
        features: Tensor = (state / state.norm(dim=0, keepdim=True).clamp_min(1e-12)).cpu()
        by_character = features[torch.tensor([0, *(place + 1 for place in places), len(features) - 1])]
        spread: Tensor = by_character.repeat_interleave(torch.tensor(list(word2ph)), dim=0)
        return spread.T.contiguous()

    def _tokens(self, spoken: str) -> tuple[list[str], list[int]]:
        """The tokens of a text, and for each of its characters the place of the token that covers it.

        Chinese goes character by character, as the model's own tokeniser splits it: one token each, whatever the
        vocabulary lacks. Latin letters go word by word as that tokeniser cuts them. A space, which only parts two
        Latin words, belongs to the token before it.
        """
        tokens: list[str] = []
        places: list[int] = []
        for run in _RUNS.findall(spoken):
            if run == " " and tokens:
                places.append(len(tokens) - 1)
                continue
            pieces = self._tokenizer.tokenize(run) if run[0] in _LETTERS else [run]
            sizes = [len(piece.removeprefix("##")) for piece in pieces]
            if sum(sizes) != len(run):  # a word the vocabulary has no pieces for: one unknown token
                pieces, sizes = [self._tokenizer.unk_token], [len(run)]
            for piece, size in zip(pieces, sizes, strict=True):
                places += [len(tokens)] * size
                tokens.append(piece)
        return tokens, places


class StyleEncoder:
    """CLAP: how a recording sounds, as a vector of unit length."""

    def __init__(self, model: Any, extractor: Any) -> None:
        self._model = model.eval().requires_grad_(False)
        self._extractor = extractor

    @classmethod
    def load(cls, folder: pathlib.Path, *, device: torch.device | None = None) -> StyleEncoder:
        """Load from a folder with weights, config.json and extractor; raises `ModelSourceUnavailable`."""
        model = load_model(folder, "style encoder")
        try:
            extractor: Any = transformers.AutoFeatureExtractor
            extractor = extractor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise unavailable("style encoder", folder, _first_line(error)) from error
        return cls(model.to(device or torch.device("cpu")), extractor)

    @property
    def channels(self) -> int:
        """Width of the vectors."""
        return int(self._model.config.projection_dim)

    @torch.no_grad()
    def of_audio(self, speech: audio.Speech) -> Tensor:
        """The style vector [C] of a recording, the same in every program and at every call."""
        rate = int(self._extractor.sampling_rate)
        heard = audio.resample(speech, rate).samples
        seed = int.from_bytes(hashlib.sha256(audio.to_int16(speech.samples).tobytes()).digest()[:4], "big")
        with _numpy_state:
            before = np.random.get_state()
            np.random.seed(seed)
            try:
                inputs = self._extractor(heard, sampling_rate=rate, return_tensors="pt")
            finally:
                np.random.set_state(before)
        found = self._model.get_audio_features(**inputs.to(self._model.device))
        return _unit(found.pooler_output[0])


def _unit(vector: Tensor) -> Tensor:
    vector = vector.float().cpu()
    return torch.nn.functional.normalize(vector, dim=0)


def load_model(folder: pathlib.Path, what: str, **options: bool) -> Any:
    """A model whose every tensor comes from the folder: transformers itself would draw missing ones at random.

    Raises `ModelSourceUnavailable`.
    """
    if not (folder / "config.json").is_file():
        raise unavailable(what, folder, "there is no config.json in it")
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, weights_only=True, output_loading_info=True, dtype=torch.float32, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise unavailable(what, folder, _first_line(error)) from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise unavailable(what, folder, f"its weights lack {shown}")
    return model


def _load_tokenizer(folder: pathlib.Path) -> Any:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise unavailable("text encoder", folder, _first_line(error)) from error
    # Without a vocabulary file transformers makes one of the special tokens alone: every character would be unknown.
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise unavailable("text encoder", folder, "there is no vocabulary in it")
    return tokenizer


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
