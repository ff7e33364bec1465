"""The clips that are kept from training, so that a voice can be compared with recordings it never learnt from.

They are chosen once, with the corpus, and stand in it: every process and every resume leaves out the same.
"""

from __future__ import annotations

import dataclasses

from kelong_contract import corpora

MOST = 8  # of a speaker
SHARE = 0.03  # of a speaker's clips
REASON = "HeldOut"  # why their seconds are not trained on, where dropped seconds are counted
LEAST_CLIPS = 20  # a speaker with fewer needs them all; from here on one clip is held out


def choose(corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with its held-out clips named: of each speaker those with the lowest digests, which is by chance."""
    chosen: list[str] = []
    for speaker in corpus.speakers:
        digests = sorted({clip.sha256 for clip in corpus.clips if clip.speaker == speaker})
        chosen += digests[: _count(len(digests))]
    return dataclasses.replace(corpus, held_out=tuple(sorted(chosen)))


def trained_on(corpus: corpora.Corpus) -> tuple[corpora.Clip, ...]:
    """The clips that training sees."""
    held_out = set(corpus.held_out)
    return tuple(clip for clip in corpus.clips if clip.sha256 not in held_out)


def of_speaker(corpus: corpora.Corpus, speaker: str) -> tuple[corpora.Clip, ...]:
    """A speaker's clips that training never sees."""
    held_out = set(corpus.held_out)
    return tuple(clip for clip in corpus.clips if clip.sha256 in held_out and clip.speaker == speaker)


def _count(clips: int) -> int:
    return min(MOST, max(int(SHARE * clips), int(clips >= LEAST_CLIPS)))
