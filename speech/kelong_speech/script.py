"""A text of any length as pieces that are each spoken in one breath, with the silences between them.

Voices learn from clips of seconds: a paragraph in one piece would run past what they know, and past what a text encoder
takes. A text within the limit stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kelong_speech.text import frontend

MAX_CHARACTERS = 80  # some 15 s of speech, the length of the longest clips people bring
SENTENCE_PAUSE_S = 0.2
PARAGRAPH_PAUSE_S = 0.5

# Pinyin, a pause or a breath in brackets: nothing in it ends a sentence or a clause.
_INLINE = r"\[[A-Za-züÜ:\d ]{1,250}\]"
# A sentence with its closing marks and quotes; what remains at the end may have none.
_IN_SENTENCE = rf"(?>{_INLINE}|[^。！？；!?;…\n])"
_SENTENCE = re.compile(rf"{_IN_SENTENCE}*+[。！？；!?;…\n]+[”’」』）)\"'\s]*|{_IN_SENTENCE}++")
# A comma or colon between digits is part of a number or a time.
_IN_CLAUSE = rf"(?>{_INLINE}|[^，,、：:]|(?<=\d)[,:：](?=\d))"
_CLAUSE = re.compile(rf"{_IN_CLAUSE}*+[，,、：:]+[”’」』）)\"'\s]*|{_IN_CLAUSE}++")
_INSEPARABLE = re.compile(r"[0-9A-Za-z.:%,/@°℃+#'’\[\]-]{2}")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One utterance and the silence before it (as trained; the speaker's `length` scales it)."""

    utterance: frontend.Utterance
    pause_before_s: float


@dataclass(frozen=True, kw_only=True)
class Script:
    """All that is to be said for one text, in order."""

    pieces: tuple[Piece, ...]


def read(text: str, front_end: frontend.FrontEnd | None = None, max_characters: int = MAX_CHARACTERS) -> Script:
    """The script of a text, read by our own rules if no front end is given.

    Raises `frontend.UnspeakableText` with the position in the whole text.
    """
    front_end = front_end or frontend.FrontEnd()
    pieces: list[Piece] = []
    start = 0
    for part in split(text, max_characters):
        try:
            utterance = front_end.analyse(part)
        except frontend.UnspeakableText as error:
            raise frontend.UnspeakableText(error.message, start + error.position) from error
        pause_s = PARAGRAPH_PAUSE_S if "\n" in text[:start][-1:] else SENTENCE_PAUSE_S
        pieces.append(Piece(utterance=utterance, pause_before_s=pause_s if pieces else 0.0))
        start += len(part)
    return Script(pieces=tuple(pieces))


def split(text: str, max_characters: int = MAX_CHARACTERS) -> list[str]:
    """The text in parts of at most that many characters, cut at sentence ends, else at commas, else anywhere.

    Joined, the parts are the text. What holds only marks stays with the part before it, and a reading in brackets with
    its characters, even beyond the limit.
    """
    if len(text) <= max_characters:
        return [text]
    parts: list[str] = []
    for unit in _units(text, max_characters):
        silent = not any(char.isalnum() for char in unit)
        if parts and (silent or len(parts[-1]) + len(unit) <= max_characters or not _speakable(parts[-1])):
            parts[-1] += unit
        else:
            parts.append(unit)
    return parts


def _units(text: str, limit: int) -> Iterator[str]:
    for sentence in _SENTENCE.findall(text):
        if len(sentence) <= limit:
            yield sentence
            continue
        for clause in _CLAUSE.findall(sentence):
            yield from _chunks(clause, limit)


def _chunks(clause: str, limit: int) -> Iterator[str]:
    held = _held(clause)
    start = 0
    while len(clause) - start > limit:
        ends = range(start + limit, start + min(limit, 2) - 1, -1)  # no piece of one character
        cut = next(
            (end for end in ends if end not in held and not _INSEPARABLE.fullmatch(clause[end - 1 : end + 1])), 0
        )
        if not cut:
            cut = next(end for end in range(start + limit, len(clause) + 1) if end not in held)
        yield clause[start:cut]
        start = cut
    if start < len(clause):
        yield clause[start:]


def _held(clause: str) -> frozenset[int]:
    """Where no cut may fall: inside brackets, and between them and the characters that they speak of."""
    return frozenset(
        place
        for match in re.finditer(_INLINE, clause)
        for place in range(match.start() - len(match[0].split()) + 1, match.end())
    )


def _speakable(part: str) -> bool:
    return any(char.isalnum() for char in part)
