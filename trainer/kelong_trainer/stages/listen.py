"""Hears how each recording sounds before anybody asks for words: speech, the room, breaths, music, who speaks.

What was heard of a recording is kept in the store as soon as it is done, by its content and all that the result depends
on: a pod that is killed loses no more than one recording's part.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kelong_contract import codec, corpora, layout

from kelong_trainer import documents, telemetry
from kelong_trainer.context import RunContext
from kelong_trainer.corpus import breaths, decoding, noise, recordings, voice_activity

log = logging.getLogger(__name__)

VERSION = 1

T = TypeVar("T", corpora.Stretch, corpora.Breath)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One recording as it is kept in the store."""

    listening: corpora.Listening
    format: int = 1


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the recordings and this code."""
    modules = (decoding, voice_activity, noise, breaths)
    return {"versions": {module.__name__.rpartition(".")[2]: module.VERSION for module in modules}}


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with what is heard in each recording that is not refused yet."""
    refused = {rejection.recording for rejection in corpus.rejections}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    stage = _Stage(context)
    listenings = []
    with context.telemetry.stage("listen", round(sum(item.duration_s for item in wanted)), "s") as bar:
        clock = telemetry.Clock(bar)
        for recording in wanted:
            context.check_stopping()
            listenings.append(stage.hear(recording, clock.advance).listening)
    return dataclasses.replace(corpus, stage="listen", listenings=tuple(listenings))


class _Stage:
    """One run of the stage."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._source = recordings.Source(context)
        self._facts = facts(context)

    def hear(self, recording: corpora.Recording, advance: Callable[[float], None]) -> Heard:
        """From the store, or heard now and put there; `advance` is told the seconds as they are done."""
        about = {"version": VERSION, "sound": recording.sha256, **self._facts}
        key = layout.stage(self._context.place, "listenings", codec.digest(about))
        store = self._context.store
        if store.exists(key):
            kept = documents.parse(Heard, store.get(key), key, documents.REMAKE)
            advance(recording.duration_s)
            return dataclasses.replace(kept, listening=dataclasses.replace(kept.listening, key=recording.key))
        heard = self._listen(recording, advance)
        store.put(key, codec.dumps(heard), "application/json")
        return heard

    def _listen(self, recording: corpora.Recording, advance: Callable[[float], None]) -> Heard:
        floor = noise.Floor()
        speech: list[corpora.Stretch] = []
        inhales: list[corpora.Breath] = []
        for window in voice_activity.windows(self._source.mono(recording)):
            self._context.check_stopping()
            floor.add(window.levels, window.speech)
            speech += [_moved(stretch, window.start_s) for stretch in window.speech]
            inhales += [_moved(breath, window.start_s) for breath in breaths.find(window.samples, window.speech)]
            advance(window.duration_s)
        listening = corpora.Listening(
            key=recording.key, noise_floor_dbfs=floor.dbfs(), speech=tuple(speech), breaths=tuple(inhales)
        )
        return Heard(listening=listening)


def _moved(item: T, offset_s: float) -> T:
    return dataclasses.replace(item, start_s=item.start_s + offset_s, end_s=item.end_s + offset_s)
