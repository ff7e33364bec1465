"""What is exactly known about a recording that was made: who says which character when, and what else can be heard.

Written beside each recording as JSON. Times are seconds in the recording.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

OWN, OTHER = "own", "other"
# Neighbouring characters with less than this between them are one stretch of speech: no cut belongs there.
JOINED_S = 0.06

Kind = Literal["breath", "click", "smack", "rustle", "fricative", "knock", "music", "drums", "hum", "clipping"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a recording."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class Character:
    """One hanzi and when it is spoken, to a frame of the acoustic model (12.5 ms)."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Said:
    """One sentence with its punctuation, and who says it: `own` is the speaker whose voice is wanted."""

    text: str
    speaker: str
    characters: tuple[Character, ...]

    @property
    def start_s(self) -> float:
        """Where its first character begins."""
        return self.characters[0].start_s

    @property
    def end_s(self) -> float:
        """Where its last character ends."""
        return self.characters[-1].end_s


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A sound that is nobody's speech. `level_dbfs` is its root mean square from `start_s` to `end_s`."""

    kind: Kind
    start_s: float
    end_s: float
    level_dbfs: float


@dataclass(frozen=True, kw_only=True)
class Take:
    """The truth about one recording. `supplied` is the transcript that comes with it, right or wrong."""

    name: str
    duration_s: float
    noise_dbfs: float
    said: tuple[Said, ...] = ()
    planted: tuple[Planted, ...] = ()
    supplied: str = ""
    format: int = 1

    @property
    def text(self) -> str:
        """All that is said, with punctuation."""
        return "".join(said.text for said in self.said)


def stretches(take: Take, speaker: str | None = None) -> tuple[Span, ...]:
    """Where somebody speaks without a gap of JOINED_S: everybody, or one speaker."""
    joined: list[Span] = []
    for character in characters(take, speaker):
        if joined and character.start_s - joined[-1].end_s < JOINED_S:
            joined[-1] = Span(start_s=joined[-1].start_s, end_s=max(joined[-1].end_s, character.end_s))
        else:
            joined.append(Span(start_s=character.start_s, end_s=character.end_s))
    return tuple(joined)


def characters(take: Take, speaker: str | None = None) -> tuple[Character, ...]:
    """Every character in order: everybody's, or one speaker's."""
    wanted = (said.characters for said in take.said if speaker is None or said.speaker == speaker)
    return tuple(sorted(itertools.chain.from_iterable(wanted), key=lambda character: character.start_s))


def planted(take: Take, *kinds: Kind) -> tuple[Planted, ...]:
    """What was planted of these kinds, in order."""
    return tuple(sorted((item for item in take.planted if item.kind in kinds), key=lambda item: item.start_s))
