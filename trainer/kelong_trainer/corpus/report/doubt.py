"""Which labels a person should look at first: those that the recognisers are least sure of."""

from __future__ import annotations

import dataclasses
import math

from kelong_contract import corpora

from kelong_trainer.corpus.clips import grading

SHARE = 0.05  # of the clips; whoever reads no more than these finds most of the wrong labels


def trust(clip: corpora.Clip) -> float:
    """How far a label can be trusted, 0 to 1; a clip that was not measured has the recogniser's own word."""
    if clip.measures.confidence is None:
        return grading.trust(dataclasses.replace(clip.measures, confidence=clip.confidence))
    return grading.trust(clip.measures)


def least_trusted(corpus: corpora.Corpus) -> tuple[corpora.Clip, ...]:
    """The clips with the worst labels, the worst first; none whose text a person has written or vouched for."""
    unseen = [clip for clip in corpus.clips if not {"text", "keep"} & set(clip.corrected)]
    unseen.sort(key=lambda clip: (trust(clip), clip.sha256))
    return tuple(unseen[: math.ceil(SHARE * len(corpus.clips))])
