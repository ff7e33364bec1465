"""Finds the recordings, decodes each to see what it holds, and says which are of no use and why."""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kelong_contract import codec, conditions, corpora, layout
from kelong_contract import store as stores

from kelong_trainer import documents
from kelong_trainer.context import BadData, RunContext
from kelong_trainer.corpus.sound import contained, decoding, media
from kelong_trainer.corpus.sources import catalogue, duplicates, lists, recordings

log = logging.getLogger(__name__)

VERSION = 4
# A room is at about -60 dBFS; a recording whose loudest tenth of a second lies below holds nobody's speech.
SILENT_DBFS = -60.0
# A list's times are rounded: a stretch may end this much after its file does.
MOST_BEYOND_END_S = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heard:
    """One file, looked at: its recordings (several where a list names stretches of it), and why some are of no use."""

    recordings: tuple[corpora.Recording, ...]
    rejections: tuple[corpora.Rejection, ...] = ()
    notes: tuple[str, ...] = ()
    lasting: bool = True


def facts(context: RunContext, listing: catalogue.Listing) -> dict[str, object]:
    """What the result depends on besides this code."""
    return {
        "files": [dataclasses.asdict(listed) for listed in listing.files],
        "notes": listing.notes,
        "beside": listing.beside,
        "unreadable": listing.unreadable,
        "speakers": [dataclasses.asdict(speaker) for speaker in context.order.speakers],
        "shortest_s": context.order.slicing.min_s,
        "decoding": decoding.VERSION,
    }


def run(context: RunContext, listing: catalogue.Listing, speakers: dict[str, int]) -> corpora.Corpus:
    """The recordings that can be heard, and a rejection for each that cannot; raises BadData without files."""
    source = recordings.Source(context)
    if not listing.files:
        others = len(listing.passed_over)
        beside = f" (only {others} file{'s' * (others != 1)} of other kinds)" * bool(others)
        raise BadData(
            conditions.TOO_FEW_CLIPS, f"there are no recordings under {source.name}{beside}: upload some and try again"
        )
    for key in listing.passed_over:  # all of them: the corpus names a few
        log.info("%s is passed over: it is no recording", key)
    heard = []
    with context.telemetry.stage("ingest", len(listing.files)) as bar:
        for listed in listing.files:
            context.check_stopping()
            heard.append(_kept(context, source, listed))
            bar.advance()
    heard = _without_duplicates(heard)
    rejections = tuple(rejection for item in heard for rejection in item.rejections)
    notes = (*listing.notes, *(note for item in heard for note in item.notes))
    for message in (*(rejection.message for rejection in rejections), *notes):
        log.warning("%s", message)
    return corpora.Corpus(
        stage="ingest",
        speakers=speakers,
        recordings=tuple(recording for item in heard for recording in item.recordings),
        rejections=rejections,
        notes=notes,
        beside=listing.beside,
    )


def _without_duplicates(heard: Sequence[Heard]) -> list[Heard]:
    """The same, but that of recordings which are there twice all but one are rejected."""
    refused = {rejection.recording for item in heard for rejection in item.rejections}
    repeated = duplicates.find([found for item in heard for found in item.recordings if found.key not in refused])

    def rejections(item: Heard) -> Iterator[corpora.Rejection]:
        yield from item.rejections
        for found in item.recordings:
            if (first := repeated.get(found.key)) is not None:
                message = f"{found.key} is byte for byte the same as {first}: only that is used, remove one of them"
                yield corpora.Rejection(**_all_of(found), reason="Duplicate", message=message)

    return [dataclasses.replace(item, rejections=tuple(rejections(item))) for item in heard]


def _kept(context: RunContext, source: recordings.Source, listed: catalogue.Listed) -> Heard:
    """What a file gave, from the store if an attempt before this one looked at it."""
    about = {
        "version": VERSION,
        "decoding": decoding.VERSION,
        "shortest_s": context.order.slicing.min_s,
        **dataclasses.asdict(listed),
    }
    key = layout.stage(context.place, "files", codec.digest(about))
    if context.store.exists(key):
        return documents.parse(Heard, context.store.get(key), key, documents.REMAKE)
    heard = _hear(context, source, listed)
    if heard.lasting:
        context.store.put(key, codec.dumps(heard), "application/json")
    return heard


