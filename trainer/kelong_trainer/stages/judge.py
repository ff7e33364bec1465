"""Measures every clip and grades it; what nobody should train on becomes a rejection that a person can still overrule.

What was measured of a clip is kept in the store by its sound and all that the result depends on: other thresholds grade
again and measure nothing. How like the speaker's usual voice it is, is reckoned anew each time: that voice moves a
little with every recording that comes or goes, and nothing else does.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kelong_contract import codec, conditions, corpora, layout
from kelong_contract import store as stores
from kelong_speech import audio

from kelong_trainer import documents
from kelong_trainer.context import BadData, RunContext
from kelong_trainer.corpus.clips import clip_sound, grading, reading_tone
from kelong_trainer.corpus.sound import decoding, quality
from kelong_trainer.corpus.words import agreement

log = logging.getLogger(__name__)

VERSION = 2
NEAR_S = 1.0  # what is farther from a clip has no part in its measures

_Timed = corpora.Stretch | corpora.Word | corpora.ClippedStretch | corpora.Hum


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one clip, as it is kept in the store, and the part of its label in Latin letters.

    In the store the similarity is None.
    """

    measures: corpora.Measures
    foreign_share: float
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What is known of the words of one recording."""

    transcript: corpora.Transcript
    second: tuple[agreement.Spoken, ...] | None


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the clips and this code."""
    order = context.order
    return {
        "judging": dataclasses.asdict(order.judging),
        "lengths": dataclasses.asdict(order.slicing),
        "grading": grading.VERSION,
        **_measuring(),
    }


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with a grade for each clip; a clip that is rejected keeps its sound's digest and its text."""
    stage = _Stage(context, corpus)
    supplied = {transcript.key for transcript in corpus.transcripts if transcript.heard}
    clips: list[corpora.Clip] = []
    rejections: list[corpora.Rejection] = []
    with context.telemetry.stage("judge", len(corpus.clips), "clips") as bar:
        for clip in corpus.clips:
            context.check_stopping()
            measured = stage.measure(clip)
            found = grading.verdict(
                measured.measures,
                context.order.judging,
                duration_s=clip.duration_s,
                lengths=context.order.slicing,
                foreign_share=measured.foreign_share,
                is_supplied=clip.recording in supplied,
            )
            if found.reason is None:
                clips.append(grading.graded(clip, measured.measures, found))
            else:
                rejection = grading.rejection(clip, measured.measures, found)
                log.info("%s", rejection.message)
                rejections.append(rejection)
            bar.advance()
    return dataclasses.replace(corpus, stage="judge", clips=tuple(clips), rejections=(*corpus.rejections, *rejections))


class _Dnsmos:
    """Loads DNSMOS when it is first asked, once; without it no clip has that figure, and the log says so."""

    def __init__(self) -> None:
        self._model: quality.Dnsmos | None = None
        self._is_tried = False

    def __call__(self, speech: audio.Speech) -> float | None:
        if not self._is_tried:
            self._is_tried = True
            try:
                self._model = quality.Dnsmos()
            except quality.Missing as error:
                log.warning("clips get no DNSMOS: %s", error)
        return self._model.briefly(speech) if self._model is not None else None


