"""Hears how each recording sounds before anybody asks for words: speech, the room, breaths, music, hum, who speaks.

What was heard of a recording is kept in the store as soon as it is done, by its content and all that the result depends
on, and of a long one each two minutes: a pod that is killed loses no more than that.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from kelong_contract import codec, conditions, corpora, layout
from kelong_speech import sources

from kelong_trainer import documents, telemetry
from kelong_trainer.context import BadOrder, RunContext
from kelong_trainer.corpus.listening import bands, breaths, hum, music, speakers, voice_activity, voices
from kelong_trainer.corpus.sound import decoding, noise
from kelong_trainer.corpus.sources import recordings

VERSION = 3
# So many stretches of a voice tell what it is like through a telephone.
LIMITED_STRETCHES = 48

T = TypeVar("T", corpora.Stretch, corpora.Breath, corpora.Hum)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What took long to hear in one window of a recording, its times counting in the window.

    `vectors` are the embeddings of the stretches `voices`, packed.
    """

    breaths: tuple[corpora.Breath, ...]
    music: tuple[corpora.Stretch, ...]
    hum: tuple[corpora.Hum, ...] = ()
    voices: tuple[corpora.Stretch, ...] = ()
    vectors: str = ""
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One recording as it is kept in the store, with its voices as in a part of it.

    The listening has no voices yet: whose they are is known only when all recordings of the speaker were heard.
    """

    listening: corpora.Listening
    voices: tuple[corpora.Stretch, ...] = ()
    vectors: str = ""
    band: bands.Band = dataclasses.field(default_factory=bands.Band)
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class Limited:
    """The usual voice of a speaker in a narrow band, packed, as it is kept in the store."""

    vector: str
    format: int = 1


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the recordings and this code; raises BadOrder for a missing source."""
    modules = (decoding, voice_activity, noise, bands, breaths, hum, music, voices)
    address = context.order.model.sources.speaker_embedding
    try:
        embedding = speakers.identity(address, context.order.voice.namespace, context.store)
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None
    versions = {module.__name__.rpartition(".")[2]: module.VERSION for module in modules}
    return {"versions": versions, "speaker_embedding": embedding}


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with what is heard in each recording that is not refused yet."""
    refused = {rejection.recording for rejection in corpus.rejections}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    stage = _Stage(context)
    heard = []
    with context.telemetry.stage("listen", round(sum(item.duration_s for item in wanted)), "s") as bar:
        clock = telemetry.Clock(bar)
        for recording in wanted:
            context.check_stopping()
            heard.append(stage.hear(recording, clock.advance))
    return dataclasses.replace(corpus, stage="listen", listenings=_with_voices(stage, wanted, heard))


def _with_voices(
    stage: _Stage, wanted: Sequence[corpora.Recording], heard: Sequence[Heard]
) -> tuple[corpora.Listening, ...]:
    """What was heard, with how like their recording's speaker the voices are."""
    found = {item.listening.key: item.listening for item in heard}
    for name in {recording.speaker for recording in wanted}:
        theirs = [
            _Voices(recording=recording, heard=item, vectors=voices.unpack(item.vectors, len(item.voices)))
            for recording, item in zip(wanted, heard, strict=True)
            if recording.speaker == name and item.voices
        ]
        for one, like in zip(theirs, stage.usual(theirs), strict=True):
            compared = voices.compare(one.heard.voices, one.vectors, like, one.heard.listening.hum)
            found[one.recording.key] = dataclasses.replace(one.heard.listening, voices=compared)
    return tuple(found[item.listening.key] for item in heard)


@dataclass(frozen=True, kw_only=True)
class _Voices:
    """A recording with the embeddings of its stretches."""

    recording: corpora.Recording
    heard: Heard
    vectors: voices.Vectors


