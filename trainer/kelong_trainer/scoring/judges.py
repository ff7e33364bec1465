"""What can be told of a voice without listening: is it understood, is it the speaker, does it sound sound.

`speaking` asks for the figures of each audition. A judge is loaded when it is first asked, once a process, and works on
one thread. One that cannot be had gives no figure, never 0, and the log says once why.
"""

from __future__ import annotations

import io
import logging
import pathlib
import statistics
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final, Generic, TypeVar

import jiwer
import numpy as np
import soundfile
import torch
from kelong_contract import codec, corpora, layout, manifests, orders
from kelong_contract import store as stores
from kelong_speech import audio, sources
from kelong_speech.text import frontend, symbols

from kelong_trainer.corpus.listening import speakers
from kelong_trainer.corpus.sound import quality
from kelong_trainer.corpus.words import recogniser
from kelong_trainer.scoring import held_out

log = logging.getLogger(__name__)

SILENCE_DBFS: Final = -50.0
SILENCE_FRAME_S: Final = 0.02
_FULL_SCALE: Final = 32767 / 32768
_MARKS: Final = frozenset((symbols.PAD, *symbols.MARKS, *symbols.INLINE_MARKS))

Read = Callable[[str], frontend.Utterance]
T = TypeVar("T")


class Missing(Exception):
    """A judge that is not to be had; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judges say of one sentence: the words that were heard, None without a recogniser, and the figures."""

    heard: str | None
    figures: manifests.Figures


class Judges:
    """Those that an order names, for its voice. `models` is a folder for fetched models."""

    def __init__(self, order: orders.TrainingOrder, store: stores.Store, models: pathlib.Path, read: Read) -> None:
        self._order, self._store, self._models, self._read = order, store, models, read
        self._recogniser = _Judge("error rates", self._load_recogniser)
        self._likeness = _Judge("speaker similarity", self._load_likeness)
        self._dnsmos = _Judge("DNSMOS", quality.Dnsmos)

    def judge(self, speech: audio.Speech, text: str, speaker: str) -> Verdict:
        """All figures of a sentence that was spoken as a speaker of the voice."""
        heard, cer, pinyin_cer = None, None, None
        listening = self._recogniser.get()
        if listening is not None:
            heard = listening.sentence(audio.resample(speech, recogniser.SAMPLE_RATE_HZ).samples)
            cer, pinyin_cer = error_rates(text, heard, self._read)
        likeness, dnsmos = self._likeness.get(), self._dnsmos.get()
        figures = manifests.Figures(
            cer=cer,
            pinyin_cer=pinyin_cer,
            similarity=likeness.similarity(speech, speaker) if likeness is not None else None,
            dnsmos=dnsmos.overall(speech) if dnsmos is not None else None,
            clipped_share=clipped_share(speech),
            silent_share=silent_share(speech),
        )
        return Verdict(heard=heard, figures=figures)

    def unsaid(self) -> manifests.Figures:
        """What a sentence counts for that a step cannot say to its end: nothing of it is understood."""
        wrong = 1.0 if self._recogniser.get() is not None else None
        return manifests.Figures(cer=wrong, pinyin_cer=wrong)

    def _load_recogniser(self) -> recogniser.Recogniser:
        address, folder = self._folder("recogniser", self._order.model.sources.recogniser)
        return recogniser.Recogniser.load(folder, address=address, device=torch.device("cpu"), threads=1)

    def _load_likeness(self) -> Likeness:
        key = layout.corpus(self._order.voice.place())
        try:
            corpus = codec.loads(corpora.Corpus, self._store.get(key), key)
        except stores.NoSuchObject:
            raise Missing("there is no corpus yet whose recordings could be compared with") from None
        if not corpus.held_out:
            raise Missing(f"of {len(corpus.clips)} clips none is held out from training: they are too few")
        address = self._order.model.sources.speaker_embedding
        embed = speakers.load(address, self._order.voice.namespace, self._store, self._models)
        if embed is None:
            raise Missing("model.sources.speakerEmbedding names none")
        return Likeness(embed, lambda speaker: self._held_out(corpus, speaker))

    def _held_out(self, corpus: corpora.Corpus, speaker: str) -> list[audio.Speech]:
        found = []
        for clip in held_out.of_speaker(corpus, speaker):
            data = self._store.get(layout.clip(self._order.voice.place(), clip.sha256))
            samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
            found.append(audio.Speech(samples=samples, sample_rate_hz=rate_hz))
        return found

    def _folder(self, name: str, address: str | None) -> tuple[str, pathlib.Path]:
        if address in (None, "none"):
            raise Missing(f"model.sources.{name} names none")
        assert address is not None  # of the two that were left
        folder = sources.resolve(address, self._order.voice.namespace, self._store, self._models)
        assert folder is not None  # only `none` gives no folder
        return address, folder


