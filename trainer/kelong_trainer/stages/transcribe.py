"""Writes down what is said in each recording, whole, before anything is cut: words with times.

What is heard of each few minutes of a recording is kept in the store as soon as it is there, by the digest of sound,
speech and model, and so is the transcript of a whole one: a pod that is killed loses no more than that.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from kelong_contract import codec, conditions, corpora, layout
from kelong_speech import sources
from kelong_speech.text import traditional

from kelong_trainer import documents, telemetry
from kelong_trainer.context import BadOrder, RunContext
from kelong_trainer.corpus.sound import decoding
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.corpus.words import agreement, hearing, punctuation, recogniser, supplied, word_times

log = logging.getLogger(__name__)

VERSION = 4
# A recording in which nobody speaks is music if so much of it is.
MUSIC_SHARE = 0.5

Model = TypeVar("Model", covariant=True)


class _Loader(Protocol[Model]):
    """Loads a model from a folder, or raises recogniser.Unusable."""

    def __call__(self, folder: pathlib.Path, *, address: str, device: torch.device) -> Model: ...


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One recording's transcript as it is kept in the store."""

    transcript: corpora.Transcript
    format: int = 2


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """What one recogniser heard in some passages of a recording, as it is kept in the store."""

    heard: hearing.Heard
    format: int = 2


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the recordings and this code; raises BadOrder for a missing source."""
    given = context.order.model.sources
    return {
        "recogniser": _identity(context, _address(context)),
        "second": _identity(context, given.second_recogniser or "none"),
        "aligner": (_identity(context, given.aligner or "none"), word_times.VERSION),
        "language": recogniser.LANGUAGE,
        "hearing": hearing.VERSION,
        "punctuation": punctuation.VERSION,
        "supplied": (supplied.VERSION, agreement.VERSION),
    }


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with a transcript of each recording, and a rejection for those in which nobody speaks Mandarin."""
    refused = {rejection.recording for rejection in corpus.rejections}
    listenings = {listening.key: listening for listening in corpus.listenings}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    stage = _Stage(context)
    transcripts, rejections, notes = [], [], []
    with context.telemetry.stage("transcribe", round(sum(item.duration_s for item in wanted)), "s") as bar:
        clock = telemetry.Clock(bar)
        for recording in wanted:
            context.check_stopping()
            transcript = stage.transcribe(recording, listenings[recording.key], clock.advance)
            transcripts.append(transcript)
            if recording.text and transcript.words and not transcript.heard:
                notes.append(_unfitting(recording))
            rejection = _rejection(recording, listenings[recording.key], transcript)
            if rejection is not None:
                log.warning("%s", rejection.message)
                rejections.append(rejection)
    return dataclasses.replace(
        corpus,
        stage="transcribe",
        transcripts=tuple(transcripts),
        rejections=(*corpus.rejections, *rejections),
        notes=(*corpus.notes, *notes),
    )


