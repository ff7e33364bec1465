"""Which labels a person should look at first: those that the recognisers are least sure of."""

from __future__ import annotations

import dataclasses
import math

from kelong_contract import corpora

from kelong_trainer.corpus.clips import grading

SHARE = 0.05  # of the clips; whoever reads no more than these finds most of the wrong labels


def measured(clip: corpora.Clip) -> corpora.Measures:
    """What was measured of a clip; one that was not judged has the recogniser's own word."""
    if clip.measures.confidence is not None:
        return clip.measures
    return dataclasses.replace(clip.measures, confidence=clip.confidence)


def trust(clip: corpora.Clip) -> float:
    """How far a label can be trusted, 0 to 1."""
    return grading.trust(measured(clip))


def least_trusted(corpus: corpora.Corpus) -> tuple[corpora.Clip, ...]:
    """The clips with the worst labels, the worst first; none whose text a person has written or vouched for."""
    unseen = [clip for clip in corpus.clips if not {"text", "keep"} & set(clip.corrected)]
    unseen.sort(key=lambda clip: (trust(clip), clip.sha256))
    return tuple(unseen[: math.ceil(SHARE * len(corpus.clips))])