class _Stage:
    """One run of the stage. The embedding is loaded only when a recording is met that was not heard before."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._source = recordings.Source(context)
        self._facts = facts(context)
        self._load = functools.cache(functools.partial(_embedding, context))

    def hear(self, recording: corpora.Recording, advance: Callable[[float], None]) -> Heard:
        """From the store, or heard now and put there; `advance` is told the seconds as they are done."""
        key = self._key("listenings", recording)
        store = self._context.store
        if store.exists(key):
            kept = documents.parse(Heard, store.get(key), key, documents.REMAKE)
            advance(recording.duration_s)
            return dataclasses.replace(kept, listening=dataclasses.replace(kept.listening, key=recording.key))
        heard = self._listen(recording, advance)
        store.put(key, codec.dumps(heard), "application/json")
        return heard

    def usual(self, theirs: Sequence[_Voices]) -> list[speakers.Vector]:
        """What each recording of a speaker is to be compared with: the usual voice, as its band would give it.

        Where most of the speech is in a narrow band, that is what is usual, and there is nothing to compare it with.
        """
        full = [one for one in theirs if not one.heard.band.is_narrow]
        of_all, of_full = (sum(len(one.vectors) for one in some) for some in (theirs, full))
        if not theirs:
            return []
        if 2 * of_full < of_all:
            return [voices.usual(np.concatenate([one.vectors for one in theirs]))] * len(theirs)
        usual = voices.usual(np.concatenate([one.vectors for one in full]))
        narrow = {one.heard.band for one in theirs if one.heard.band.is_narrow}
        limited = {band: self._limited(full, usual, band) for band in narrow}
        return [limited.get(one.heard.band, usual) for one in theirs]

    def _limited(self, full: Sequence[_Voices], usual: speakers.Vector, band: bands.Band) -> speakers.Vector:
        """The usual voice, as a narrow band would give it: some of its own stretches, heard again through that."""
        own = [
            (float(vector @ usual), one.recording, stretch)
            for one in full
            for stretch, vector in zip(one.heard.voices, one.vectors, strict=True)
        ]
        own = sorted(own, key=lambda item: -item[0])[: max(1, round(voices.USUAL_SHARE * len(own)))]
        places = sorted(((item.key, stretch.start_s), item, stretch) for _, item, stretch in own)
        chosen = [places[index][1:] for index in voices.spread(len(places), LIMITED_STRETCHES)]
        told = [(item.sha256, stretch.start_s, stretch.end_s) for item, stretch in chosen]
        about = {"version": VERSION, "band": dataclasses.asdict(band), "stretches": told, **self._facts}
        key, store = layout.stage(self._context.place, "limited", codec.digest(about)), self._context.store
        if store.exists(key):
            [vector] = voices.unpack(documents.parse(Limited, store.get(key), key, documents.REMAKE).vector, 1)
            return np.asarray(vector)
        embedding = self._load()
        assert embedding is not None  # there were embeddings to compare
        vectors = []
        for item, stretch in chosen:
            self._context.check_stopping()
            sound = bands.limited(voice_activity.read(self._source.mono(item), stretch), band)
            whole = corpora.Stretch(start_s=0.0, end_s=len(sound) / voice_activity.SAMPLE_RATE_HZ)
            vectors += voices.embed(sound, (whole,), embedding)[1]
        packed = voices.pack([np.stack(vectors).mean(axis=0)])
        store.put(key, codec.dumps(Limited(vector=packed)), "application/json")
        [vector] = voices.unpack(packed, 1)
        return np.asarray(vector)

    def _key(self, kind: str, recording: corpora.Recording, **more: object) -> str:
        about = {"version": VERSION, "sound": recording.sha256, **self._facts, **more}
        return layout.stage(self._context.place, kind, codec.digest(about))

    def _listen(self, recording: corpora.Recording, advance: Callable[[float], None]) -> Heard:
        floor, spectrum = noise.Floor(), bands.Spectrum()
        speech: list[corpora.Stretch] = []
        inhales: list[corpora.Breath] = []
        played: list[corpora.Stretch] = []
        hummed: list[corpora.Hum] = []
        stretches: list[corpora.Stretch] = []
        vectors: list[speakers.Vector] = []
        for window in voice_activity.windows(self._source.mono(recording)):
            self._context.check_stopping()
            floor.add(window.levels, window.speech)
            spectrum.add(window.samples, window.speech)
            part = self._part(recording, window)
            speech += _moved(window.speech, window.start_s)
            inhales += _moved(part.breaths, window.start_s)
            played += _moved(part.music, window.start_s)
            hummed += _moved(part.hum, window.start_s)
            stretches += _moved(part.voices, window.start_s)
            vectors.extend(voices.unpack(part.vectors, len(part.voices)))
            advance(window.duration_s)
        listening = corpora.Listening(
            key=recording.key,
            noise_floor_dbfs=floor.dbfs(),
            speech=tuple(speech),
            breaths=tuple(inhales),
            music=music.joined(played),
            hum=hum.joined(hummed),
        )
        return Heard(listening=listening, voices=tuple(stretches), vectors=voices.pack(vectors), band=spectrum.band())

    def _part(self, recording: corpora.Recording, window: voice_activity.Window) -> Part:
        """From the store, or heard now and put there, if the recording is so long that it has several."""
        is_kept = recording.duration_s > voice_activity.WINDOW_S
        key = self._key("heard", recording, start_s=window.start_s, samples=len(window.samples))
        store = self._context.store
        if is_kept and store.exists(key):
            return documents.parse(Part, store.get(key), key, documents.REMAKE)
        humming = hum.find(window.samples)
        part = Part(
            breaths=breaths.find(window.samples, window.speech),
            music=music.find(window.samples, humming),
            hum=tuple(found.stretch for found in humming),
        )
        embedding = self._load()
        if embedding is not None:
            found, vectors = voices.embed(
                hum.without(window.samples, humming), voices.stretches(window.speech), embedding
            )
            part = dataclasses.replace(part, voices=found, vectors=voices.pack(vectors))
        if is_kept:
            store.put(key, codec.dumps(part), "application/json")
        return part


def _embedding(context: RunContext) -> speakers.Embed | None:
    address = context.order.model.sources.speaker_embedding
    try:
        return speakers.load(address, context.order.voice.namespace, context.store, context.work_dir / "models")
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None


def _moved(items: Sequence[T], offset_s: float) -> list[T]:
    return [dataclasses.replace(item, start_s=item.start_s + offset_s, end_s=item.end_s + offset_s) for item in items]
