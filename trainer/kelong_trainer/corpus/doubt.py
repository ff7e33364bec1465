"""Which labels a person should look at first: those that the recognisers are least sure of."""

from __future__ import annotations

import math

from kelong_contract import corpora

SHARE = 0.05  # of the clips; whoever reads no more than these finds most of the wrong labels


def trust(clip: corpora.Clip) -> float:
    """How far a label can be trusted, 0 to 1: what the recogniser says of itself, or a second look that says less."""
    confidence = clip.confidence if clip.measures.confidence is None else clip.measures.confidence
    return confidence if clip.measures.agreement is None else min(confidence, clip.measures.agreement)


def least_trusted(corpus: corpora.Corpus) -> tuple[corpora.Clip, ...]:
    """The clips with the worst labels, the worst first; none whose text a person has written or vouched for."""
    unseen = [clip for clip in corpus.clips if not {"text", "keep"} & set(clip.corrected)]
    unseen.sort(key=lambda clip: (trust(clip), clip.sha256))
    return tuple(unseen[: math.ceil(SHARE * len(corpus.clips))])
