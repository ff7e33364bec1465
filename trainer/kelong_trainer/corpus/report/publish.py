"""Puts the report of a corpus into the store, its totals last; a page that tells of this very corpus stays as it is."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from kelong_contract import codec, corpora, layout
from kelong_contract import store as stores

from kelong_trainer import documents
from kelong_trainer.context import RunContext
from kelong_trainer.corpus.report import advice, doubt, page, sounds, totals

log = logging.getLogger(__name__)


def publish(
    context: RunContext,
    corpus: corpora.Corpus,
    remarks: Sequence[str] = (),
    given: Sequence[corpora.Correction] = (),
) -> corpora.CorpusReport:
    """The report, which lies in the store with its page when this returns.

    `given` are the corrections, which the page hands on, and `remarks` what is to be said of them.

    Raises Unbalanced for a corpus that does not account for every second.
    """
    advised = advice.advise(corpus)
    report = dataclasses.replace(
        totals.summarise(corpus),
        page=layout.corpus_page(context.place),
        page_version=page.VERSION,
        advice=(*remarks, *(item.english for item in advised)),  # status has room for the first few
        corrections_digest=codec.digest(given) if given else "",
    )
    key = layout.corpus_report(context.place)
    if _is_told(context, key, report):
        return report
    doubtful = doubt.least_trusted(corpus)
    with context.telemetry.stage("report", len(doubtful), "clips") as bar:

        def fetch(sha256: str) -> bytes | None:
            context.check_stopping()
            try:
                return context.store.get(layout.clip(context.place, sha256))
            except stores.NoSuchObject:
                log.warning("the clip %s is not in the store, so that nobody can hear it in the report", sha256)
                return None

        heard = sounds.embed(doubtful, fetch, bar.advance)
        made = page.make(corpus, report, advised, remarks, heard, context.place.name, context.order.slicing, given)
    context.store.put(report.page, made, "text/html; charset=utf-8")
    context.store.put(key, codec.dumps(report), "application/json")
    log.info("the report is %s, %.1f MB with %d clips in it", report.page, len(made) / 1e6, len(heard))
    return report


def _is_told(context: RunContext, key: str, report: corpora.CorpusReport) -> bool:
    if not (context.store.exists(key) and context.store.exists(report.page)):
        return False
    return documents.parse(corpora.CorpusReport, context.store.get(key), key, documents.REMAKE) == report
