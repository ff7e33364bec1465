"""Hears what is said in a recording: faster-whisper with its bundled Silero VAD, Traditional characters simplified.

Called by the transcribe stage. It knows neither the store nor files: samples in, words and stretches of speech out.
Times count from the first sample it is given.
"""

from __future__ import annotations

import json
import logging
import pathlib
import re
from dataclasses import dataclass
from typing import Any

import faster_whisper
import numpy as np
import numpy.typing as npt
import opencc
import torch
from kelong_contract import conditions
from kelong_contract.corpora import Word

from kelong_trainer.corpus import voice_activity

log = logging.getLogger(__name__)

VERSION = 1  # raise when the same sound would give other words than before
SAMPLE_RATE_HZ = voice_activity.SAMPLE_RATE_HZ
LANGUAGE = "zh"
MANDARIN = ("zh",)
# Below this the first guess at another language is not believed: music and laughter look like many languages.
LEAST_OTHER_LANGUAGE = 0.8
BEAM = 5
BATCH = 8
# A loop ("好好好好…") compresses far better than speech; the sequential way then tries again at other temperatures.
MOST_COMPRESSION = 2.4
DETECTION_S = 30.0
# Simplified characters, and numbers as they are spoken. Only where no word times are wanted: with them the model loops.
PROMPT = "以下是普通话的句子。"
# More than anyone says in a sentence: eight syllables a second of two tokens each. The model takes 448, the prompt too.
TOKENS_PER_S, LEAST_TOKENS, MOST_TOKENS = 16, 16, 400

Samples = npt.NDArray[np.float32]
# OpenCC leaves 著 alone, since it is two characters in simplified writing: 着 but for these words.
_PARTICLE = re.compile("(?<![显卓昭名原编译专巨论遗土合所拙])著(?![名作称述者录])")
_WIDE = str.maketrans(",?!:;", "，？！：；")


class Unusable(Exception):
    """No words can be had from this recogniser here: `reason` is a condition reason, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Language:
    """What the recogniser takes a recording's language for."""

    code: str
    probability: float

    @property
    def is_other(self) -> bool:
        """Whether it is clearly not Mandarin."""
        return self.code not in MANDARIN and self.probability >= LEAST_OTHER_LANGUAGE


class Recogniser:
    """A loaded model. One per process: it holds the model's weights."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._batched = faster_whisper.BatchedInferencePipeline(model)
        self._simplify = opencc.OpenCC("t2s")

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

    def language(self, samples: Samples) -> Language:
        """The language of the first half minute of speech."""
        spans = [(stretch.start_s, stretch.end_s) for stretch in voice_activity.find_speech(samples)]
        parts = [samples[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] for start, end in spans]
        speech = np.concatenate(parts or [samples])
        code, probability, _ = self._model.detect_language(speech[: int(DETECTION_S * SAMPLE_RATE_HZ)])
        return Language(code=code, probability=float(probability))

    def words(self, samples: Samples) -> tuple[Word, ...]:
        """What is said, with a time for each word. Times are off by a tenth of a second: never cut there."""
        # An initial prompt would give simplified characters, but with word times it makes the model loop.
        segments, _ = self._batched.transcribe(
            samples, language=LANGUAGE, word_timestamps=True, beam_size=BEAM, batch_size=BATCH
        )
        heard = []
        for segment in segments:
            looped = segment.compression_ratio > MOST_COMPRESSION
            heard += self._again(samples, segment) if looped else [segment]
        return tuple(word for segment in heard for word in self._simplified(segment.words or []))

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
        return self.simplify("".join(segment.text for segment in segments)).strip()

    def _again(self, samples: Samples, segment: Any) -> list[Any]:
        """The stretch of a segment once more, with the model's own means against loops."""
        log.info("%.1f s to %.1f s came out as a loop and is heard again", segment.start, segment.end)
        found, _ = self._model.transcribe(
            samples,
            language=LANGUAGE,
            word_timestamps=True,
            beam_size=BEAM,
            clip_timestamps=[segment.start, segment.end],
            condition_on_previous_text=False,
        )
        return [again for again in found if again.compression_ratio <= MOST_COMPRESSION]

    def simplify(self, text: str) -> str:
        """Traditional characters as simplified ones, one for one."""
        simplified = self._simplify.convert(text)
        if len(simplified) != len(text):  # a phrase came out longer; single characters never do
            simplified = "".join(map(self._simplify.convert, text))
        return _PARTICLE.sub("着", simplified)

    def _simplified(self, words: list[Any]) -> list[Word]:
        """Whole sentences are converted, since some characters depend on their neighbours; then cut at the words."""
        texts = [word.word for word in words]  # a space before a Latin word belongs to it
        whole = self.simplify("".join(texts))
        found, position = [], 0
        for word, text in zip(words, texts, strict=True):
            simplified = whole[position : position + len(text)].rstrip()
            position += len(text)
            if simplified.strip():
                found.append(
                    Word(
                        text=_wide(simplified),
                        start_s=float(word.start),
                        end_s=float(word.end),
                        probability=round(float(word.probability), 4),
                    )
                )
        return found


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
