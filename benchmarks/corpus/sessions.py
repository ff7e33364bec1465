"""Which recordings are made for which question: each session is a list of recordings with their truth.

All are drawn from one seed and from sentences that nothing else in the repository uses, so that no rule is measured on
what it was tuned on.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from corpus import sounds, studio, truth, voices

VERSION: Final = 1
SEED: Final = 761_903
CLEAN_NOISE_DBFS: Final = (-60.0, -45.0, -36.0)
CLEAN_MINUTES: Final = {-60.0: 6.0, -45.0: 3.0, -36.0: 3.0}
FILE_S: Final = 90.0
PAUSE_S: Final = (0.1, 1.2)
BREATH_DBFS: Final = (-48.0, -30.0)
NO_BREATH_DBFS: Final = (-46.0, -28.0)

TABLE_S: Final = 80.0
TABLE_TAKES: Final = 1
BURST_S, BURST_DBFS = (2.0, 5.0), -22.0

LISTENED_EVENTS: Final = 240
INTERVIEWS, INTERVIEW_S = 8, 60.0
SUPPLIED, WRONG_EVERY = 80, 20
# What is wrong with a supplied transcript, one after the other.
FAULTS: Final = ("another text", "a sentence too few", "a sentence too many", "some characters")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table of voice.md: the pauses, what lies in them, and the room."""

    name: str
    pause_s: float
    noise_dbfs: float
    breath_dbfs: float | None = None


CASES: Final = (
    Case(name="pauses-of-0.2-s", pause_s=0.2, noise_dbfs=-60.0),
    Case(name="pauses-of-0.5-s", pause_s=0.5, noise_dbfs=-60.0),
    Case(name="breaths-in-0.7-s", pause_s=0.7, noise_dbfs=-60.0, breath_dbfs=-36.0),
    Case(name="room-at-36-dB", pause_s=0.5, noise_dbfs=-36.0),
)