def _hear(context: RunContext, source: recordings.Source, listed: catalogue.Listed) -> Heard:
    if listed.refusal is not None and listed.refusal.reason == "Missing":
        return dataclasses.replace(_refused(listed, "", listed.refusal), lasting=False)
    found = _read(source, listed)
    if isinstance(found, Heard):
        return found
    sha256, decoded = found
    if damaged := decoded.sound.damaged_packets:
        packets = "1 damaged packet was" if damaged == 1 else f"{damaged} damaged packets were"
        log.warning("%s: %s left out", listed.key, packets)
    text, notes, lasting = _text(source, listed)
    whole = corpora.Recording(
        key=listed.key,
        speaker=listed.speaker,
        size_bytes=listed.size_bytes,
        sha256=sha256,
        duration_s=decoded.duration_s,
        sound=decoded.sound,
        text=text,
        clipped=decoded.clipped,
    )
    if decoded.loudest_dbfs < SILENT_DBFS:
        message = f"{listed.key} is silent: nothing in it is louder than {SILENT_DBFS:.0f} dBFS"
        rejection = corpora.Rejection(**_all_of(whole), reason="Silent", message=message)
        return Heard(recordings=(whole,), rejections=(rejection,), notes=notes, lasting=lasting)
    if listed.stretches:
        return _in_stretches(context, whole, listed.stretches)
    if listed.refusal is not None:  # nobody asks for its sound again
        recordings.mono_path(context.work_dir, sha256).unlink(missing_ok=True)
    useless = _useless(context, whole, listed.refusal)
    return Heard(recordings=(whole,), rejections=(useless,) if useless else (), notes=notes, lasting=lasting)


def _read(source: recordings.Source, listed: catalogue.Listed) -> tuple[str, decoding.Decoded] | Heard:
    """The SHA-256 of a file and its sound, or why it is of no use."""
    try:
        with source.file(listed.key) as path:
            sha256 = ""
            try:
                if path.stat().st_size == 0:
                    return _undecodable(listed, "", f"{listed.key} is empty: upload it again")
                sha256 = stores.digest_file(path)
                return sha256, source.decode(path, sha256)
            except contained.Crashed as error:
                return dataclasses.replace(
                    _undecodable(listed, sha256, f"{listed.key}: {error}"), lasting=error.is_lasting
                )
            except media.Undecodable as error:
                return _undecodable(listed, sha256, f"{listed.key}: {error}")
            except PermissionError as error:
                message = f"{listed.key} cannot be read: {error.strerror}; let user {os.geteuid()} read it"
                return dataclasses.replace(_undecodable(listed, "", message), lasting=False)
            except OSError as error:  # such as a volume that is away for a moment: not a property of the recording
                raise stores.LocalDiskError(f"'{listed.key}' cannot be read: {error.strerror}") from error
    except stores.NoSuchObject:
        message = f"{listed.key} was removed before it could be read"
        return dataclasses.replace(_undecodable(listed, "", message), lasting=False)
    except recordings.LeadsOutside as error:
        return _undecodable(listed, "", str(error))


class _Text(NamedTuple):
    """What is said in a file as somebody wrote it down, or why that is of no use, and whether it will stay so."""

    text: str
    notes: tuple[str, ...] = ()
    lasting: bool = True


def _text(source: recordings.Source, listed: catalogue.Listed) -> _Text:
    if not listed.transcript:
        return _Text(listed.text)
    lasting = False
    try:
        return _Text(source.transcript(listed.transcript))
    except lists.Unreadable as error:
        why, lasting = f"{listed.transcript} {error}", True
    except BadData as error:
        why = error.message
    except stores.NoSuchObject:
        why = f"{listed.transcript} was removed before it could be read"
    return _Text("", (f"{why}: {listed.key} goes without its text",), lasting)


