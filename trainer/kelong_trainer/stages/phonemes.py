"""Adds to each clip the phones of its text, by the same front end that the server uses, with its pauses and breaths."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

from kelong_contract import conditions, corpora
from kelong_speech import config, reading, sources
from kelong_speech.text import frontend

from kelong_trainer.context import BadOrder, RunContext
from kelong_trainer.corpus.clips import marking
from kelong_trainer.corpus.sound import decoding

log = logging.getLogger(__name__)

VERSION = 5


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the texts and this code; raises BadOrder for a lexicon that is none."""
    with _refusals():
        frontend.Lexicon.from_entries(context.order.text.lexicon)
    return {
        "front_end": config.FrontEndConfig().version,
        "profile": context.order.training.profile,
        "lexicon": context.order.text.lexicon,
        "frame_s": config.sound(context.order.model.preset).frame_s,
        "polyphones": _polyphone_identity(context),
    }


def front_end(context: RunContext) -> frontend.FrontEnd:
    """What reads the order's texts; raises BadOrder for a lexicon or a polyphone model that is none."""
    order = context.order
    folder = context.work_dir / "models"
    with _refusals():
        return reading.front_end(
            order.training.profile, order.text, order.model.sources, order.voice.namespace, context.store, folder
        )


def _polyphone_identity(context: RunContext) -> str:
    order = context.order
    if order.training.profile == "as-original":
        return "none"
    with _refusals():
        return reading.polyphone_identity(order.model.sources, order.voice.namespace, context.store)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What the front end refuses is the order's fault."""
    try:
        yield
    except frontend.BadLexicon as error:
        raise BadOrder(conditions.BAD_ORDER, str(error)) from None
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, str(error)) from None


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with phones in every clip; a clip whose text cannot be spoken becomes a rejection that says why."""
    reader = front_end(context)
    sound = config.sound(context.order.model.preset)
    clips: list[corpora.Clip] = []
    rejections: list[corpora.Rejection] = []
    with context.telemetry.stage("phonemes", len(corpus.clips), "clips") as bar:
        for clip in corpus.clips:
            context.check_stopping()
            outcome = _analyse(clip, reader, sound)
            if isinstance(outcome, corpora.Clip):
                clips.append(outcome)
            else:
                log.info("%s", outcome.message)
                rejections.append(outcome)
            bar.advance()
    return dataclasses.replace(
        corpus, stage="phonemes", clips=tuple(clips), rejections=(*corpus.rejections, *rejections)
    )


def _analyse(
    clip: corpora.Clip, reader: frontend.FrontEnd, sound: config.AudioConfig
) -> corpora.Clip | corpora.Rejection:
    where = f"{clip.recording} from {clip.start_s:.2f} s to {clip.end_s:.2f} s ('{clip.text[:40]}')"
    rejected = corpora.Rejection(  # with its sound and its text, so that a person can mend it
        recording=clip.recording,
        start_s=clip.start_s,
        end_s=clip.end_s,
        reason="Unspeakable",
        message=where,
        sha256=clip.sha256,
        text=clip.text,
        measures=clip.measures,
    )
    try:
        utterance = reader.analyse(clip.text)
    except frontend.UnspeakableText as error:
        return dataclasses.replace(rejected, message=f"{where}: {error.message}")
    if reader.profile is not frontend.Profile.AS_ORIGINAL:  # which knows no marks
        utterance = utterance.with_marks((mark.kind, mark.after) for mark in marking.sure(clip.marks))
    symbols = len(utterance.ids().phone_ids)
    frames = clip.samples * sound.sample_rate_hz // decoding.SAMPLE_RATE_HZ // sound.hop_samples
    if symbols > frames:  # alignment gives each symbol a frame at least
        message = f"{where}: its text needs {symbols} frames and the clip has {frames}"
        return dataclasses.replace(rejected, reason="ImplausibleText", message=message)
    return dataclasses.replace(
        clip,
        spoken=utterance.spoken,
        phones=utterance.phones,
        tones=utterance.tones,
        word2ph=utterance.word2ph,
        language_ids=utterance.language_ids,
    )
