"""Cuts recordings into clips, each with what is said in it, and puts the clips into the store by their content.

What became of each recording is kept in the store as soon as it is cut. Every second of it is in a clip or in a
rejection with its reason.
"""

from __future__ import annotations

import dataclasses
import io
import logging
from dataclasses import dataclass

import numpy as np
import soundfile
from kelong_contract import codec, conditions, corpora, layout
from kelong_contract import store as stores

from kelong_trainer import documents
from kelong_trainer.context import BadData, RunContext
from kelong_trainer.corpus import cutting, decoding, labels, recordings

log = logging.getLogger(__name__)

VERSION = 1
FADE_SAMPLES = decoding.SAMPLE_RATE_HZ * 5 // 1000
RATE_HZ = decoding.SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What became of one recording, as it is kept in the store."""

    clips: tuple[corpora.Clip, ...]
    rejections: tuple[corpora.Rejection, ...]
    format: int = 1


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the transcripts and this code."""
    versions = {"decoding": decoding.VERSION, "cutting": cutting.VERSION, "labels": labels.VERSION}
    return {"lengths": dataclasses.asdict(context.order.slicing), **versions}


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with its clips; raises BadData if there is none."""
    refused = {rejection.recording for rejection in corpus.rejections}
    transcripts = {transcript.key: transcript for transcript in corpus.transcripts}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    source = recordings.Source(context)
    cuts = []
    with context.telemetry.stage("slice", round(sum(item.duration_s for item in wanted)), "s") as bar:
        for recording in wanted:
            context.check_stopping()
            cuts.append(_cut(context, source, recording, transcripts[recording.key]))
            bar.advance(round(recording.duration_s))
    for rejection in (rejection for cut in cuts for rejection in cut.rejections if rejection.reason != "Silence"):
        log.info("%s", rejection.message)
    return dataclasses.replace(
        corpus,
        stage="slice",
        clips=tuple(clip for cut in cuts for clip in cut.clips),
        rejections=(*corpus.rejections, *(rejection for cut in cuts for rejection in cut.rejections)),
    )


def _cut(
    context: RunContext, source: recordings.Source, recording: corpora.Recording, transcript: corpora.Transcript
) -> Cut:
    """A recording's clips from the store, or cut now and put there."""
    digest = codec.digest({"version": VERSION, "recording": recording, "transcript": transcript, **facts(context)})
    key = layout.stage(context.place, "cuts", digest)
    if context.store.exists(key):
        return documents.parse(Cut, context.store.get(key), key, documents.REMAKE)
    path = source.mono(recording)
    minutes = soundfile.blocks(path, blocksize=60 * RATE_HZ, dtype="float32")  # whole 10 ms frames each
    levels = np.concatenate([cutting.level_frames(minute) for minute in minutes])
    samples = round(recording.duration_s * RATE_HZ)
    plan = cutting.plan(transcript.speech, levels, samples, context.order.slicing)
    words = labels.assign(transcript.words, plan.units)
    clips, rejections = [], []
    with soundfile.SoundFile(path) as file:
        if file.frames != samples:
            raise BadData(
                conditions.RECORDINGS_CHANGED, f"{recording.key} decodes to {file.frames} samples now, not to {samples}"
            )
        for piece in plan.pieces:
            outcome = _outcome(piece, plan, words, recording)
            if isinstance(outcome, corpora.Rejection):
                rejections.append(outcome)
                continue
            data = _encode(file, piece)
            clip = dataclasses.replace(outcome, sha256=stores.digest_bytes(data))
            context.store.put(layout.clip(context.place, clip.sha256), data, "audio/flac")
            clips.append(clip)
    cut = Cut(clips=tuple(clips), rejections=tuple(rejections))
    context.store.put(key, codec.dumps(cut), "application/json")
    path.unlink()  # its clips are in the store: nobody needs the recording any more
    return cut


def _outcome(
    piece: cutting.Piece, plan: cutting.Plan, words: list[list[corpora.Word]], recording: corpora.Recording
) -> corpora.Clip | corpora.Rejection:
    """The clip that a piece becomes (its digest still empty), or why it becomes none."""
    where = f"{recording.key} from {piece.start / RATE_HZ:.2f} s to {piece.end / RATE_HZ:.2f} s"
    rejected = corpora.Rejection(
        recording=recording.key,
        start_s=piece.start / RATE_HZ,
        end_s=piece.end / RATE_HZ,
        reason="Silence",
        message="a pause between clips",
    )
    if piece.kind == "Silence":
        return rejected
    if piece.kind == "TooShort":
        message = f"{where}: speech too short for a clip stands alone between long pauses"
        return dataclasses.replace(rejected, reason="TooShort", message=message)
    if piece.kind == "TooLong":
        message = f"{where}: somebody speaks, or music plays, without any pause to cut in"
        return dataclasses.replace(rejected, reason="TooLong", message=message)
    inside = slice(piece.first, piece.last + 1)
    units = plan.units[inside]
    label = labels.label(words[inside], units, _pause_after_s(plan, piece))
    if not label.syllables:
        return dataclasses.replace(rejected, reason="NoText", message=f"{where}: no words were understood")
    speech_s = sum(unit.end - unit.start for unit in units) / RATE_HZ
    if not labels.is_plausible(label.syllables, speech_s):
        message = (
            f"{where}: {label.syllables} syllables in {speech_s:.1f} s of speech cannot be right ('{label.text[:40]}')"
        )
        return dataclasses.replace(rejected, reason="ImplausibleText", message=message)
    return corpora.Clip(
        sha256="",
        recording=recording.key,
        speaker=recording.speaker,
        start_s=piece.start / RATE_HZ,
        end_s=piece.end / RATE_HZ,
        samples=piece.end - piece.start,
        text=label.text,
        confidence=label.confidence,
    )


def _pause_after_s(plan: cutting.Plan, piece: cutting.Piece) -> float:
    """How long nobody speaks after a clip; the end of the recording is as good as a long pause."""
    if piece.last + 1 == len(plan.units):
        return labels.FULL_STOP_PAUSE_S
    return (plan.units[piece.last + 1].start - plan.units[piece.last].end) / RATE_HZ


def _encode(file: soundfile.SoundFile, piece: cutting.Piece) -> bytes:
    """The piece as mono 16-bit FLAC with 5 ms fades."""
    file.seek(piece.start)
    samples = file.read(piece.end - piece.start, dtype="float32")
    ramp = np.linspace(0.0, 1.0, min(FADE_SAMPLES, len(samples) // 2), dtype=np.float32)
    samples[: len(ramp)] *= ramp
    samples[len(samples) - len(ramp) :] *= ramp[::-1]
    target = io.BytesIO()
    soundfile.write(target, samples, RATE_HZ, format="FLAC", subtype="PCM_16")
    return target.getvalue()
