"""Which passages are in another language, by what the recogniser takes them for. Called by the transcribe stage; pure.

A recogniser that is told to write Mandarin translates what is not: so what may be another language is looked at in
short pieces, and only what is Mandarin keeps its words. A foreign word or name in a Mandarin sentence stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from kelong_contract.corpora import ForeignStretch, Stretch, Word

from kelong_trainer.corpus.words import recogniser

VERSION = 1  # raise when the same passages would be taken for another language than before
# Mandarin as the stand-in and people speak it gets 0.97 and more of half a minute; less is worth a second look.
SURE = 0.9
# In a few seconds music and laughter look like many languages: another one is believed only when it is clear.
LEAST_OTHER = 0.8
LEAST_OTHER_IN_LATIN = 0.5  # where it also reads like one
LATIN_WORDS = 6
# Told to write Mandarin, the recogniser passes over a sentence in English. Speech this long without words is looked at;
# in Mandarin with word times as they are it is 0.35 s at most.
MOST_UNLABELLED_S = 1.0
# A word that is longer was stretched over what the recogniser passed over.
LONGEST_WORD_S = 0.6
_STEP_S = 0.05
NO_MANDARIN = 0.02
JOINED_S = 2.0
_BLANKS = re.compile(r"[\W_\d]")
_LATIN_RUN = re.compile(rf"(?:[A-Za-z][A-Za-z'’-]*[\s,.!?]+){{{LATIN_WORDS},}}")


def is_doubtful(heard: recogniser.Hearing) -> bool:
    """Whether a part of a passage may be another language: it does not look like Mandarin, or reads like English."""
    return heard.mandarin < SURE or _LATIN_RUN.search(_text(heard.words) + " ") is not None


def unlabelled_s(words: Sequence[Word], speech: Sequence[Stretch]) -> float:
    """The longest speech without any word in it; pauses within are not counted."""
    if not speech:
        return 0.0
    start_s, end_s = speech[0].start_s, speech[-1].end_s
    steps = int((end_s - start_s) / _STEP_S) + 1
    spoken, labelled = np.zeros(steps, bool), np.zeros(steps, bool)
    for item in speech:
        spoken[round((item.start_s - start_s) / _STEP_S) : round((item.end_s - start_s) / _STEP_S)] = True
    for word in words:
        last_s = min(word.end_s, word.start_s + LONGEST_WORD_S)
        labelled[max(round((word.start_s - start_s) / _STEP_S), 0) : max(round((last_s - start_s) / _STEP_S), 0)] = True
    runs = np.split(spoken & ~labelled, np.flatnonzero(labelled))
    return max(int(run.sum()) for run in runs) * _STEP_S


def is_other(heard: recogniser.Hearing) -> bool:
    """Whether a short piece is clearly not Mandarin."""
    letters = _BLANKS.sub("", _text(heard.words))
    reads_latin = len(letters) > 0 and sum(map(str.isascii, letters)) > len(letters) / 2
    least = LEAST_OTHER_IN_LATIN if reads_latin else LEAST_OTHER
    return heard.language != recogniser.MANDARIN and heard.probability >= least


def is_wholly_other(heard: recogniser.Hearing) -> bool:
    """Whether nothing of a long passage can be Mandarin, so that nobody need look at its pieces.

    With a few seconds of Mandarin in it the recogniser takes half a minute for Mandarin.
    """
    return is_other(heard) and heard.mandarin < NO_MANDARIN


def joined(stretches: Sequence[ForeignStretch]) -> tuple[ForeignStretch, ...]:
    """Stretches in the same language that follow one another closely, as one."""
    found: list[ForeignStretch] = []
    for item in stretches:
        last = found[-1] if found else None
        if last is not None and last.language == item.language and item.start_s - last.end_s <= JOINED_S:
            found[-1] = ForeignStretch(start_s=last.start_s, end_s=item.end_s, language=item.language)
        else:
            found.append(item)
    return tuple(found)


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text.strip() for word in words)
