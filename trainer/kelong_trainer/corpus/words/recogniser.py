"""Hears what is said: faster-whisper over passages of a recording, Traditional characters simplified.

Called by the transcribe stage. It knows neither the store nor files: samples in, words out, whose times count from the
first sample of their passage. The same sound gives the same words: nothing is drawn.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faster_whisper
import numpy as np
import numpy.typing as npt
import torch
from kelong_contract import conditions
from kelong_contract.corpora import Word
from kelong_speech.text import traditional

from kelong_trainer.corpus.listening import voice_activity

log = logging.getLogger(__name__)

VERSION = 3  # raise when the same sound would give other words than before
SAMPLE_RATE_HZ = voice_activity.SAMPLE_RATE_HZ
LANGUAGE = "zh"
MANDARIN = "zh"
BEAM = 5
BATCH = 8
# A loop ("好好好好…") compresses far better than speech. It is heard again, without the prompt, then without repeats.
MOST_COMPRESSION = 2.4
NO_REPEATS = 6  # tokens
# Brings simplified characters, punctuation, and numbers as they are spoken.
PROMPT = "以下是普通话的句子。"
ECHOED, MOST_ECHO = "普通话", 14  # characters
# More than anyone says in a sentence: eight syllables a second of two tokens each. The model takes 448, the prompt too.
TOKENS_PER_S, LEAST_TOKENS, MOST_TOKENS = 16, 16, 400

Samples = npt.NDArray[np.float32]
_MARKS = re.compile(r"[\W_]")
_WIDE = str.maketrans(",?!:;", "，？！：；")


class Unusable(Exception):
    """No words can be had from this recogniser here: `reason` is a condition reason, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What was heard in one passage.

    `language` is the code the recogniser would guess, and how sure it is, `mandarin` how sure of Mandarin. `silence` is
    the chance that nobody speaks. `loops` says that no way of hearing it gave anything but a loop: there are no words.
    """

    words: tuple[Word, ...]
    language: str
    probability: float
    mandarin: float
    silence: float
    loops: bool = False


class _Pipeline(faster_whisper.BatchedInferencePipeline):  # type: ignore[misc]  # it comes without types
    """Keeps what languages each passage could be: the encoder has run anyway."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.languages: list[list[tuple[str, float]]] = []

    def generate_segment_batched(self, features: Any, tokenizer: Any, options: Any) -> tuple[Any, Any]:
        """As it is, with a look at the languages."""
        encoded, output = super().generate_segment_batched(features, tokenizer, options)
        self.languages += self.model.model.detect_language(encoded)
        return encoded, output


