"""Adds to each clip the pauses and breaths between its characters, which become phones of their own."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import logging

from kelong_contract import corpora

from kelong_trainer.context import RunContext
from kelong_trainer.corpus.clips import clip_sound, marking
from kelong_trainer.corpus.listening import pauses
from kelong_trainer.corpus.sound import noise
from kelong_trainer.corpus.words import labels

log = logging.getLogger(__name__)

VERSION = 1


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the clips and this code."""
    modules = {"noise": noise, "pauses": pauses, "labels": labels, "marking": marking}
    return {name: module.VERSION for name, module in modules.items()}


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with the marks of each clip."""
    listenings = {listening.key: listening for listening in corpus.listenings}
    transcripts = {transcript.key: transcript for transcript in corpus.transcripts}
    clips: list[corpora.Clip] = []
    counts: collections.Counter[str] = collections.Counter()
    with context.telemetry.stage("mark", len(corpus.clips), "clips") as bar:
        for clip in corpus.clips:
            context.check_stopping()
            found = _marks(context, clip, listenings[clip.recording], transcripts[clip.recording])
            counts.update(mark.kind for mark in found)
            clips.append(dataclasses.replace(clip, marks=found))
            bar.advance()
    log.info("marked %s", ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts)) or "nothing")
    return dataclasses.replace(corpus, stage="mark", clips=tuple(clips))


def _marks(
    context: RunContext, clip: corpora.Clip, listening: corpora.Listening, transcript: corpora.Transcript
) -> tuple[corpora.Mark, ...]:
    sound = clip_sound.as_cut(clip_sound.fetched(context.store, context.place, clip, context.work_dir))
    heard = marking.Heard(
        text=clip.text,
        start_s=clip.start_s,
        words=_inside(transcript.words, clip),
        levels=noise.levels(sound.samples, sound.sample_rate_hz),
        listening=listening,
    )
    return marking.marks(heard)


def _inside(words: tuple[corpora.Word, ...], clip: corpora.Clip) -> tuple[corpora.Word, ...]:
    """The words whose middle lies in a clip."""

    def middle_s(word: corpora.Word) -> float:
        return (word.start_s + word.end_s) / 2

    first = bisect.bisect_left(words, clip.start_s, key=middle_s)
    return words[first : bisect.bisect_right(words, clip.end_s, key=middle_s)]
