"""How right labels are, held against what was said, and how far the corpus knows which are wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jiwer
import pypinyin
from corpus import scores, spans, truth
from kelong_contract import corpora
from kelong_trainer.corpus.report import doubt

# What is read aloud of a text: hanzi, figures and Latin letters. Marks are nobody's label error.
SPOKEN = re.compile(r"[一-鿿0-9A-Za-z]")
# A review of this share of the clips, the least trusted first.
REVIEW_SHARE = 0.05
REJECTED = -1.0  # what is trusted less than any clip that is kept


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One clip: what was said in it, its label, and how far the corpus trusts that label (less is less)."""

    key: str
    said: str
    label: str
    trust: float
    rejected: bool

    @property
    def errors(self) -> int:
        """Characters that have to be changed, added or taken out."""
        return _errors(self.said, self.label)

    @property
    def cer(self) -> float:
        """Those for each character that was said; 1 for a label of which nothing was said."""
        return self.errors / len(self.said) if self.said else float(bool(self.label))


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Error rates over all clips, and what a review of the least trusted would find.

    `caught` is the share of the wrong characters in them, `best_caught` what the best possible order would find.
    """

    clips: int
    characters: int
    cer: float
    syllable_error_rate: float
    caught: float
    best_caught: float


def judged(takes: Iterable[truth.Take], corpus: corpora.Corpus) -> tuple[Judged, ...]:
    """Every clip with a label, those that were rejected afterwards too."""
    found = []
    for take in takes:
        mine = scores.of_take(corpus, take)
        for clip in mine.clips:
            found.append(_judged(take, clip, clip.recording, clip.text, doubt.trust(clip), rejected=False))
        for item in mine.rejections:
            if item.sha256:
                found.append(_judged(take, item, item.recording, item.text, REJECTED, rejected=True))
    return tuple(found)


def labels(clips: Sequence[Judged]) -> Labels:
    """Figures of the clips that are kept."""
    kept = [clip for clip in clips if not clip.rejected]
    characters = sum(len(clip.said) for clip in kept)
    errors = [float(clip.errors) for clip in kept]
    syllables = sum(_syllable_errors(clip.said, clip.label) for clip in kept)
    trusts = [clip.trust for clip in kept]
    by_errors = [-clip.cer for clip in kept]
    return Labels(
        clips=len(kept),
        characters=characters,
        cer=sum(errors) / max(characters, 1),
        syllable_error_rate=syllables / max(characters, 1),
        caught=scores.caught(trusts, errors, REVIEW_SHARE),
        best_caught=scores.caught(by_errors, errors, REVIEW_SHARE),
    )


def said_in(take: truth.Take, span: spans.Timed) -> str:
    """The characters whose middle lies in a stretch, whoever says them."""
    spoken = truth.characters(take)
    return "".join(one.text for one in spoken if span.start_s <= (one.start_s + one.end_s) / 2 < span.end_s)


def _judged(take: truth.Take, span: spans.Timed, recording: str, text: str, trust: float, *, rejected: bool) -> Judged:
    label = "".join(SPOKEN.findall(text))
    return Judged(key=recording, said=said_in(take, span), label=label, trust=trust, rejected=rejected)


def _errors(said: str, label: str) -> int:
    """Characters that differ."""
    if not said or not label:
        return len(said) + len(label)
    found = jiwer.process_characters(said, label)
    return found.substitutions + found.deletions + found.insertions


def _syllable_errors(said: str, label: str) -> int:
    """Syllables that differ, tones aside: homophones are alike."""
    if not said or not label:
        return len(said) + len(label)
    found = jiwer.process_words(" ".join(pypinyin.lazy_pinyin(said)), " ".join(pypinyin.lazy_pinyin(label)))
    return found.substitutions + found.deletions + found.insertions
