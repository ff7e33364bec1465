"""Writes down what is said in each recording, whole: words with times, and the stretches of speech.

The transcript of each recording, and of each two minutes of a longer one, is kept in the store as soon as it is made,
by the digest of recording and model: a pod that is killed loses no more than that.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from kelong_contract import codec, conditions, corpora, layout
from kelong_speech import sources

from kelong_trainer import documents, telemetry
from kelong_trainer.context import BadOrder, RunContext
from kelong_trainer.corpus import decoding, recogniser, recordings

log = logging.getLogger(__name__)

VERSION = 1
# A long recording is heard in windows that end inside a pause: memory does not grow with its length, and a stop waits
# for one window only.
WINDOW_S = 120.0
LEAST_PAUSE_S = 0.3

Samples = npt.NDArray[np.float32]
T = TypeVar("T", corpora.Word, corpora.Stretch)


class _Window(NamedTuple):
    """A part of a recording at the recogniser's rate, and where it starts there."""

    start_s: float
    samples: Samples
    speech: tuple[corpora.Stretch, ...]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One recording's transcript as it is kept in the store. `other` names a language that is not Mandarin."""

    transcript: corpora.Transcript
    other: str | None = None
    format: int = 1


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the recordings and this code; raises BadOrder for a missing source."""
    try:
        source = sources.identity(_address(context), context.order.voice.namespace, context.store)
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None
    return {
        "recogniser": source,
        "recognising": recogniser.VERSION,
        "language": recogniser.LANGUAGE,
        "window_s": WINDOW_S,
    }


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with a transcript of each recording, and a rejection for those in which nobody speaks Mandarin."""
    refused = {rejection.recording for rejection in corpus.rejections}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    stage = _Stage(context)
    transcripts, rejections = [], []
    with context.telemetry.stage("transcribe", round(sum(item.duration_s for item in wanted)), "s") as bar:
        clock = _Clock(bar)
        for recording in wanted:
            context.check_stopping()
            heard = stage.hear(recording, clock.advance)
            transcripts.append(heard.transcript)
            rejection = _rejection(recording, heard)
            if rejection is not None:
                log.warning("%s", rejection.message)
                rejections.append(rejection)
    return dataclasses.replace(
        corpus,
        stage="transcribe",
        transcripts=tuple(transcripts),
        rejections=(*corpus.rejections, *rejections),
    )


class _Clock:
    """Moves a bar of whole seconds by fractions of them."""

    def __init__(self, bar: telemetry.Bar) -> None:
        self._bar, self._done_s, self._shown_s = bar, 0.0, 0

    def advance(self, seconds: float) -> None:
        self._done_s += seconds
        whole = int(self._done_s) - self._shown_s
        self._shown_s += whole
        self._bar.advance(whole)


class _Stage:
    """Loads the model only when a recording is met that was not heard before."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._source = recordings.Source(context)
        self._facts = facts(context)
        self._recogniser: recogniser.Recogniser | None = None

    def hear(self, recording: corpora.Recording, advance: Callable[[float], None]) -> Heard:
        """The transcript from the store, or made now and put there; `advance` is told the seconds as they are done."""
        key = self._key("transcripts", recording)
        store = self._context.store
        if store.exists(key):
            kept = documents.parse(Heard, store.get(key), key, documents.REMAKE)
            advance(recording.duration_s)
            return dataclasses.replace(kept, transcript=dataclasses.replace(kept.transcript, key=recording.key))
        heard = self._listen(recording, advance)
        store.put(key, codec.dumps(heard), "application/json")
        return heard

    def _key(self, kind: str, recording: corpora.Recording, **more: object) -> str:
        about = {"version": VERSION, "sound": recording.sha256, "decoding": decoding.VERSION, **self._facts, **more}
        return layout.stage(self._context.place, kind, codec.digest(about))

    def _listen(self, recording: corpora.Recording, advance: Callable[[float], None]) -> Heard:
        words: list[corpora.Word] = []
        speech: list[corpora.Stretch] = []
        for window in windows(self._source.mono(recording)):
            self._context.check_stopping()
            heard = self._window(recording, window, is_first=not speech)
            words += heard.transcript.words
            speech += heard.transcript.speech
            if heard.other is not None:
                return Heard(transcript=_transcript(recording, heard.other, words, speech), other=heard.other)
            advance(len(window.samples) / recogniser.SAMPLE_RATE_HZ)
        return Heard(transcript=_transcript(recording, recogniser.LANGUAGE, words, speech))

    def _window(self, recording: corpora.Recording, window: _Window, *, is_first: bool) -> Heard:
        """One window's part of the transcript, kept in the store like the whole; the first tells the language."""
        if not window.speech:
            return Heard(transcript=_transcript(recording, recogniser.LANGUAGE, [], []))
        key = self._key("windows", recording, start_s=window.start_s, samples=len(window.samples), first=is_first)
        store = self._context.store
        if store.exists(key):
            return documents.parse(Heard, store.get(key), key, documents.REMAKE)
        model = self._model()
        speech = [_moved(stretch, window.start_s) for stretch in window.speech]
        language = model.language(window.samples) if is_first else None
        if language is not None and language.is_other:
            heard = Heard(transcript=_transcript(recording, language.code, [], speech), other=language.code)
        else:
            words = [_moved(word, window.start_s) for word in model.words(window.samples)]
            heard = Heard(transcript=_transcript(recording, recogniser.LANGUAGE, words, speech))
        store.put(key, codec.dumps(heard), "application/json")
        return heard

    def _model(self) -> recogniser.Recogniser:
        if self._recogniser is None:
            self._recogniser = _load(self._context)
        return self._recogniser