class _Judge(Generic[T]):
    """Something that is loaded when it is first wanted, or found missing then."""

    def __init__(self, figure: str, load: Callable[[], T]) -> None:
        self._figure, self._load = figure, load
        self._found: T | None = None
        self._is_tried = False

    def get(self) -> T | None:
        """It, or None if it cannot be had."""
        if not self._is_tried:
            self._is_tried = True
            try:
                self._found = self._load()
            except (
                Missing,
                quality.Missing,
                sources.ModelSourceUnavailable,
                recogniser.Unusable,
                ImportError,
            ) as error:
                log.warning("auditions get no %s: %s", self._figure, error)
        return self._found


# Words.


def error_rates(wanted: str, heard: str, read: Read) -> tuple[float | None, float | None]:
    """Character and toneless-syllable error rates, at most 1 each: beyond it there is nothing left to get wrong.

    Both texts go through the same front end, so that it does not matter who writes numbers in figures. None where
    nothing was to be said, such as pauses alone.
    """
    target, found = _Plain.of(wanted, read), _Plain.of(heard, read)
    cer = jiwer.cer(target.characters, found.characters) if target.characters else None
    syllables = (" ".join(target.syllables), " ".join(found.syllables))
    pinyin_cer = jiwer.wer(*syllables) if target.syllables else None
    return _at_most_one(cer), _at_most_one(pinyin_cer)


def _at_most_one(rate: float | None) -> float | None:
    return None if rate is None else min(1.0, float(rate))


@dataclass(frozen=True)
class _Plain:
    """What counts of a text: characters without punctuation, and what is said for each, without tones."""

    characters: str
    syllables: tuple[str, ...]

    @classmethod
    def of(cls, text: str, read: Read) -> _Plain:
        utterance = _read_what_can_be_said(text, read)
        if utterance is None:
            return cls("", ())
        spoken = unicodedata.normalize("NFKC", utterance.spoken).casefold()
        syllables, place = [], 0
        for count in utterance.word2ph:
            syllables.append("".join(phone for phone in utterance.phones[place : place + count] if phone not in _MARKS))
            place += count
        return cls(
            "".join(char for char in spoken if char.isalnum()),
            tuple(filter(None, syllables)),
        )


def _read_what_can_be_said(text: str, read: Read) -> frontend.Utterance | None:
    """The utterance without the characters that have no phones: a recogniser may write anything."""
    while text:
        try:
            return read(text)
        except frontend.UnspeakableText as error:
            text = text[: error.position] + text[error.position + 1 :]
    return None


# The speaker.


class Likeness:
    """How like a speaker somebody sounds: `held_out` gives the recordings of theirs that are compared with."""

    def __init__(self, embed: speakers.Embed, held_out: Callable[[str], Sequence[audio.Speech]]) -> None:
        self._embed, self._recordings = embed, held_out
        self._usual: dict[str, speakers.Vector | None] = {}

    def similarity(self, speech: audio.Speech, speaker: str) -> float | None:
        """The cosine to the mean of their recordings; None where nothing can be compared."""
        if speaker not in self._usual:
            self._usual[speaker] = self._mean(speaker)
        usual, vector = self._usual[speaker], self._embed(speech)
        return float(vector @ usual) if vector is not None and usual is not None else None

    def _mean(self, speaker: str) -> speakers.Vector | None:
        vectors = [vector for recording in self._recordings(speaker) if (vector := self._embed(recording)) is not None]
        if not vectors:
            log.warning("%s gets no speaker similarity: none of their clips is held out from training", speaker)
            return None
        mean: speakers.Vector = np.mean(vectors, axis=0)
        return mean / np.linalg.norm(mean)


# The sound.


def clipped_share(speech: audio.Speech) -> float | None:
    """The part of the samples at full scale, None without any."""
    return float(np.mean(np.abs(speech.samples) >= _FULL_SCALE)) if len(speech.samples) else None


def silent_share(speech: audio.Speech) -> float | None:
    """The part of the samples in stretches of 20 ms that are quieter than -50 dB of full scale, None without any."""
    length = round(SILENCE_FRAME_S * speech.sample_rate_hz)
    frames = speech.samples[: len(speech.samples) // length * length].reshape(-1, length)
    if not len(frames):
        return None
    levels = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    return float(np.mean(levels < 10 ** (SILENCE_DBFS / 20)))


def means(figures: Sequence[manifests.Figures]) -> manifests.Figures:
    """Each figure's mean over those that have it; None where none has."""
    found = {}
    for field in fields(manifests.Figures):
        values = [value for one in figures if (value := getattr(one, field.name)) is not None]
        found[field.name] = statistics.fmean(values) if values else None
    return manifests.Figures(**found)
