"""Adds to each clip how long each of its phonemes lasts, for presets whose networks are told it and do not search.

The aligner learns from the corpus itself, from at most an hour of it. A clip's durations lie in the store by the digest
of all that the aligner learnt from and of the clip.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Sequence

import torch
from kelong_contract import codec, corpora, layout
from kelong_speech import audio, config

from kelong_trainer.context import RunContext
from kelong_trainer.corpus.clips import aligning, clip_features, clip_sound

log = logging.getLogger(__name__)

VERSION = 1
LEARNT_FROM_S = 3600.0


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the clips and this code."""
    preset = context.order.model.preset
    return {"preset": preset if config.is_told_durations(preset) else None, "aligning": aligning.VERSION}


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with the key of each clip's durations; the same corpus for a preset that searches for them.

    Clips with fewer frames than phonemes get none: they cannot be trained on. Nor do those that are held out.
    """
    stage = _Stage(context, corpus) if config.is_told_durations(context.order.model.preset) else None
    clips = stage.wanted if stage is not None else []
    keys: dict[str, str] = {}
    with context.telemetry.stage("align", len(clips), "clips") as bar:
        for clip in clips:
            assert stage is not None
            context.check_stopping()
            keys[clip.sha256] = stage.key_of(clip)
            bar.advance()
    return dataclasses.replace(
        corpus,
        stage="align",
        clips=tuple(
            dataclasses.replace(clip, features={**clip.features, clip_features.DURATIONS: keys[clip.sha256]})
            if clip.sha256 in keys
            else clip
            for clip in corpus.clips
        ),
    )


class _Stage:
    """Learns the aligner when a clip is met that has no durations yet."""

    def __init__(self, context: RunContext, corpus: corpora.Corpus) -> None:
        self._context = context
        self._voice = config.preset(
            context.order.model.preset, speakers=tuple(config.Speaker(name=n, id=i) for n, i in corpus.speakers.items())
        )
        self._transcripts = {transcript.key: transcript for transcript in corpus.transcripts}
        self._aligner: aligning.Aligner | None = None
        spared = set(corpus.held_out)
        # The clips that training sees and that have a frame for each phoneme.
        self.wanted = [
            clip
            for clip in corpus.clips
            if clip.sha256 not in spared
            and clip_sound.frames(clip, self._voice) >= len(clip_features.ids(clip).phone_ids)
        ]
        self._learnt_from = codec.digest([_identity(clip) for clip in self._lesson()])

    def key_of(self, clip: corpora.Clip) -> str:
        """The key of the clip's durations, which are in the store when this returns."""
        about = {
            "version": VERSION,
            **facts(self._context),
            "learnt_from": self._learnt_from,
            "clip": _identity(clip),
        }
        key = layout.feature(self._context.place, clip_features.DURATIONS, codec.digest(about))
        if not self._context.store.exists(key):
            found = self._learnt().durations(self._heard(clip))
            self._context.store.put(key, clip_features.encode(torch.from_numpy(found)))
        return key

    def _lesson(self) -> list[corpora.Clip]:
        """The clips that the aligner learns from: those with the lowest digests, which is by chance."""
        shuffled = sorted(self.wanted, key=lambda clip: clip.sha256)
        seconds = itertools.accumulate(clip.duration_s for clip in shuffled)
        return [
            clip for clip, until_s in zip(shuffled, seconds, strict=True) if until_s - clip.duration_s < LEARNT_FROM_S
        ]

    def _learnt(self) -> aligning.Aligner:
        if self._aligner is None:
            lesson = []
            for clip in self._lesson():
                self._context.check_stopping()
                lesson.append(self._heard(clip))
            self._aligner = aligning.Aligner.fit(lesson)
            log.info("learnt how phonemes sound from %d clips", len(lesson))
        return self._aligner

    def _heard(self, clip: corpora.Clip) -> aligning.Heard:
        path = clip_sound.fetched(self._context.store, self._context.place, clip, self._context.work_dir)
        sound, wanted = clip_sound.samples(path, clip, self._voice), self._voice.audio
        return aligning.Heard(
            ids=clip_features.ids(clip),
            log_mel=audio.log_mel(audio.linear_spectrogram(sound[None], wanted), wanted)[0].numpy(),
            windows_s=aligning.character_windows(clip, self._transcripts.get(clip.recording)),
            marks_s=aligning.mark_windows(clip),
            frame_s=wanted.frame_s,
        )


def _identity(clip: corpora.Clip) -> Sequence[object]:
    """What of a clip durations depend on; its words' times go with its sound and place."""
    return (
        clip.sha256,
        clip.recording,
        clip.start_s,
        clip.phones,
        clip.word2ph,
        clip.spoken,
        aligning.mark_windows(clip),
    )
