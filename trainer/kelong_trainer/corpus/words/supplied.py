"""Lays a transcript that came with a recording onto what was heard in it, so that its words get times.

Called by the transcribe stage; pure. The two are aligned by edit distance over syllables without tones: characters that
sound alike match. A text that says something else altogether is another recording's, and is not used.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
from kelong_contract.corpora import Word

from kelong_trainer.corpus.words import agreement

VERSION = 1  # raise when the same text would be laid otherwise than before
# Of a transcript that fits, even a small recogniser hears nine tenths; of another one that happens to be about as long
# about a tenth is the same by chance.
LEAST_AGREEMENT = 0.5


@dataclass(frozen=True, kw_only=True)
class Laid:
    """The words of a supplied text with times, and how far it agrees with what was heard, 0 to 1."""

    words: tuple[Word, ...]
    agreement: float

    @property
    def fits(self) -> bool:
        """Whether it can be this recording's text."""
        return self.agreement >= LEAST_AGREEMENT


def lay(text: str, heard: Sequence[Word]) -> Laid:
    """The text's words at the times of what was heard.

    A word that was heard as well has the recogniser's probability, any other 0. Times of what was not heard are shared
    out between its neighbours.
    """
    given, spoken = agreement.syllables(text), agreement.spoken(heard)
    if not given or not spoken:
        return Laid(words=(), agreement=0.0)
    matches: list[agreement.Spoken | None] = [None] * len(given)
    same = [False] * len(given)
    wanted, found = ([item.sound for item in side] for side in (given, spoken))
    wrong = 0
    for chunk in jiwer.process_words(" ".join(wanted), " ".join(found)).alignments[0]:
        wrong += (
            0
            if chunk.type == "equal"
            else max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        )
        if chunk.type in ("equal", "substitute"):
            for left, right in zip(
                range(chunk.ref_start_idx, chunk.ref_end_idx),
                range(chunk.hyp_start_idx, chunk.hyp_end_idx),
                strict=True,
            ):
                matches[left], same[left] = spoken[right], chunk.type == "equal"
    times = _filled([None if match is None else (match.start_s, match.end_s) for match in matches])
    chances = [
        heard[match.word].probability if match is not None and is_same else 0.0
        for match, is_same in zip(matches, same, strict=True)
    ]
    return Laid(words=_words(text, given, times, chances), agreement=round(max(0.0, 1 - wrong / len(given)), 4))


def _words(
    text: str,
    given: Sequence[agreement.Syllable],
    times: Sequence[tuple[float, float]],
    chances: Sequence[float],
) -> tuple[Word, ...]:
    """One word for each part of the text that is read as one, with the marks behind it."""
    firsts = [index for index, item in enumerate(given) if not index or item.start != given[index - 1].start]
    words = []
    for first, last in zip(firsts, [*firsts[1:], len(given)], strict=True):
        start = given[first].start if first else 0
        end = given[last].start if last < len(given) else len(text)
        words.append(
            Word(
                text=" ".join(text[start:end].split("\n")).rstrip(),
                start_s=times[first][0],
                end_s=max(times[last - 1][1], times[first][0]),
                probability=round(statistics.fmean(chances[first:last]), 4),
            )
        )
    return tuple(words)


def _filled(times: Sequence[tuple[float, float] | None]) -> list[tuple[float, float]]:
    """The times, and for those that are missing a share of what lies between their neighbours."""
    filled: list[tuple[float, float]] = []
    index = 0
    while index < len(times):
        known = times[index]
        if known is not None:
            filled.append(known)
            index += 1
            continue
        end = next((later for later in range(index, len(times)) if times[later] is not None), len(times))
        following = times[end] if end < len(times) else None
        before_s = filled[-1][1] if filled else (following[0] if following else 0.0)
        after_s = max(following[0] if following else before_s, before_s)
        each_s = (after_s - before_s) / (end - index)
        filled += [(before_s + i * each_s, before_s + (i + 1) * each_s) for i in range(end - index)]
        index = end
    return filled
