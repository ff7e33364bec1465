"""Applies what a person overruled to the judged corpus: texts, speakers, and what is kept or left out.

Corrections lie in the dataset source, beside the corpus, or in both; they count until the corpus is frozen at step 1.
"""

from __future__ import annotations

import logging

from kelong_contract import codec, conditions, corpora, layout

from kelong_trainer.context import BadData, RunContext
from kelong_trainer.corpus.clips import corrections
from kelong_trainer.corpus.sound import decoding
from kelong_trainer.corpus.sources import recordings

log = logging.getLogger(__name__)

VERSION = 1


def read(context: RunContext) -> corrections.Corrections:
    """The corrections as they lie there now; raises BadData for a file that cannot be read, naming every line."""
    name, key = context.order.dataset.corrections, layout.corrections(context.place)
    try:
        dataset = recordings.Source(context).read(name)
    except recordings.LeadsOutside as error:
        raise BadData(conditions.DATASET_INVALID, str(error)) from None
    beside = context.store.get(key) if context.store.exists(key) else None
    try:
        found = [
            corrections.parse(data, where) if data is not None else corrections.Corrections()
            for data, where in ((dataset, f"'{name}' in the dataset"), (beside, f"'{key}' in the store"))
        ]
    except corrections.Malformed as error:
        raise BadData(conditions.DATASET_INVALID, str(error)) from None
    return corrections.combine(*found)


def facts(given: corrections.Corrections) -> dict[str, object]:
    """What the result depends on besides the clips and this code."""
    return {"corrections": [codec.encode(given.lines[sha256]) for sha256 in sorted(given.lines)]}


def run(context: RunContext, corpus: corpora.Corpus, given: corrections.Corrections) -> corpora.Corpus:
    """The corpus as a person wants it; raises BadData for a speaker who is not one of its."""
    with context.telemetry.stage("correct", len(given.lines), "clips") as bar:
        try:
            corrected = corrections.apply(corpus, given, decoding.SAMPLE_RATE_HZ)
        except corrections.Malformed as error:
            raise BadData(conditions.DATASET_INVALID, str(error)) from None
        bar.advance(len(given.lines))
    return corrected
