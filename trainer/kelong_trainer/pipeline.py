"""Preprocessing: the stages in their order, each finished one kept in the store by the digest of all it depends on.

`__main__` calls `prepare` before training. A pod that starts again goes on where the last one was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from kelong_contract import accounts, codec, conditions, corpora, layout

from kelong_trainer import documents
from kelong_trainer.context import BadData, Faulty, RunContext
from kelong_trainer.corpus.clips import corrections
from kelong_trainer.corpus.report import publish
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.scoring import held_out
from kelong_trainer.stages import align, correct, features, ingest, judge, listen, mark, phonemes, slice, transcribe

log = logging.getLogger(__name__)

# The stages, in their order. Each is a module with VERSION, facts and run.
STAGES = ("ingest", "listen", "transcribe", "slice", "judge", "correct", "mark", "phonemes", "features", "align")
FIRST_TO_CUT = "slice"  # from this stage on every second is in a clip or a rejection
REPORTED_EXAMPLES = 3


def prepare(context: RunContext) -> corpora.Corpus:
    """The corpus to train on: the frozen one if training began, else what the stages make of the recordings.

    Leaves the totals in the store and in the metrics. Raises BadData when nothing usable is left, BadOrder when the
    order cannot be carried out, Stopped when asked to stop, which an order that wants a review waits for.
    """
    frozen_key = layout.corpus(context.place)
    if context.store.exists(frozen_key):
        remedy = "restore it: the voice's steps were trained on it"
        corpus = documents.parse(corpora.Corpus, context.store.get(frozen_key), frozen_key, remedy)
        for name in STAGES:
            context.telemetry.cached_stage(name)
        _publish(context, corpus, corrections.Corrections(), ())
    else:
        corpus = _prepare(context)
        if context.order.review:
            _wait_for_review(context)
    return corpus


def _prepare(context: RunContext) -> corpora.Corpus:
    # Sources that are missing are found before hours are spent on what comes first.
    given = correct.read(context)
    listening, transcribing = listen.facts(context), transcribe.facts(context)
    speaking, encoding = phonemes.facts(context), features.facts(context)
    listing = recordings.Source(context).listing()
    speakers = _speaker_ids(context)
    found: dict[str, object] = {**ingest.facts(context, listing), "ids": speakers}
    corpus = _stage(context, "ingest", ingest.VERSION, found, lambda: ingest.run(context, listing, speakers))
    heard = corpus
    corpus = _after(context, "listen", listen.VERSION, corpus, listening, listen.run)
    corpus = _after(context, "transcribe", transcribe.VERSION, corpus, transcribing, transcribe.run)
    corpus = _after(context, "slice", slice.VERSION, corpus, slice.facts(context), slice.run)
    corpus = _after(context, "judge", judge.VERSION, corpus, judge.facts(context), judge.run)
    remarks = corrections.remarks(corpus, given)
    corpus = _correct(context, corpus, given)
    corpus = _after(context, "mark", mark.VERSION, corpus, mark.facts(context), mark.run)
    corpus = _after(context, "phonemes", phonemes.VERSION, corpus, speaking, phonemes.run)
    if not corpus.clips:
        _publish(context, corpus, given, remarks)
        raise BadData(conditions.TOO_FEW_CLIPS, _nothing_left(corpus, len(heard.recordings)))
    corpus = held_out.choose(_after(context, "features", features.VERSION, corpus, encoding, features.run))
    corpus = _after(context, "align", align.VERSION, corpus, align.facts(context), align.run)
    _publish(context, corpus, given, remarks)
    return corpus


def _correct(context: RunContext, corpus: corpora.Corpus, given: corrections.Corrections) -> corpora.Corpus:
    """The corpus as a person wants it."""
    facts = {**correct.facts(given), "input": codec.digest(corpus)}
    return _stage(context, "correct", correct.VERSION, facts, lambda: correct.run(context, corpus, given))


def _wait_for_review(context: RunContext) -> None:
    """Hold what this process has until somebody has looked at the corpus; raises Stopped when asked to stop."""
    log.info("the corpus waits for a review: look at %s", layout.corpus_page(context.place))
    context.telemetry.review_begins()
    context.stopping.wait()
    context.check_stopping()


def _after(
    context: RunContext,
    name: str,
    version: int,
    corpus: corpora.Corpus,
    facts: Mapping[str, object],
    run: Callable[[RunContext, corpora.Corpus], corpora.Corpus],
) -> corpora.Corpus:
    """A stage that works on the corpus of the one before it."""
    return _stage(context, name, version, {**facts, "input": codec.digest(corpus)}, lambda: run(context, corpus))


def _stage(
    context: RunContext, name: str, version: int, facts: Mapping[str, object], work: Callable[[], corpora.Corpus]
) -> corpora.Corpus:
    """A stage's result from the store, or made now and put there."""
    context.check_stopping()
    key = layout.stage(context.place, name, codec.digest({"stage": name, "version": version, "facts": facts}))
    if context.store.exists(key):
        context.telemetry.cached_stage(name)
        return documents.parse(corpora.Corpus, context.store.get(key), key, documents.REMAKE)
    corpus = work()
    if STAGES.index(name) >= STAGES.index(FIRST_TO_CUT):
        try:
            accounts.balance(corpus)
        except accounts.Unbalanced as error:
            raise Faulty(f"after the stage {name} the corpus does not account for every second: {error}") from error
    context.store.put(key, codec.dumps(corpus), "application/json")
    return corpus


def _speaker_ids(context: RunContext) -> dict[str, int]:
    """An id for each speaker: the one given before, or the lowest that is free, in the order's order."""
    key = layout.corpus_report(context.place)
    known: dict[str, int] = {}
    if context.store.exists(key):
        before = documents.parse(corpora.CorpusReport, context.store.get(key), key, documents.REMAKE)
        known = {speaker.name: speaker.id for speaker in before.speakers}
    names = [speaker.name for speaker in context.order.speakers]
    ids = {name: known[name] for name in names if name in known}
    free = (number for number in range(len(names) + len(ids)) if number not in set(ids.values()))
    return {name: ids[name] if name in ids else next(free) for name in names}


def _publish(
    context: RunContext, corpus: corpora.Corpus, given: corrections.Corrections, remarks: Sequence[str]
) -> None:
    """The report of the corpus to the store and to the metrics, with the corrections and what is to be said of them."""
    for remark in remarks:
        log.warning("%s", remark)
    try:
        context.telemetry.dataset(publish.publish(context, corpus, remarks, tuple(given.lines.values())))
    except accounts.Unbalanced as error:
        raise Faulty(f"the corpus does not account for every second: {error}") from error


def _nothing_left(corpus: corpora.Corpus, recordings_count: int) -> str:
    """One sentence that says what became of the recordings, with a few examples."""
    telling = [item for item in corpus.rejections if item.reason != "Silence"]
    examples = "; ".join(item.message for item in telling[:REPORTED_EXAMPLES])
    more = f"; and {len(telling) - REPORTED_EXAMPLES} more" if len(telling) > REPORTED_EXAMPLES else ""
    return f"no clip is left of {recordings_count} recordings: {examples}{more}"