def windows(path: pathlib.Path) -> Iterator[_Window]:
    """A recording in parts of at most WINDOW_S that end in the last longer pause of each, if it has one."""
    rest, start = np.zeros(0, np.float32), 0  # start counts samples at the recogniser's rate
    blocks = _blocks(path)
    wanted = round(WINDOW_S * recogniser.SAMPLE_RATE_HZ)
    ended = False
    while not ended:
        parts, length = [rest], len(rest)
        while length < wanted and not ended:
            block = next(blocks, None)
            ended = block is None
            if block is not None:
                parts.append(block)
                length += len(block)
        samples = np.concatenate(parts)
        speech = recogniser.find_speech(samples)
        end = len(samples) if ended else _end(samples, speech)
        if not ended:
            speech = tuple(stretch for stretch in speech if stretch.end_s * recogniser.SAMPLE_RATE_HZ <= end)
        if end:
            yield _Window(start / recogniser.SAMPLE_RATE_HZ, samples[:end], speech)
        rest, start = samples[end:], start + end


def _end(samples: Samples, speech: tuple[corpora.Stretch, ...]) -> int:
    """Where a window that is not the last ends: in the middle of its last longer pause, else of any, else nowhere."""
    ends = [stretch.end_s for stretch in speech]
    starts = [*(stretch.start_s for stretch in speech[1:]), len(samples) / recogniser.SAMPLE_RATE_HZ]
    pauses = [(end_s, start_s) for end_s, start_s in zip(ends, starts, strict=False) if end_s < start_s]
    longer = [(end_s, start_s) for end_s, start_s in pauses if start_s - end_s >= LEAST_PAUSE_S]
    if not pauses:
        return len(samples)
    end_s, start_s = (longer or pauses)[-1]
    return round((end_s + start_s) / 2 * recogniser.SAMPLE_RATE_HZ)


def _blocks(path: pathlib.Path) -> Iterator[Samples]:
    """The sound of a file of the work folder at the recogniser's rate, ten seconds at a time."""
    resampler = soxr.ResampleStream(
        decoding.SAMPLE_RATE_HZ, recogniser.SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ"
    )
    for block in soundfile.blocks(path, blocksize=10 * decoding.SAMPLE_RATE_HZ, dtype="float32"):
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _address(context: RunContext) -> str:
    address = context.order.model.sources.recogniser
    if address is None or address == "none":
        raise BadOrder(
            conditions.MODEL_SOURCE_UNAVAILABLE,
            f"model.sources.recogniser is {address or 'not given'}: labels need a Whisper model, such as "
            "hub:Systran/faster-whisper-large-v3@main or store:whisper-large-v3/",
        )
    return address


def _load(context: RunContext) -> recogniser.Recogniser:
    address = _address(context)
    try:
        folder = sources.resolve(address, context.order.voice.namespace, context.store, context.work_dir / "models")
        assert folder is not None  # `_address` refuses none
        return recogniser.Recogniser.load(folder, address=address, device=context.device, threads=context.threads)
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None
    except recogniser.Unusable as error:
        raise BadOrder(error.reason, str(error)) from None


def _transcript(
    recording: corpora.Recording, language: str, words: list[corpora.Word], speech: list[corpora.Stretch]
) -> corpora.Transcript:
    return corpora.Transcript(key=recording.key, language=language, words=tuple(words), speech=tuple(speech))


def _rejection(recording: corpora.Recording, heard: Heard) -> corpora.Rejection | None:
    """Why nothing of a recording can be used, if so."""
    silent = corpora.Rejection(
        recording=recording.key,
        start_s=0.0,
        end_s=recording.duration_s,
        reason="NoSpeech",
        message=f"nobody speaks in {recording.key}",
    )
    if not heard.transcript.speech:
        return silent
    if heard.other is not None:
        message = f"{recording.key} is not in Mandarin: the recogniser takes it for '{heard.other}'"
        return dataclasses.replace(silent, reason="OtherLanguage", message=message)
    if not heard.transcript.words:
        message = f"somebody speaks in {recording.key}, but no words were understood"
        return dataclasses.replace(silent, reason="NoText", message=message)
    return None


def _moved(item: T, offset_s: float) -> T:
    return dataclasses.replace(item, start_s=item.start_s + offset_s, end_s=item.end_s + offset_s)
