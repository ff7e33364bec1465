"""Cuts recordings into clips, each with what is said in it, and puts the clips into the store by their content.

What became of each recording is kept in the store as soon as it is cut. Every second of it is in a clip or in a
rejection with its reason.

Of the voices that were heard a cut depends only on where another one goes on. So a recording's stretches of speech are
kept too: between them the voices as they are now are asked, and the sound is not needed. How like the speaker's usual
voice a stretch is moves a little with every recording that comes or goes.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from kelong_contract import codec, conditions, corpora, layout, orders
from kelong_contract import store as stores

from kelong_trainer import documents
from kelong_trainer.context import BadData, RunContext
from kelong_trainer.corpus.clips import cutting
from kelong_trainer.corpus.listening import pauses
from kelong_trainer.corpus.sound import decoding, noise
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.corpus.words import labels

log = logging.getLogger(__name__)

VERSION = 2
FADE_SAMPLES = decoding.SAMPLE_RATE_HZ * 5 // 1000
RATE_HZ = decoding.SAMPLE_RATE_HZ
_LEFT_OUT = {
    "Silence": "a pause between clips",
    "TooShort": "speech too short for a clip stands alone between long pauses",
    "TooLong": "somebody speaks, or music plays, without any pause to cut in",
    "NoText": "no words were understood",
    "Music": "music plays and nobody speaks",
    "OtherLanguage": "another language is spoken",
}


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What became of one recording, as it is kept in the store."""

    clips: tuple[corpora.Clip, ...]
    rejections: tuple[corpora.Rejection, ...]
    format: int = 1


@dataclass(frozen=True, kw_only=True)
class Stretches:
    """The stretches of speech in one recording that are never cut, in frames, as they are kept in the store."""

    units: tuple[pauses.Run, ...]
    format: int = 1


def facts(context: RunContext) -> dict[str, object]:
    """What the result depends on besides the transcripts and this code."""
    modules = {"decoding": decoding, "noise": noise, "pauses": pauses, "cutting": cutting, "labels": labels}
    versions = {name: module.VERSION for name, module in modules.items()}
    return {"lengths": dataclasses.asdict(context.order.slicing), **versions}


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with its clips; raises BadData if there is none."""
    refused = {rejection.recording for rejection in corpus.rejections}
    listenings = {listening.key: listening for listening in corpus.listenings}
    transcripts = {transcript.key: transcript for transcript in corpus.transcripts}
    wanted = [recording for recording in corpus.recordings if recording.key not in refused]
    source = recordings.Source(context)
    cuts = []
    with context.telemetry.stage("slice", round(sum(item.duration_s for item in wanted)), "s") as bar:
        for recording in wanted:
            context.check_stopping()
            cuts.append(_cut(context, source, recording, listenings[recording.key], transcripts[recording.key]))
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
    context: RunContext,
    source: recordings.Source,
    recording: corpora.Recording,
    listening: corpora.Listening,
    transcript: corpora.Transcript,
) -> Cut:
    """A recording's clips from the store, or cut now and put there."""
    deaf = dataclasses.replace(listening, voices=())
    heard = {"recording": recording, "listening": deaf, "transcript": transcript}
    digest = codec.digest({"version": VERSION, **heard, **facts(context)})
    stretches_key = layout.stage(context.place, "stretches", digest)

    def key_of(units: Sequence[pauses.Run]) -> str:
        changes = () if _is_whole(recording, context.order.slicing) else cutting.other_voices(units, listening.voices)
        return layout.stage(context.place, "cuts", codec.digest({"stretches": digest, "changes": changes}))

    if context.store.exists(stretches_key):
        stretches = documents.parse(Stretches, context.store.get(stretches_key), stretches_key, documents.REMAKE)
        key = key_of(stretches.units)
        if context.store.exists(key):
            return documents.parse(Cut, context.store.get(key), key, documents.REMAKE)
    path = source.mono(recording)
    plan = _plan(path, recording, listening, transcript, context.order.slicing)
    cut = _made(context, path, plan, recording)
    context.store.put(key_of(plan.units), codec.dumps(cut), "application/json")
    context.store.put(stretches_key, codec.dumps(Stretches(units=plan.units)), "application/json")
    path.unlink()  # its clips are in the store: nobody needs the recording any more
    return cut


def _made(context: RunContext, path: pathlib.Path, plan: cutting.Plan, recording: corpora.Recording) -> Cut:
    """The sound at `path` cut as planned, its clips in the store."""
    clips, rejections = [], []
    with soundfile.SoundFile(path) as file:
        for piece in plan.pieces:
            outcome = _outcome(piece, plan, recording)
            if isinstance(outcome, corpora.Rejection):
                rejections.append(outcome)
                continue
            data = _encode(file, piece)
            clip = dataclasses.replace(outcome, sha256=stores.digest_bytes(data))
            context.store.put(layout.clip(context.place, clip.sha256), data, "audio/flac")
            clips.append(clip)
    return Cut(clips=tuple(clips), rejections=tuple(rejections))


def _plan(
    path: pathlib.Path,
    recording: corpora.Recording,
    listening: corpora.Listening,
    transcript: corpora.Transcript,
    bounds: orders.Slicing,
) -> cutting.Plan:
    """Where the sound at `path` is cut. A clip that came with its transcript stays whole."""
    blocks = soundfile.blocks(path, blocksize=60 * RATE_HZ, dtype="float32")  # whole frames each
    heard = cutting.Heard(
        levels=np.concatenate([noise.levels(block, RATE_HZ) for block in blocks]),
        samples=round(recording.duration_s * RATE_HZ),
        listening=listening,
        words=transcript.words,
        foreign=transcript.foreign,
    )
    frames = soundfile.info(path).frames
    if frames != heard.samples:
        raise BadData(
            conditions.RECORDINGS_CHANGED, f"{recording.key} decodes to {frames} samples now, not to {heard.samples}"
        )
    return cutting.whole(heard, bounds) if _is_whole(recording, bounds) else cutting.plan(heard, bounds)


def _is_whole(recording: corpora.Recording, bounds: orders.Slicing) -> bool:
    return bool(recording.text) and bounds.min_s <= recording.duration_s <= bounds.max_s


def _outcome(
    piece: cutting.Piece, plan: cutting.Plan, recording: corpora.Recording
) -> corpora.Clip | corpora.Rejection:
    """The clip that a piece becomes (its digest still empty), or why it becomes none."""
    start_s, end_s = piece.start / RATE_HZ, piece.end / RATE_HZ
    where = f"{recording.key} from {start_s:.2f} s to {end_s:.2f} s"
    if piece.kind != "clip":
        message = f"{where}: {_LEFT_OUT[piece.kind]}" if piece.kind != "Silence" else _LEFT_OUT["Silence"]
        return corpora.Rejection(
            recording=recording.key, start_s=start_s, end_s=end_s, reason=piece.kind, message=message
        )
    label = labels.label(word for words in plan.words[piece.first : piece.last + 1] for word in words)
    if label is None:
        message = f"{where}: {_LEFT_OUT['NoText']}"
        return corpora.Rejection(
            recording=recording.key, start_s=start_s, end_s=end_s, reason="NoText", message=message
        )
    return corpora.Clip(
        sha256="",
        recording=recording.key,
        speaker=recording.speaker,
        start_s=start_s,
        end_s=end_s,
        samples=piece.end - piece.start,
        text=label.text,
        confidence=label.confidence,
    )


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