class _Stage:
    """One run of the stage."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._source = recordings.Source(context)
        self._facts = facts(context)
        self._loaded: word_times.Aligner | None = None
        self._ears = [_Ear(context, _address(context), hearing.FIRST)]
        second = context.order.model.sources.second_recogniser
        if second is not None and second != "none":
            self._ears.append(_Ear(context, second, hearing.SECOND))

    def transcribe(
        self, recording: corpora.Recording, listening: corpora.Listening, advance: Callable[[float], None]
    ) -> corpora.Transcript:
        """From the store, or made now and put there; `advance` is told the seconds as they are done."""
        about = {"version": VERSION, **_sound(recording, listening), "text": recording.text, **self._facts}
        key = layout.stage(self._context.place, "transcripts", codec.digest(about))
        store = self._context.store
        if store.exists(key):
            kept = documents.parse(Heard, store.get(key), key, documents.REMAKE)
            advance(recording.duration_s)
            return dataclasses.replace(kept.transcript, key=recording.key)
        transcript = self._listen(recording, listening, advance)
        store.put(key, codec.dumps(Heard(transcript=transcript)), "application/json")
        return transcript

    def _listen(
        self, recording: corpora.Recording, listening: corpora.Listening, advance: Callable[[float], None]
    ) -> corpora.Transcript:
        """What the recognisers hear, with the time of the recording that each of them takes."""
        sound = hearing.Sound(lambda: self._source.mono(recording))
        share = 1 / len(self._ears)
        heard, *others = [
            ear.hear(recording, listening, sound, lambda seconds: advance(seconds * share)) for ear in self._ears
        ]
        laid = supplied.lay(traditional.simplified(recording.text), heard.words) if recording.text else None
        words = heard.words if laid is None or not laid.fits else laid.words
        if not any(punctuation.is_marked(word) for word in words[:-1]) or words is heard.words:
            words = punctuation.restored(words, listening.speech)
        aligner = self._aligner()
        if aligner is not None:
            words = hearing.aligned(aligner, words, listening.speech, recording.duration_s, sound)
        return corpora.Transcript(
            key=recording.key,
            language=recogniser.LANGUAGE,
            words=words,
            speech=listening.speech,
            heard=heard.words if laid is not None and laid.fits else (),
            second=tuple(word for other in others for word in other.words if not hearing.lies_in(word, heard.foreign)),
            foreign=heard.foreign,
            invented=heard.invented,
        )

    def _aligner(self) -> word_times.Aligner | None:
        """The model that `sources.aligner` names, loaded once."""
        address = self._context.order.model.sources.aligner
        if self._loaded is None and address is not None and address != "none":
            self._loaded = _load(self._context, address, word_times.Aligner.load)
        return self._loaded


class _Ear:
    """One recogniser. It loads its model only when something is met that was not heard before."""

    def __init__(self, context: RunContext, address: str, way: hearing.Way) -> None:
        self._context, self._address, self._way = context, address, way
        self._facts = {
            "recogniser": _identity(context, address),
            "way": dataclasses.asdict(way),
            "hearing": hearing.VERSION,
        }
        self._model: recogniser.Recogniser | None = None

    def hear(
        self,
        recording: corpora.Recording,
        listening: corpora.Listening,
        sound: hearing.Sound,
        advance: Callable[[float], None],
    ) -> hearing.Heard:
        """All of a recording, some passages at a time; each such part is kept in the store."""
        store, found, done_s = self._context.store, hearing.NOTHING, 0.0
        spoken = (listening.speech, recording.duration_s)
        for number, passages in enumerate(hearing.batches(*spoken, sound, self._way)):
            self._context.check_stopping()
            about = {**_sound(recording, listening), "batch": number, **self._facts}
            key = layout.stage(self._context.place, "windows", codec.digest(about))
            if store.exists(key):
                heard = documents.parse(_Batch, store.get(key), key, documents.REMAKE).heard
            else:
                heard = hearing.hear(self._recogniser(), passages, listening.speech, sound, self._way)
                store.put(key, codec.dumps(_Batch(heard=heard)), "application/json")
            found = found.followed_by(heard)
            advance(passages[-1].end_s - done_s)
            done_s = passages[-1].end_s
        advance(recording.duration_s - done_s)
        return found

    def _recogniser(self) -> recogniser.Recogniser:
        if self._model is None:
            threads = self._context.threads
            self._model = _load(
                self._context, self._address, functools.partial(recogniser.Recogniser.load, threads=threads)
            )
        return self._model


def _sound(recording: corpora.Recording, listening: corpora.Listening) -> dict[str, object]:
    """What was recorded and where somebody speaks in it, for keys."""
    return {"sound": recording.sha256, "decoding": decoding.VERSION, "speech": codec.digest(listening.speech)}


def _address(context: RunContext) -> str:
    address = context.order.model.sources.recogniser
    if address is None or address == "none":
        raise BadOrder(
            conditions.MODEL_SOURCE_UNAVAILABLE,
            f"model.sources.recogniser is {address or 'not given'}: labels need a Whisper model, such as "
            "hub:Systran/faster-whisper-large-v3@main or store:whisper-large-v3/",
        )
    return address


def _identity(context: RunContext, address: str) -> str:
    try:
        return sources.identity(address, context.order.voice.namespace, context.store)
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None


def _load(context: RunContext, address: str, load: _Loader[Model]) -> Model:
    """A model of the order on the context's device; raises BadOrder."""
    try:
        folder = sources.resolve(address, context.order.voice.namespace, context.store, context.work_dir / "models")
        assert folder is not None  # `none` is no model
        return load(folder, address=address, device=context.device)
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None
    except recogniser.Unusable as error:
        raise BadOrder(error.reason, str(error)) from None


def _unfitting(recording: corpora.Recording) -> str:
    message = f"the transcript of {recording.key} is not what is said there: the recogniser's words are used instead"
    log.warning("%s ('%s…')", message, recording.text[:40])
    return message


def _rejection(
    recording: corpora.Recording, listening: corpora.Listening, transcript: corpora.Transcript
) -> corpora.Rejection | None:
    """Why nothing of a recording can be used, if so."""
    silent = corpora.Rejection(
        recording=recording.key,
        start_s=0.0,
        end_s=recording.duration_s,
        reason="NoSpeech",
        message=f"nobody speaks in {recording.key}",
    )
    if not transcript.speech:
        music_s = sum(stretch.end_s - stretch.start_s for stretch in listening.music)
        if music_s < MUSIC_SHARE * recording.duration_s:
            return silent
        return dataclasses.replace(silent, reason="Music", message=f"{recording.key} is music, and nobody speaks in it")
    if transcript.words:
        return None
    if transcript.foreign:
        languages = " and ".join(f"'{code}'" for code in sorted({item.language for item in transcript.foreign}))
        message = f"{recording.key} is not in Mandarin: the recogniser takes it for {languages}"
        return dataclasses.replace(silent, reason="OtherLanguage", message=message)
    message = f"somebody speaks in {recording.key}, but no words were understood"
    return dataclasses.replace(silent, reason="NoText", message=message)