class _Stage:
    """Loads a model only when a clip is met that was not measured before."""

    def __init__(self, context: RunContext, corpus: corpora.Corpus) -> None:
        self._context = context
        self._clipped = {recording.key: recording.clipped for recording in corpus.recordings}
        self._listenings = {listening.key: listening for listening in corpus.listenings}
        self._transcripts = {transcript.key: transcript for transcript in corpus.transcripts}
        self._said: dict[str, _Said] = {}
        self._dnsmos = _Dnsmos()

    def measure(self, clip: corpora.Clip) -> Measured:
        """What is known of the clip in the corpus as it is now."""
        measured = self._measured(clip)
        measures = measured.measures
        voices = self._listenings[clip.recording].voices
        end_s = clip.start_s + clip.samples / decoding.SAMPLE_RATE_HZ
        similarity = quality.likeness(voices, clip.start_s, end_s, measures.snr_db, measures.hum_share)
        return dataclasses.replace(measured, measures=dataclasses.replace(measures, similarity=similarity))

    def _measured(self, clip: corpora.Clip) -> Measured:
        """What does not depend on other recordings, from the store, or measured now and put there."""
        listening, transcript = self._listenings[clip.recording], self._transcripts[clip.recording]
        inside = _inside(listening, transcript, self._clipped[clip.recording], clip)
        about = {"version": VERSION, "clip": clip.sha256, "text": clip.text, "inside": inside, **_measuring()}
        key = layout.stage(self._context.place, "measures", codec.digest(about))
        store = self._context.store
        if store.exists(key):
            return documents.parse(Measured, store.get(key), key, documents.REMAKE)
        measured = self._measure(clip, dataclasses.replace(listening, voices=()))
        store.put(key, codec.dumps(measured), "application/json")
        return measured

    def _measure(self, clip: corpora.Clip, listening: corpora.Listening) -> Measured:
        speech = self._sound(clip)
        said = self._what_was_said(clip.recording)
        inside = [
            corpora.Stretch(
                start_s=max(item.start_s - clip.start_s, 0.0), end_s=min(item.end_s - clip.start_s, clip.duration_s)
            )
            for item in listening.speech
            if item.end_s > clip.start_s and item.start_s < clip.end_s
        ]
        words = [
            dataclasses.replace(word, start_s=word.start_s - clip.start_s, end_s=word.end_s - clip.start_s)
            for word in _words_in(said.transcript.words, clip)
        ]
        syllables = agreement.syllables(clip.text)
        spoken_s = sum(item.end_s - item.start_s for item in inside)
        agreed = None
        if said.second is not None:
            agreed = agreement.agreement(clip.text, said.second, clip.start_s, clip.end_s)
        measures = dataclasses.replace(
            quality.measure(speech, clip.start_s, listening, self._dnsmos, self._clipped[clip.recording]),
            confidence=clip.confidence,
            agreement=agreed.whole if agreed else None,
            least_agreement=agreed.least if agreed else None,
            syllables_per_s=round(len(syllables) / spoken_s, 3) if spoken_s else None,
            reading_tone=reading_tone.tone(reading_tone.cues(speech.samples, speech.sample_rate_hz, inside, words)),
        )
        foreign = sum(1 for syllable in syllables if syllable.sound.isascii() and _is_latin(clip.text, syllable))
        return Measured(measures=measures, foreign_share=round(foreign / len(syllables), 4) if syllables else 0.0)

    def _sound(self, clip: corpora.Clip) -> audio.Speech:
        context = self._context
        try:
            return clip_sound.as_cut(clip_sound.fetched(context.store, context.place, clip, context.work_dir))
        except stores.NoSuchObject:
            key = layout.clip(context.place, clip.sha256)
            message = f"the clip {key} is gone from the store; restore it, or delete the stages' results to cut it anew"
            raise BadData(conditions.DATASET_INVALID, message) from None

    def _what_was_said(self, recording: str) -> _Said:
        """Of a supplied transcript the recogniser's own words are the second look, unless there is another."""
        if recording not in self._said:
            transcript = self._transcripts[recording]
            second = transcript.second or transcript.heard
            has_second = self._context.order.model.sources.second_recogniser not in (None, "none")
            # One recording after the other: only the last one's words are kept.
            self._said = {
                recording: _Said(
                    transcript=transcript,
                    second=agreement.spoken(second) if second or has_second else None,
                )
            }
        return self._said[recording]


def _measuring() -> dict[str, object]:
    modules = {"quality": quality, "agreement": agreement, "reading_tone": reading_tone}
    return {"measuring": {name: module.VERSION for name, module in modules.items()}}


def _inside(
    listening: corpora.Listening,
    transcript: corpora.Transcript,
    clipped: Sequence[corpora.ClippedStretch],
    clip: corpora.Clip,
) -> dict[str, object]:
    """All that is known of a clip's part of its recording but whose voice it is, for its key."""

    def near(items: Sequence[_Timed]) -> object:
        return [
            codec.encode(item)
            for item in items
            if item.end_s > clip.start_s - NEAR_S and item.start_s < clip.end_s + NEAR_S
        ]

    return {
        "speech": near(listening.speech),
        "clipped": near(clipped),
        "music": near(listening.music),
        "hum": near(listening.hum),
        "words": near(transcript.words),
        "heard": near(transcript.heard),
        "second": near(transcript.second),
        "floor": listening.noise_floor_dbfs,
        "start_s": clip.start_s,
        "confidence": clip.confidence,
    }


def _words_in(words: tuple[corpora.Word, ...], clip: corpora.Clip) -> list[corpora.Word]:
    return [word for word in words if clip.start_s <= (word.start_s + word.end_s) / 2 < clip.end_s]


def _is_latin(text: str, syllable: agreement.Syllable) -> bool:
    written = text[syllable.start : syllable.end]
    return written.isascii() and written[:1].isalpha()