def _in_stretches(context: RunContext, whole: corpora.Recording, stretches: tuple[catalogue.Stretch, ...]) -> Heard:
    """A recording for each stretch that a list names, and one for all that it does not name."""
    found, rejections, notes = [], [], []
    for stretch in stretches:
        end_s = whole.duration_s if stretch.end_s is None else min(stretch.end_s, whole.duration_s)
        beyond_s = (stretch.end_s or 0.0) - whole.duration_s
        if stretch.start_s >= end_s or beyond_s > MOST_BEYOND_END_S:
            until = "its end" if stretch.end_s is None else f"{stretch.end_s:g} s"
            notes.append(
                f"{stretch.line} of the list names {stretch.start_s:g} s to {until} of {whole.key}, which is "
                f"{whole.duration_s:.2f} s long: not used"
            )
            continue
        part = _part(whole, stretch, end_s)
        found.append(part)
        if (rejection := _useless(context, part, stretch.refusal)) is not None:
            rejections.append(rejection)
    left_s = whole.duration_s - sum(part.duration_s for part in found)
    if left_s * decoding.SAMPLE_RATE_HZ >= 0.5:
        rest = dataclasses.replace(
            whole, key=f"{whole.key}#rest", sha256=_digest(whole, "rest"), duration_s=left_s, text="", clipped=()
        )
        message = f"{left_s:.1f} s of {whole.key} are named by no line of the list that names the rest of it"
        found.append(rest)
        rejections.append(corpora.Rejection(**_all_of(rest), reason="NotListed", message=message))
    return Heard(recordings=tuple(found), rejections=tuple(rejections), notes=tuple(notes))


def _part(whole: corpora.Recording, stretch: catalogue.Stretch, end_s: float) -> corpora.Recording:
    """A stretch of a file, in whole samples."""
    start, end = (round(time_s * decoding.SAMPLE_RATE_HZ) for time_s in (stretch.start_s, end_s))
    start_s, end_s = start / decoding.SAMPLE_RATE_HZ, end / decoding.SAMPLE_RATE_HZ
    fragment = f"t={start_s:.3f},{end_s:.3f}"  # as W3C's Media Fragments write it
    return dataclasses.replace(
        whole,
        key=f"{whole.key}#{fragment}",
        speaker=stretch.speaker,
        sha256=_digest(whole, f"{start}-{end}"),
        duration_s=(end - start) / decoding.SAMPLE_RATE_HZ,
        text=stretch.text,
        part=corpora.Part(key=whole.key, sha256=whole.sha256, start_s=start_s, end_s=end_s),
        clipped=_clipped_between(whole.clipped, start_s, end_s),
    )


def _clipped_between(
    stretches: Sequence[corpora.ClippedStretch], start_s: float, end_s: float
) -> tuple[corpora.ClippedStretch, ...]:
    """The clipped seconds of a part of a file, counted from the part's start."""
    first = bisect.bisect_right(stretches, start_s, key=lambda stretch: stretch.end_s)
    last = bisect.bisect_left(stretches, end_s, key=lambda stretch: stretch.start_s)
    return tuple(
        dataclasses.replace(
            stretch,
            start_s=round(max(stretch.start_s - start_s, 0.0), 6),
            end_s=round(min(stretch.end_s, end_s) - start_s, 6),
        )
        for stretch in stretches[first:last]
    )


def _digest(whole: corpora.Recording, stretch: str) -> str:
    return hashlib.sha256(f"{whole.sha256} {stretch}".encode()).hexdigest()


def _useless(
    context: RunContext, recording: corpora.Recording, refusal: catalogue.Refusal | None
) -> corpora.Rejection | None:
    """Why a recording that can be heard is of no use all the same."""
    shortest_s = context.order.slicing.min_s
    if refusal is not None:
        return corpora.Rejection(**_all_of(recording), reason=refusal.reason, message=refusal.message)
    if recording.duration_s < shortest_s:
        message = f"{recording.key} is {recording.duration_s:.2f} s long, a clip needs {shortest_s:g} s"
        return corpora.Rejection(**_all_of(recording), reason="TooShort", message=message)
    return None


def _undecodable(listed: catalogue.Listed, sha256: str, message: str) -> Heard:
    return _refused(listed, sha256, catalogue.Refusal(reason="Undecodable", message=message))


def _refused(listed: catalogue.Listed, sha256: str, refusal: catalogue.Refusal) -> Heard:
    """A file without sound: nothing is known of its length."""
    recording = corpora.Recording(
        key=listed.key,
        speaker=listed.speaker,
        size_bytes=listed.size_bytes,
        sha256=sha256,
        duration_s=0.0,
        text=listed.text,
    )
    rejection = corpora.Rejection(**_all_of(recording), reason=refusal.reason, message=refusal.message)
    return Heard(recordings=(recording,), rejections=(rejection,))


def _all_of(recording: corpora.Recording) -> dict[str, Any]:
    return {"recording": recording.key, "start_s": 0.0, "end_s": recording.duration_s}
