"""Times for words from a CTC model: what is said is known, the model says when.

Called by the transcribe stage where `sources.aligner` names a model. The best path of the words' characters through the
model's scores tells the frame of each (Kürzinger et al., "CTC-segmentation of large corpora for German end-to-end
speech recognition", 2020; by torchaudio's `forced_align`); a recogniser's own word times come from its attention.

S samples, F frames, V symbols of the vocabulary.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchaudio
import transformers
from kelong_contract import conditions
from kelong_contract.corpora import Word
from kelong_contract.lexicon import is_han

from kelong_trainer.corpus.words import recogniser

VERSION = 1  # raise when the same words would get other times than before
RATE_HZ = recogniser.SAMPLE_RATE_HZ
# CTC puts a symbol at a spike and leaves the rest blank: a word lasts until the next one starts, at most this long.
LINGERING_S = 0.15

Samples = npt.NDArray[np.float32]


class Aligner:
    """A loaded Wav2Vec2 model with a head for characters."""

    def __init__(self, model: Any, vocabulary: dict[str, int], *, normalises: bool) -> None:
        self._model, self._vocabulary, self._normalises = model, vocabulary, normalises
        self._blank = int(model.config.pad_token_id)
        self._frame_s = float(model.config.inputs_to_logits_ratio) / RATE_HZ

    @classmethod
    def load(cls, folder: pathlib.Path, *, address: str, device: torch.device) -> Aligner:
        """The model in a folder; raises recogniser.Unusable."""
        try:
            extractor: Any = transformers.AutoFeatureExtractor
            extractor = extractor.from_pretrained(folder, local_files_only=True)
            tokenizer: Any = transformers.Wav2Vec2CTCTokenizer.from_pretrained(folder, local_files_only=True)
            network: Any = transformers.Wav2Vec2ForCTC
            model, report = network.from_pretrained(
                folder, local_files_only=True, weights_only=True, output_loading_info=True, dtype=torch.float32
            )
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise _refusal(address, f"cannot be loaded ({str(error).splitlines()[0]})") from error
        lacking = sorted(str(key) for key in (*report["missing_keys"], *report["mismatched_keys"]))
        if lacking:
            raise _refusal(address, f"lacks the weights {', '.join(lacking[:5])}")
        if int(extractor.sampling_rate) != RATE_HZ:
            raise _refusal(address, f"hears {extractor.sampling_rate} Hz, expected {RATE_HZ}")
        vocabulary = {symbol: int(number) for symbol, number in tokenizer.get_vocab().items() if len(symbol) == 1}
        if not any(is_han(symbol) for symbol in vocabulary):
            raise _refusal(address, "knows no Chinese character")
        return cls(model.to(device).eval(), vocabulary, normalises=bool(extractor.do_normalize))

    @torch.no_grad()
    def align(self, samples: Samples, words: Sequence[Word]) -> tuple[Word, ...]:
        """The words with their times in the sound [S] at 16 kHz, from its first sample.

        A word of which the model knows no character keeps its share of the time between its neighbours. Where the
        sound is too short for the words, they keep the times they came with.
        """
        numbers, owners = self._numbers(words)
        if not numbers:
            return tuple(words)
        scores = self._scores(samples)  # [1, F, V]
        repeats = sum(left == right for left, right in itertools.pairwise(numbers))
        if scores.shape[1] < len(numbers) + repeats:
            return tuple(words)
        path, _ = torchaudio.functional.forced_align(scores, torch.tensor([numbers]), blank=self._blank)
        spans = _spikes(path[0].tolist(), self._blank)
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for owner, (start, end) in zip(owners, spans, strict=True):
            first.setdefault(owner, start)
            last[owner] = end
        return self._placed(words, first, last, len(samples) / RATE_HZ)

    def _numbers(self, words: Sequence[Word]) -> tuple[list[int], list[int]]:
        """The characters of all words as the model counts them, and whose each is."""
        numbers, owners = [], []
        for index, word in enumerate(words):
            for char in word.text:
                known = next((form for form in (char, char.lower(), char.upper()) if form in self._vocabulary), None)
                if known is not None and known.isalnum():
                    numbers.append(self._vocabulary[known])
                    owners.append(index)
        return numbers, owners

    def _scores(self, samples: Samples) -> torch.Tensor:
        sound = torch.from_numpy(samples.astype(np.float32))
        if self._normalises:
            sound = (sound - sound.mean()) / torch.sqrt(sound.var(unbiased=False) + 1e-7)
        logits = self._model(sound[None].to(self._model.device)).logits
        scores: torch.Tensor = torch.log_softmax(logits.float(), dim=-1).cpu()
        return scores

    def _placed(
        self, words: Sequence[Word], first: dict[int, int], last: dict[int, int], length_s: float
    ) -> tuple[Word, ...]:
        """The words from their first spike to their last, and a little on; those without any in between."""
        starts = [first[index] * self._frame_s if index in first else None for index in range(len(words))]
        placed: list[Word] = []
        for index, word in enumerate(words):
            following = next((start for start in starts[index + 1 :] if start is not None), length_s)
            before_s = placed[-1].end_s if placed else 0.0
            if index in first:
                start_s = max(first[index] * self._frame_s, before_s)
                end_s = max(last[index] * self._frame_s, min(following, last[index] * self._frame_s + LINGERING_S))
            else:
                start_s, end_s = before_s, max(min(following, before_s + LINGERING_S), before_s)
            placed.append(dataclasses.replace(word, start_s=start_s, end_s=max(start_s, min(end_s, length_s))))
        return tuple(placed)


def _spikes(path: Sequence[int], blank: int) -> list[tuple[int, int]]:
    """The frames [start, end) of each symbol on a path, in their order."""
    spans: list[tuple[int, int]] = []
    before = blank
    for frame, number in enumerate(path):
        if number != blank and number == before:
            spans[-1] = (spans[-1][0], frame + 1)
        elif number != blank:
            spans.append((frame, frame + 1))
        before = number
    return spans


def _refusal(address: str, why: str) -> recogniser.Unusable:
    return recogniser.Unusable(
        conditions.MODEL_SOURCE_UNAVAILABLE,
        f"the aligner '{address}' {why}; expected a Wav2Vec2 model with a head for Chinese characters, such as "
        "hub:jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn@main",
    )
