"""What one recogniser hears of a recording: passages in, words with the recording's times out. No store.

Called by the transcribe stage, some passages at a time. Memory does not grow with the length of a recording.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from kelong_contract.corpora import ForeignStretch, Stretch, Word

from kelong_trainer.corpus.sound import decoding, noise
from kelong_trainer.corpus.words import inventions, languages, passages, recogniser, word_times

# Raise when the same sound would give other words than before for a reason that lies in none of these.
VERSION = (1, passages.VERSION, recogniser.VERSION, inventions.VERSION, languages.VERSION)
# A passage that may be in two languages is looked at in pieces of this length.
PIECE_S = 5.0
# What may hold a window's edge apart from the nearest word: a cut is looked for in a tenth of a second.
_CALM_FRAMES = 10

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Words, stretches in another language, and how many words were dropped because nobody said them."""

    words: tuple[Word, ...] = ()
    foreign: tuple[ForeignStretch, ...] = ()
    invented: int = 0

    def followed_by(self, other: Heard) -> Heard:
        """Both, of which the other was heard later in the same recording."""
        return Heard(
            words=(*self.words, *other.words),
            foreign=languages.joined((*self.foreign, *other.foreign)),
            invented=self.invented + other.invented,
        )


NOTHING = Heard()


class Sound:
    """A recording's sound, read where it is wanted. `find` gives the decoded file when it is first read."""

    def __init__(self, find: Callable[[], pathlib.Path]) -> None:
        self._find = find
        self._path: pathlib.Path | None = None

    def at(self, start_s: float, end_s: float) -> Samples:
        """What is between two times, [S] at the recogniser's rate."""
        samples = self._read(start_s, end_s)
        resampled: Samples = soxr.resample(samples, decoding.SAMPLE_RATE_HZ, recogniser.SAMPLE_RATE_HZ, quality="HQ")
        return resampled

    def quietest(self, start_s: float, end_s: float) -> float:
        """The middle of the quietest tenth of a second between two times."""
        levels = noise.levels(self._read(start_s, end_s), decoding.SAMPLE_RATE_HZ)
        if len(levels) < _CALM_FRAMES:
            return (start_s + end_s) / 2
        sums = np.convolve(levels.astype(np.float64), np.ones(_CALM_FRAMES), mode="valid")
        return start_s + (int(np.argmin(sums)) + _CALM_FRAMES / 2) * noise.FRAME_S

    def _read(self, start_s: float, end_s: float) -> Samples:
        if self._path is None:
            self._path = self._find()
        with soundfile.SoundFile(self._path) as file:
            file.seek(min(max(round(start_s * decoding.SAMPLE_RATE_HZ), 0), file.frames))
            samples: Samples = file.read(round((end_s - start_s) * decoding.SAMPLE_RATE_HZ), dtype="float32")
        return samples


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a recogniser is made to hear: what it is told beforehand, and how long its passages are."""

    prompt: str | None
    longest_s: float


FIRST = Way(prompt=recogniser.PROMPT, longest_s=passages.LONGEST_S)
# A second look is worth the more the less it repeats the first: other passages and no prompt make other mistakes, even
# of the same model.
SECOND = Way(prompt=None, longest_s=20.0)


def batches(
    speech: Sequence[Stretch], duration_s: float, sound: Sound, way: Way = FIRST
) -> Iterator[tuple[passages.Passage, ...]]:
    """The passages of a recording, as many at a time as the recogniser takes."""
    found = passages.of(speech, duration_s, sound.quietest, longest_s=way.longest_s)
    for first in range(0, len(found), recogniser.BATCH):
        yield found[first : first + recogniser.BATCH]


def hear(
    model: recogniser.Recogniser,
    chosen: Sequence[passages.Passage],
    speech: Sequence[Stretch],
    sound: Sound,
    way: Way = FIRST,
) -> Heard:
    """What is said in some passages of a recording, of which `speech` is all speech."""
    found = NOTHING
    for passage, heard in zip(chosen, _listen(model, chosen, sound, way), strict=True):
        inside = [
            Stretch(start_s=max(item.start_s, passage.start_s), end_s=min(item.end_s, passage.end_s))
            for item in speech
            if item.end_s > passage.start_s and item.start_s < passage.end_s
        ]
        if languages.is_wholly_other(heard):
            found = found.followed_by(_foreign(passage, heard))
            continue
        believed = _believed(passage, heard, inside)
        is_whole = languages.unlabelled_s(believed.words, inside) <= languages.MOST_UNLABELLED_S
        if is_whole and not languages.is_doubtful(heard):
            found = found.followed_by(believed)
            continue
        pieces = passages.of(inside, passage.end_s, sound.quietest, longest_s=PIECE_S)
        for piece, again in zip(pieces, _listen(model, pieces, sound, way), strict=True):
            if languages.is_other(again):
                found = found.followed_by(_foreign(piece, again))
            else:
                found = found.followed_by(_believed(piece, again, inside))
    return found


def aligned(
    aligner: word_times.Aligner, words: Sequence[Word], speech: Sequence[Stretch], duration_s: float, sound: Sound
) -> tuple[Word, ...]:
    """The words of a recording with the aligner's times."""
    parts = [part for passage in passages.of(speech, duration_s, sound.quietest) for part in passage.parts]
    if not parts:
        return tuple(words)
    # A word outside of all parts belongs to the one before it, so that none is lost.
    inside: list[list[Word]] = [[] for _ in parts]
    index = 0
    for word in words:
        while index + 1 < len(parts) and (word.start_s + word.end_s) / 2 >= parts[index + 1].start_s:
            index += 1
        inside[index].append(word)
    found: list[Word] = []
    for part, heard in zip(parts, inside, strict=True):
        placed = aligner.align(sound.at(part.start_s, part.end_s), [_moved(word, -part.start_s) for word in heard])
        found += [_moved(word, part.start_s) for word in placed]
    return tuple(found)


def _moved(word: Word, offset_s: float) -> Word:
    return dataclasses.replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s)


def lies_in(word: Word, stretches: Sequence[ForeignStretch]) -> bool:
    """Whether the middle of a word is in one of the stretches."""
    middle_s = (word.start_s + word.end_s) / 2
    return any(item.start_s <= middle_s <= item.end_s for item in stretches)


def _listen(
    model: recogniser.Recogniser, chosen: Sequence[passages.Passage], sound: Sound, way: Way
) -> tuple[recogniser.Hearing, ...]:
    sounds = [np.concatenate([sound.at(part.start_s, part.end_s) for part in passage.parts]) for passage in chosen]
    return model.hear(sounds, prompt=way.prompt)


def _foreign(passage: passages.Passage, heard: recogniser.Hearing) -> Heard:
    """A passage in another language."""
    stretch = ForeignStretch(start_s=passage.start_s, end_s=passage.end_s, language=heard.language)
    return Heard(foreign=(stretch,))


def _believed(passage: passages.Passage, heard: recogniser.Hearing, speech: Sequence[Stretch]) -> Heard:
    """The words of a passage at the recording's times, without those that nobody said."""
    words = [passage.place(word) for word in heard.words]
    kept = inventions.believed(words, speech, heard.silence)
    return Heard(words=kept, invented=len(words) - len(kept))
