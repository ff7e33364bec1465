"""Finds the recordings, decodes each to see what it holds, and says which are of no use and why."""

from __future__ import annotations

import dataclasses
import logging
import os

from kelong_contract import conditions, corpora
from kelong_contract import store as stores

from kelong_trainer.context import BadData, RunContext
from kelong_trainer.corpus import decoding, media, recordings

log = logging.getLogger(__name__)

VERSION = 1
# A room is at about -60 dBFS; a recording whose loudest tenth of a second lies below holds nobody's speech.
SILENT_DBFS = -60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Heard:
    """One file, looked at. `rejection` says why it is of no use."""

    recording: corpora.Recording
    rejection: corpora.Rejection | None


def facts(context: RunContext, listing: recordings.Listing) -> dict[str, object]:
    """What the result depends on besides this code."""
    return {
        "files": [dataclasses.asdict(listed) for listed in listing.files],
        "unreadable": listing.unreadable,
        "speakers": [dataclasses.asdict(speaker) for speaker in context.order.speakers],
        "shortest_s": context.order.slicing.min_s,
        "decoding": decoding.VERSION,
    }


def run(context: RunContext, listing: recordings.Listing, speakers: dict[str, int]) -> corpora.Corpus:
    """The recordings that can be heard, and a rejection for each that cannot; raises BadData without files."""
    source = recordings.Source(context)
    if not listing.files:
        others = len(listing.passed_over)
        beside = f" (only {others} file{'s' * (others != 1)} of other kinds)" * bool(others)
        raise BadData(
            conditions.TOO_FEW_CLIPS, f"there are no recordings under {source.name}{beside}: upload some and try again"
        )
    for key in listing.passed_over:
        log.info("%s is passed over: it is no recording", key)
    heard = []
    with context.telemetry.stage("ingest", len(listing.files)) as bar:
        for listed in listing.files:
            context.check_stopping()
            heard.append(_hear(context, source, listed))
            bar.advance()
    rejections = tuple(item.rejection for item in heard if item.rejection is not None)
    for rejection in rejections:
        log.warning("%s", rejection.message)
    return corpora.Corpus(
        stage="ingest",
        speakers=speakers,
        recordings=tuple(item.recording for item in heard),
        rejections=rejections,
    )


def _hear(context: RunContext, source: recordings.Source, listed: recordings.Listed) -> _Heard:
    try:
        with source.file(listed.key) as path:
            try:
                sha256 = stores.digest_file(path)
            except PermissionError as error:
                message = f"{listed.key} cannot be read: {error.strerror}; let user {os.geteuid()} read it"
                return _refused(listed, "", 0.0, "Undecodable", message)
            except OSError as error:  # such as a volume that is away for a moment: not a property of the recording
                raise stores.LocalDiskError(f"'{listed.key}' cannot be read: {error.strerror}") from error
            target = recordings.mono_path(context.work_dir, sha256)
            try:
                decoded = decoding.decode(path, target, context.check_stopping)
            except media.Undecodable as error:
                return _refused(listed, sha256, 0.0, "Undecodable", f"{listed.key}: {error}")
    except stores.NoSuchObject:
        return _refused(listed, "", 0.0, "Undecodable", f"{listed.key} was removed before it could be read")
    duration_s = decoded.duration_s
    if decoded.sound.damaged_packets:
        log.warning("%s: %d damaged packets were left out", listed.key, decoded.sound.damaged_packets)
    if decoded.loudest_dbfs < SILENT_DBFS:
        message = f"{listed.key} is silent: nothing in it is louder than {SILENT_DBFS:.0f} dBFS"
        return _refused(listed, sha256, duration_s, "Silent", message)
    if duration_s < context.order.slicing.min_s:
        message = f"{listed.key} is {duration_s:.2f} s long, a clip needs {context.order.slicing.min_s:g} s"
        return _refused(listed, sha256, duration_s, "TooShort", message)
    return _Heard(recording=_recording(listed, sha256, duration_s), rejection=None)


def _refused(listed: recordings.Listed, sha256: str, duration_s: float, reason: str, message: str) -> _Heard:
    rejection = corpora.Rejection(
        recording=listed.key,
        start_s=0.0,
        end_s=duration_s,
        reason=reason,  # type: ignore[arg-type]
        message=message,
    )
    return _Heard(recording=_recording(listed, sha256, duration_s), rejection=rejection)


def _recording(listed: recordings.Listed, sha256: str, duration_s: float) -> corpora.Recording:
    return corpora.Recording(
        key=listed.key,
        speaker=listed.speaker,
        size_bytes=listed.size_bytes,
        sha256=sha256,
        duration_s=duration_s,
    )