class Recogniser:
    """A loaded model. One per process: it holds the model's weights."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._pipeline = _Pipeline(model)

    @classmethod
    def load(cls, folder: pathlib.Path, *, address: str, device: torch.device, threads: int) -> Recogniser:
        """The model in a folder: int8 on the CPU, half precision on a GPU. Raises Unusable."""
        _check_folder(folder, address)
        on_gpu = device.type == "cuda"
        try:
            model = faster_whisper.WhisperModel(
                str(folder),
                device="cuda" if on_gpu else "cpu",
                device_index=device.index or 0,
                compute_type="float16" if on_gpu else "int8",
                cpu_threads=threads,
                local_files_only=True,
            )
            if on_gpu:  # the libraries of CUDA are looked for at the first computation only
                model.encode(model.feature_extractor(np.zeros(SAMPLE_RATE_HZ, np.float32))[..., :3000])
        except (RuntimeError, ValueError) as error:
            raise _refusal(error, address, on_gpu) from error
        if not model.model.is_multilingual:
            raise Unusable(
                conditions.MODEL_SOURCE_UNAVAILABLE, f"the recogniser '{address}' knows English only, not Mandarin"
            )
        return cls(model)

    def hear(self, sounds: Sequence[Samples], *, prompt: str | None = PROMPT) -> tuple[Hearing, ...]:
        """What is said in each of some passages of at most half a minute, [S] at 16 kHz each.

        Times are off by a tenth of a second: never cut there.
        """
        found = self._listen(sounds, prompt, no_repeats=0)
        for no_repeats in (0, NO_REPEATS):
            doubtful = [index for index, heard in enumerate(found) if heard.loops or echoes_prompt(heard.words)]
            if not doubtful:
                break
            log.info("%d passages came out as loops, or as the prompt, and are heard again", len(doubtful))
            again = self._listen([sounds[index] for index in doubtful], None, no_repeats)
            for index, heard in zip(doubtful, again, strict=True):
                found[index] = heard
        return tuple(dataclasses.replace(heard, words=()) if heard.loops else heard for heard in found)

    def _listen(self, sounds: Sequence[Samples], prompt: str | None, no_repeats: int) -> list[Hearing]:
        """One way of hearing some passages."""
        starts = np.cumsum([0, *(len(sound) for sound in sounds)]) / SAMPLE_RATE_HZ
        self._pipeline.languages = []
        segments, _ = self._pipeline.transcribe(
            np.concatenate(sounds),
            language=LANGUAGE,
            word_timestamps=True,
            beam_size=BEAM,
            batch_size=BATCH,
            initial_prompt=prompt,
            no_repeat_ngram_size=no_repeats,
            clip_timestamps=[{"start": float(start), "end": float(end)} for start, end in itertools.pairwise(starts)],
        )
        heard: list[list[Any]] = [[] for _ in sounds]
        for segment in segments:
            middle_s = segment.seek / self._pipeline.model.frames_per_second + 0.01  # its passage's start, cut short
            heard[int(np.searchsorted(starts, middle_s, side="right")) - 1].append(segment)
        return [
            self._hearing(part, float(start_s), languages)
            for part, start_s, languages in zip(heard, starts[:-1], self._pipeline.languages, strict=True)
        ]

    def _hearing(self, segments: Sequence[Any], start_s: float, languages: Sequence[tuple[str, float]]) -> Hearing:
        chances = {token.strip("<|>"): chance for token, chance in languages}
        language = max(chances, key=lambda code: chances[code])
        words = [word for segment in segments for word in segment.words or []]
        return Hearing(
            words=tuple(simplified(words, start_s)),
            language=language,
            probability=chances[language],
            mandarin=chances.get(MANDARIN, 0.0),
            silence=max((segment.no_speech_prob for segment in segments), default=1.0),
            loops=any(segment.compression_ratio > MOST_COMPRESSION for segment in segments),
        )

    def sentence(self, samples: Samples) -> str:
        """What is said in a few seconds, without times: what a voice is judged by. The same sound gives the same words.

        Babble is not tried again at other temperatures, which are drawn, nor is a loop followed for long.
        """
        segments, _ = self._model.transcribe(
            samples,
            language=LANGUAGE,
            beam_size=BEAM,
            temperature=0.0,
            initial_prompt=PROMPT,
            without_timestamps=True,
            condition_on_previous_text=False,
            max_new_tokens=min(MOST_TOKENS, LEAST_TOKENS + round(TOKENS_PER_S * len(samples) / SAMPLE_RATE_HZ)),
        )
        return traditional.simplified("".join(segment.text for segment in segments)).strip()


def simplified(words: Sequence[Any], offset_s: float) -> list[Word]:
    """Whisper's words as ours, in simplified characters, `offset_s` earlier.

    Whole sentences are converted, since some characters depend on their neighbours; then cut at the words.
    """
    texts = [word.word for word in words]  # a space before a Latin word belongs to it
    whole = traditional.simplified("".join(texts))
    found, position = [], 0
    for word, text in zip(words, texts, strict=True):
        plain = whole[position : position + len(text)].rstrip()
        position += len(text)
        if plain.strip():
            found.append(
                Word(
                    text=_wide(plain),
                    start_s=max(0.0, float(word.start) - offset_s),
                    end_s=max(0.0, float(word.end) - offset_s),
                    probability=round(float(word.probability), 4),
                )
            )
    return found


def echoes_prompt(words: Sequence[Word]) -> bool:
    """Whether the recogniser may have written down what it was told, instead of what it heard.

    Over noise it also writes 这位是普通话的, or half of it.
    """
    text = _MARKS.sub("", "".join(word.text for word in words))
    return _MARKS.sub("", PROMPT) in text or (len(text) <= MOST_ECHO and ECHOED in text)


def _wide(text: str) -> str:
    """Chinese punctuation behind Chinese words; figures like 3.5 and 12:30 keep theirs."""
    return text if text.isascii() and text.strip(" ,?!:;") else text.translate(_WIDE)


def _check_folder(folder: pathlib.Path, address: str) -> None:
    missing = [name for name in ("config.json", "model.bin", "tokenizer.json") if not (folder / name).is_file()]
    if missing:
        raise Unusable(
            conditions.MODEL_SOURCE_UNAVAILABLE,
            f"the recogniser '{address}' lacks {', '.join(missing)}: expected a Whisper model in CTranslate2's form, "
            "such as hub:Systran/faster-whisper-large-v3@main",
        )
    try:
        json.loads((folder / "config.json").read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise Unusable(
            conditions.MODEL_SOURCE_UNAVAILABLE, f"the recogniser '{address}' has an unreadable config.json"
        ) from None


def _refusal(error: Exception, address: str, on_gpu: bool) -> Unusable:
    if not on_gpu:
        return Unusable(conditions.MODEL_SOURCE_UNAVAILABLE, f"the recogniser '{address}' cannot be loaded ({error})")
    return Unusable(
        conditions.GPU_UNUSABLE,
        f"the recogniser cannot use the GPU ({error}); CTranslate2 needs a driver for CUDA 12 and libcublas.so.12 on "
        "the library path",
    )