class Speech:
    """The voice, a generator of its own for each recording, and sentences in a drawn order without end."""

    def __init__(self, voice: voices.Voice, session: str) -> None:
        self._voice, self._session = voice, session
        self._texts = tuple(Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").split())
        self._order = self._endless(_random(session, "order"))

    def tape(self, name: str) -> tuple[studio.Tape, np.random.Generator]:
        """An empty recording and the generator that owns its randomness."""
        random = _random(self._session, name)
        return studio.Tape(self._voice, random), random

    def sentence(self) -> str:
        """The next one."""
        return next(self._order)

    def _endless(self, random: np.random.Generator) -> Iterator[str]:
        while True:
            yield from (self._texts[index] for index in random.permutation(len(self._texts)))


def table(voice: voices.Voice) -> Iterator[studio.Made]:
    """The four cases in which the usual slicer was tried, with speech."""
    speech = Speech(voice, "table")
    for case in CASES:
        for number in range(TABLE_TAKES):
            name = f"{case.name}-{number}"
            tape, _ = speech.tape(name)
            tape.pause(case.pause_s)
            while tape.length_s < TABLE_S:
                tape.say(speech.sentence())
                _case_pause(tape, case)
            yield tape.finish(name, case.noise_dbfs)


def bursts(voice: voices.Voice) -> Iterator[studio.Made]:
    """The same four cases with bursts of noise in the place of speech, as they were first tried."""
    speech = Speech(voice, "bursts")
    for case in CASES:
        tape, random = speech.tape(case.name)
        tape.pause(case.pause_s)
        while tape.length_s < TABLE_S - 3:
            tape.burst(random.uniform(*BURST_S), BURST_DBFS)
            _case_pause(tape, case)
        yield tape.finish(case.name, case.noise_dbfs, white=True)


def clean(voice: voices.Voice, noise_dbfs: float) -> Iterator[studio.Made]:
    """Somebody talks: pauses of every length, a breath in half of those that have room for one."""
    speech = Speech(voice, "clean")
    left_s, number = CLEAN_MINUTES[noise_dbfs] * 60, 0
    while left_s > 0:
        name = f"talk{number:02d}"
        tape, random = speech.tape(name)
        tape.pause(random.uniform(*PAUSE_S))
        while tape.length_s < min(FILE_S, left_s):
            tape.say(speech.sentence(), level_dbfs=studio.SPEECH_DBFS + random.uniform(-1.5, 1.5))
            breathes = random.uniform() < 0.5
            tape.pause(random.uniform(*PAUSE_S), "breath" if breathes else None, random.uniform(*BREATH_DBFS))
        yield tape.finish(name, noise_dbfs)
        left_s -= tape.length_s
        number += 1


def breathing(voice: voices.Voice, noise_dbfs: float) -> Iterator[studio.Made]:
    """In every pause a breath or something that is none; the same recordings in each room."""
    speech = Speech(voice, "breathing")
    kinds: list[truth.Kind] = list(sounds.NO_BREATHS)
    planted, number = 0, 0
    while planted < LISTENED_EVENTS:
        name = f"pauses{number:02d}"
        tape, random = speech.tape(name)
        tape.pause(0.5)
        while tape.length_s < FILE_S:
            tape.say(speech.sentence())
            breathes = random.uniform() < 0.5
            kind: truth.Kind = "breath" if breathes else kinds[random.integers(len(kinds))]
            level_dbfs = random.uniform(*(BREATH_DBFS if breathes else NO_BREATH_DBFS))
            planted += tape.pause(random.uniform(0.85, 1.4), kind, level_dbfs)
        yield tape.finish(name, noise_dbfs)
        number += 1


def interviews(voice: voices.Voice) -> Iterator[studio.Made]:
    """The speaker and somebody else: by turns, in blocks, with short remarks, alone."""
    speech = Speech(voice, "interviews")
    for number in range(INTERVIEWS):
        name = f"interview{number:02d}"
        tape, random = speech.tape(name)
        # How many sentences the other says at a time: nothing but the other in one recording, nobody else in another.
        own, other = ((3, 0), (0, 3), (1, 1), (4, 1), (3, 3), (6, 4), (2, 1), (5, 2))[number % 8]
        tape.pause(random.uniform(0.3, 1.0))
        while tape.length_s < INTERVIEW_S:
            for is_other in [False] * own + [True] * other:
                tape.say(speech.sentence(), other=is_other, level_dbfs=studio.SPEECH_DBFS - 2 * is_other)
                tape.pause(random.uniform(0.25, 1.2))
        yield tape.finish(name, -60.0)


def supplied(voice: voices.Voice) -> Iterator[studio.Made]:
    """Cut clips of 5 to 11 s with transcripts, one in twenty of them wrong."""
    speech = Speech(voice, "supplied")
    for number in range(SUPPLIED):
        name = f"line{number:03d}"
        tape, random = speech.tape(name)
        tape.pause(0.3)
        said: list[str] = []
        length_s = random.uniform(4.0, 7.0)
        while tape.length_s < length_s:
            said.append(speech.sentence())
            tape.say(said[-1])
            tape.pause(random.uniform(0.15, 0.7))
        wrong = number % WRONG_EVERY == WRONG_EVERY // 2
        text = _spoiled(said, FAULTS[number // WRONG_EVERY % len(FAULTS)], speech) if wrong else "".join(said)
        yield tape.finish(name, -60.0, text)


def spoiled(voice: voices.Voice) -> Iterator[studio.Made]:
    """What people also upload: each recording is good speech at first, and then something else."""
    speech = Speech(voice, "spoiled")
    kinds: tuple[truth.Kind, ...] = ("hum", "clipping", "music")
    for kind in kinds:
        tape, random = speech.tape(kind)
        _talk(tape, speech, random, 60.0)
        tape.spoil(kind, 30.0, tape.length_s, -30.0 if kind == "hum" else -27.0)
        yield tape.finish(f"talk-with-{kind}", -60.0)
    tape, random = speech.tape("jingle")
    _talk(tape, speech, random, 30.0)
    tape.play(20.0, -18.0)
    _talk(tape, speech, random, 75.0)
    yield tape.finish("music-between", -60.0)
    tape, random = speech.tape("only-music")
    tape.play(40.0, -18.0)
    yield tape.finish("music-alone", -70.0)
    tape, random = speech.tape("long-silence")
    _talk(tape, speech, random, 30.0)
    tape.pause(30.0)
    _talk(tape, speech, random, 75.0)
    yield tape.finish("silence-between", -60.0)


def repeated(voice: voices.Voice, seconds: float) -> studio.Made:
    """Plain talk of that length, with breaths: what long recordings are made of."""
    speech = Speech(voice, "repeated")
    tape, random = speech.tape("talk")
    while tape.length_s < seconds:
        tape.say(speech.sentence())
        tape.pause(random.uniform(*PAUSE_S), "breath" if random.uniform() < 0.3 else None, random.uniform(*BREATH_DBFS))
    return tape.finish("talk", -60.0)


SESSIONS: Final[dict[str, Callable[[voices.Voice], Iterator[studio.Made]]]] = {
    "table": table,
    "bursts": bursts,
    **{f"clean{-noise:.0f}": functools.partial(clean, noise_dbfs=noise) for noise in CLEAN_NOISE_DBFS},
    **{f"breathing{-noise:.0f}": functools.partial(breathing, noise_dbfs=noise) for noise in CLEAN_NOISE_DBFS},
    "interviews": interviews,
    "supplied": supplied,
    "spoiled": spoiled,
}


def make(session: str, voice: voices.Voice, folder: Path) -> tuple[truth.Take, ...]:
    """The recordings of a session in a folder, each with its truth beside it; what was made before is replaced."""
    takes = []
    for made in SESSIONS[session](voice):
        studio.write(made, folder)
        takes.append(made.take)
    return tuple(takes)


def _random(*about: str) -> np.random.Generator:
    digest = hashlib.sha256("/".join(about).encode()).digest()
    return np.random.default_rng([SEED, int.from_bytes(digest[:8], "big")])


def _case_pause(tape: studio.Tape, case: Case) -> None:
    if case.breath_dbfs is None:
        tape.pause(case.pause_s)
    else:
        tape.pause(case.pause_s, "breath", case.breath_dbfs, centred=True)


def _talk(tape: studio.Tape, speech: Speech, random: np.random.Generator, until_s: float) -> None:
    tape.pause(random.uniform(0.3, 1.0))
    while tape.length_s < until_s:
        tape.say(speech.sentence())
        tape.pause(random.uniform(0.2, 1.0))


def _spoiled(said: list[str], fault: str, speech: Speech) -> str:
    if fault == "another text":
        return speech.sentence() + speech.sentence()
    if fault == "a sentence too few":
        return "".join(said[:-1])
    if fault == "a sentence too many":
        return "".join([*said, speech.sentence()])
    # Four characters in the middle are others.
    whole, other = "".join(said), speech.sentence()
    middle = len(whole) // 2
    return whole[:middle] + other[:4] + whole[middle + 4 :]
