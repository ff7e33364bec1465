"""A corpus in a few totals, for status, metrics and the report: what is trained on, and what is not, by reason."""

from __future__ import annotations

import collections
import typing

from kelong_contract import codec, corpora

from kelong_trainer.scoring import held_out

REPORTED_RECORDINGS = 20
GRADES: tuple[corpora.Grade, ...] = typing.get_args(corpora.Grade)


def summarise(corpus: corpora.Corpus) -> corpora.CorpusReport:
    """The totals of a corpus; its page and what it advises are not among them."""
    trained = held_out.trained_on(corpus)
    durations = {recording.key: recording.duration_s for recording in corpus.recordings}
    whole = [item for item in corpus.rejections if item.start_s == 0 and item.end_s == durations[item.recording]]
    return corpora.CorpusReport(
        digest=codec.digest(corpus),
        clips=len(trained),
        recordings=len(corpus.recordings),
        duration_s=sum(durations.values()),
        kept_s=sum(clip.duration_s for clip in trained),
        speakers=_speakers(corpus, trained),
        dropped=_dropped(corpus),
        grades=_grades(trained),
        rejected_recordings=tuple(whole[:REPORTED_RECORDINGS]),
        corrections=_corrections(corpus),
    )


def _speakers(corpus: corpora.Corpus, trained: tuple[corpora.Clip, ...]) -> tuple[corpora.SpeakerTotals, ...]:
    clips: dict[str, list[corpora.Clip]] = {name: [] for name in corpus.speakers}
    for clip in trained:
        clips[clip.speaker].append(clip)
    return tuple(
        corpora.SpeakerTotals(
            name=name, id=number, clips=len(clips[name]), duration_s=sum(clip.duration_s for clip in clips[name])
        )
        for name, number in corpus.speakers.items()
    )


def _dropped(corpus: corpora.Corpus) -> tuple[corpora.Dropped, ...]:
    dropped: dict[str, list[corpora.Rejection | corpora.Clip]] = collections.defaultdict(list)
    for rejection in corpus.rejections:
        dropped[rejection.reason].append(rejection)
    for name in corpus.speakers:
        if spared := held_out.of_speaker(corpus, name):
            dropped[held_out.REASON] += spared
    return tuple(
        corpora.Dropped(reason=reason, count=len(items), duration_s=sum(item.duration_s for item in items))
        for reason, items in sorted(dropped.items())
    )


def _grades(trained: tuple[corpora.Clip, ...]) -> tuple[corpora.GradeTotals, ...]:
    graded = {grade: [clip for clip in trained if clip.grade == grade] for grade in GRADES}
    return tuple(
        corpora.GradeTotals(grade=grade, clips=len(clips), duration_s=sum(clip.duration_s for clip in clips))
        for grade, clips in graded.items()
        if clips
    )


def _corrections(corpus: corpora.Corpus) -> int:
    """How many lines of corrections show in the corpus: clips that a person changed or vouched for, or dropped."""
    dropped = sum(rejection.reason == "Dropped" for rejection in corpus.rejections)
    return sum(bool(clip.corrected) for clip in corpus.clips) + dropped
