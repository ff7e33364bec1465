"""What became of the recordings: `status.dataset` from the trainer's report, and a sentence about it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kelong_contract.corpora import CorpusReport
from kelong_contract.resources import (
    DatasetStatus,
    DroppedStatus,
    GradeStatus,
    RejectedRecording,
    SpeakerStatus,
)

from kelong_operator import rules

MOST_ADVICE = 5
MOST_REJECTED = 20
_LONGEST_MESSAGE = 1024


def status(report: CorpusReport) -> DatasetStatus:
    """`status.dataset`. Whole seconds are kept and dropped so that they add up to those of the recordings."""
    total_s = round(report.duration_s)
    kept_s, *dropped_s = whole_seconds([report.kept_s, *(item.duration_s for item in report.dropped)], total_s)
    spoken_s = whole_seconds([item.duration_s for item in report.speakers], kept_s)
    graded_s = whole_seconds([item.duration_s for item in report.grades], kept_s)
    return DatasetStatus(
        digest=report.digest,
        recordings=report.recordings,
        clips=report.clips,
        duration_seconds=total_s,
        kept_seconds=kept_s,
        speakers=tuple(
            SpeakerStatus(name=item.name, id=item.id, clips=item.clips, duration_seconds=seconds)
            for item, seconds in zip(report.speakers, spoken_s, strict=True)
        ),
        grades=tuple(
            GradeStatus(grade=item.grade, clips=item.clips, duration_seconds=seconds)
            for item, seconds in zip(report.grades, graded_s, strict=True)
        ),
        dropped=tuple(
            DroppedStatus(reason=item.reason, count=item.count, duration_seconds=seconds)
            for item, seconds in zip(report.dropped, dropped_s, strict=True)
        ),
        page=report.page or None,
        advice=tuple(sentence[:_LONGEST_MESSAGE] for sentence in report.advice[:MOST_ADVICE]),
        corrections=report.corrections,
        rejected_recordings=tuple(
            RejectedRecording(recording=item.recording, reason=item.reason, message=item.message[:_LONGEST_MESSAGE])
            for item in report.rejected_recordings[:MOST_REJECTED]
        ),
    )


def whole_seconds(parts_s: Sequence[float], total_s: int) -> list[int]:
    """Each part in whole seconds, less than one away from what it was, so that they add up to the total.

    The parts with the largest remainders are rounded up. Where the parts do not make up the total to within rounding,
    neither do the whole ones.
    """
    whole = [math.floor(part_s) for part_s in parts_s]
    remainders = [part_s - floor for part_s, floor in zip(parts_s, whole, strict=True)]
    missing = min(max(total_s - sum(whole), 0), len(whole))
    for index in sorted(range(len(whole)), key=lambda index: -remainders[index])[:missing]:
        whole[index] += 1
    return whole


def summary(report: CorpusReport) -> str:
    """What was kept and what was not, in a sentence."""
    dropped_s = sum(item.duration_s for item in report.dropped)
    reasons = ", ".join(f"{item.reason} {rules.duration(item.duration_s)}" for item in report.dropped)
    lost = f", {rules.duration(dropped_s)} dropped ({reasons})" if report.dropped else ""
    page = f"; the report is {report.page}" if report.page else ""
    return f"{report.clips} clips from {report.recordings} recordings, {rules.duration(report.kept_s)} kept{lost}{page}"
