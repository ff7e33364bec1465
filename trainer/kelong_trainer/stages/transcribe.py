"""Writes down what is said in each recording, whole: words with times, and the stretches of speech.

The transcript of each recording, and of each two minutes of a longer one, is kept in the store as soon as it is made,
by the digest of recording and model: a pod that is killed loses no more than that.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kelong_contract import codec, conditions, corpora, layout
from kelong_speech import sources

from kelong_trainer import documents, telemetry
from kelong_trainer.context import BadOrder, RunContext
from kelong_trainer.corpus import decoding, recogniser, recordings, voice_activity

log = logging.getLogger(__name__)

VERSION = 1
T = TypeVar("T", corpora.Word, corpora.Stretch)


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
        "windows": voice_activity.VERSION,
    }


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with a transcript of each recording, and a rejection for those in which nobody speaks Mandarin."""
    refused = {rejection.recording for rejection in corpus.rejections}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    stage = _Stage(context)
    transcripts, rejections = [], []
    with context.telemetry.stage("transcribe", round(sum(item.duration_s for item in wanted)), "s") as bar:
        clock = telemetry.Clock(bar)
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
        for window in voice_activity.windows(self._source.mono(recording)):
            self._context.check_stopping()
            heard = self._window(recording, window, is_first=not speech)
            words += heard.transcript.words
            speech += heard.transcript.speech
            if heard.other is not None:
                return Heard(transcript=_transcript(recording, heard.other, words, speech), other=heard.other)
            advance(len(window.samples) / recogniser.SAMPLE_RATE_HZ)
        return Heard(transcript=_transcript(recording, recogniser.LANGUAGE, words, speech))

    def _window(self, recording: corpora.Recording, window: voice_activity.Window, *, is_first: bool) -> Heard:
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
