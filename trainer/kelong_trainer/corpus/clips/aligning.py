"""When each phoneme of a clip is heard: a small aligner of its own, started from the recogniser's word times.

A voice that is trained from scratch knows nothing of phonemes at first, and what it aligns wrongly it learns wrongly:
its own search settles for whatever it began with. So each phoneme gets two states with one normal distribution each
(Rabiner 1989), begun by sharing out every character's time among its phonemes, and re-estimated a few times from the
best path (Juang and Rabiner 1990). The recogniser's times are off by about a tenth of a second: the path keeps within
twice that of them. Takes seconds for half an hour of speech. Called by the align stage.

T phonemes with blanks, F frames, N states, D features.
"""

from __future__ import annotations

import difflib
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from kelong_contract import corpora
from kelong_speech.text import symbols
from kelong_speech.text.utterance import Ids

from kelong_trainer.corpus.clips import marking

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

VERSION = 2
ROUNDS = 12
SLACK_S = 0.2
STATES = 2
CEPSTRA = 14
PRIOR_FRAMES = 20
LEAST_VARIANCE = 0.02  # of features whose own variance is 1
OUTSIDE_PER_S = 500.0  # what a second outside a phoneme's window costs, in nats
# What is silence to the aligner: the edges, punctuation and pauses. It may also come between any two characters.
_SILENT = frozenset(symbols.SYMBOL_IDS[mark] for mark in (symbols.PAD, *symbols.MARKS, *symbols.PAUSES))
_MARKS = frozenset(symbols.SYMBOL_IDS[mark] for mark in symbols.INLINE_MARKS)
_SILENCE = symbols.SYMBOL_IDS[symbols.PAD]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One clip as the aligner needs it. `marks_s` are the times of the pauses and breaths among its phonemes."""

    ids: Ids
    log_mel: npt.NDArray[np.float32]  # [M, F]
    windows_s: npt.NDArray[np.float32]  # [characters and edges, 2]
    marks_s: Sequence[tuple[float, float]] = ()
    frame_s: float


def character_windows(clip: corpora.Clip, transcript: corpora.Transcript | None) -> npt.NDArray[np.float32]:
    """The start and the end of each spoken character and both edges, in seconds from the clip's start.

    Marks, edges and characters without a time of their own (a numeral, say, that is written otherwise than spoken)
    reach from the neighbour before to the one after.
    """
    nowhere = (-1.0, -1.0)
    words = transcript.words if transcript else ()
    bounds = np.array([nowhere, *_spoken(clip, words, nowhere), nowhere], np.float32)
    known = np.flatnonzero(bounds[:, 1] >= 0).tolist()
    for left, right in itertools.pairwise([-1, *known, len(bounds)]):
        earliest = bounds[left, 1] if left >= 0 else 0.0
        latest = bounds[right, 0] if right < len(bounds) else clip.duration_s
        bounds[left + 1 : right] = (min(earliest, latest), max(earliest, latest))
    return bounds


def mark_windows(clip: corpora.Clip) -> list[tuple[float, float]]:
    """The start and the end of each pause and breath among a clip's phones, in seconds from its start.

    None for those that somebody wrote into its text: they may be anywhere beside their character.
    """
    heard = [(mark.start_s - clip.start_s, mark.end_s - clip.start_s) for mark in marking.sure(clip.marks)]
    return heard if len(heard) == sum(phone in symbols.INLINE_MARKS for phone in clip.phones) else []


def _spoken(
    clip: corpora.Clip, words: Sequence[corpora.Word], nowhere: tuple[float, float]
) -> list[tuple[float, float]]:
    """Start and end of each character of the clip's spoken text, `nowhere` where no word tells."""
    heard = [
        timed
        for word in words
        if clip.start_s <= (word.start_s + word.end_s) / 2 <= clip.end_s
        for timed in _characters(word)
    ]
    found = [nowhere] * len(clip.spoken)
    letters = "".join(character for character, _, _ in heard)
    match = difflib.SequenceMatcher(None, clip.spoken, letters, autojunk=False)
    for block in match.get_matching_blocks():
        for offset in range(block.size):
            _, start_s, end_s = heard[block.b + offset]
            if clip.spoken[block.a + offset].isalnum():
                found[block.a + offset] = (max(start_s - clip.start_s, 0.0), max(end_s - clip.start_s, 0.0))
    return found


def _characters(word: corpora.Word) -> list[tuple[str, float, float]]:
    """The characters of a word, its time shared out evenly among those that are spoken."""
    letters = [character for character in word.text if character.isalnum()]
    each_s = (word.end_s - word.start_s) / max(len(letters), 1)
    return [
        (letter, word.start_s + index * each_s, word.start_s + (index + 1) * each_s)
        for index, letter in enumerate(letters)
    ]


@dataclass(frozen=True)
class Aligner:
    """What was learnt of how each phoneme sounds."""

    mean: Array  # [D] of the features as they are
    deviation: Array  # [D]
    means: Array  # [models, D] of the features at variance 1
    precisions: Array  # [models, D]

    @classmethod
    def fit(cls, clips: Sequence[Heard]) -> Aligner:
        """Learn it from clips; about an hour of them is plenty."""
        features = [_features(clip.log_mel) for clip in clips]
        together = np.concatenate(features)
        mean, deviation = together.mean(axis=0), together.std(axis=0) + 1e-9
        features = [(each - mean) / deviation for each in features]
        chains = [_Chain.of(clip) for clip in clips]
        paths = [chain.shared_out(len(each)) for chain, each in zip(chains, features, strict=True)]
        learnt = cls(mean, deviation, *_estimated(chains, paths, features))
        for _ in range(ROUNDS - 1):
            paths = [learnt._path(*each) for each in zip(clips, chains, features, strict=True)]
            learnt = cls(mean, deviation, *_estimated(chains, paths, features))
        return learnt

    def durations(self, clip: Heard) -> Counts:
        """Frames per phoneme [T] of a clip, blanks included, each at least one; they add up to the clip's frames."""
        chain = _Chain.of(clip)
        return chain.durations(self._path(clip, chain, (_features(clip.log_mel) - self.mean) / self.deviation))

    def _path(self, clip: Heard, chain: _Chain, features: Array) -> Counts:
        scores = _scores(features, self.means[chain.models], self.precisions[chain.models])
        return chain.path(scores, SLACK_S / clip.frame_s, OUTSIDE_PER_S * clip.frame_s)


def _features(mel: npt.NDArray[np.float32]) -> Array:
    """Cepstra and their slopes [F, D] of a log-mel [M, F]."""
    angle = np.pi * np.outer(np.arange(CEPSTRA), np.arange(mel.shape[0]) + 0.5) / mel.shape[0]
    cepstra = (np.cos(angle) @ mel.astype(np.float64)).T  # [F, CEPSTRA]
    ends = np.pad(cepstra, ((2, 2), (0, 0)), mode="edge")
    slopes = (2 * (ends[4:] - ends[:-4]) + ends[3:-1] - ends[1:-3]) / 10
    return np.concatenate([cepstra, slopes], axis=1)


@dataclass(frozen=True, kw_only=True)
class _Chain:
    """A clip as a row of states: which model each is, which phoneme it belongs to, if it may be left out, and when."""

    models: Counts  # [N]
    owners: Counts  # [N]: index among the phonemes with blanks
    optional: npt.NDArray[np.bool_]  # [N]
    windows: Array  # [N, 2] in frames
    phones: int

    @classmethod
    def of(cls, clip: Heard) -> _Chain:
        rows: list[tuple[int, int, bool, float, float]] = []
        position = 0
        marks = iter(clip.marks_s)
        for character, count in enumerate(clip.ids.word2ph):
            start, end = clip.windows_s[character] / clip.frame_s
            for index in range(position, position + count):
                phone = clip.ids.phone_ids[index]
                if phone in _MARKS:
                    start, end = (time_s / clip.frame_s for time_s in next(marks, clip.windows_s[character]))
                if index % 2 == 0:  # a blank; the one that ends a spoken character may hold a silence
                    if index == position + count - 1 and clip.ids.phone_ids[index - 1] not in _SILENT | _MARKS:
                        rows.append((STATES * _SILENCE, index, True, start, np.inf))
                elif phone in _SILENT:
                    rows.append((STATES * _SILENCE, index, False, start, end))
                else:
                    rows += [(STATES * phone + state, index, False, start, end) for state in range(STATES)]
            position += count
        models, owners, optional, starts, ends = zip(*rows, strict=True)
        return cls(
            models=np.array(models),
            owners=np.array(owners),
            optional=np.array(optional),
            windows=np.stack([np.array(starts, float), np.array(ends, float)], axis=1),
            phones=position,
        )

    def shared_out(self, frames: int) -> Counts:
        """The state of each frame [F] if every character's window is shared out among its states."""
        starts = np.zeros(len(self.models))
        first = 0
        while first < len(self.models):
            same = np.flatnonzero((self.windows[first:] != self.windows[first]).any(axis=1))
            last = first + int(same[0]) if len(same) else len(self.models)
            start, end = self.windows[first, 0], min(self.windows[first, 1], frames)
            starts[first:last] = start + (end - start) * np.arange(last - first) / (last - first)
            first = last
        later = np.maximum.accumulate(starts)
        return np.maximum(np.searchsorted(later, np.arange(frames) + 0.5, side="right") - 1, 0)

    def path(self, scores: Array, slack_frames: float, cost_per_frame: float) -> Counts:
        """The state of each frame [F] on the best path through scores [F, N]."""
        middles = np.arange(len(scores))[:, None] + 0.5
        early, late = self.windows[:, 0] - slack_frames - middles, middles - self.windows[:, 1] - slack_frames
        scores = scores - cost_per_frame * (np.maximum(early, 0) + np.maximum(late, 0))
        path = np.zeros(len(scores), np.int64)
        _compiled()(np.ascontiguousarray(scores), self.optional, path)
        return path

    def durations(self, path: Counts) -> Counts:
        """Frames of each phoneme [T], each at least one."""
        return at_least_one(np.bincount(self.owners[path], minlength=self.phones))


def at_least_one(counts: Counts) -> Counts:
    """The same number of frames [T] shared out so that each has one; who has none takes it from a neighbour."""
    order = np.arange(len(counts))
    ends = np.maximum.accumulate(np.maximum(np.cumsum(counts), order + 1) - order) + order
    latest = int(np.sum(counts)) - order[::-1]
    return np.diff(np.minimum(ends, latest), prepend=0)


def _estimated(chains: Sequence[_Chain], paths: Sequence[Counts], features: Sequence[Array]) -> tuple[Array, Array]:
    """Means and precisions [models, D] of the frames that each model has on the paths."""
    models = np.concatenate([chain.models[path] for chain, path in zip(chains, paths, strict=True)])
    together = np.concatenate(features)
    size = STATES * len(symbols.SYMBOLS)
    counts = np.bincount(models, minlength=size)[:, None] + 1e-9
    sums, squares = np.zeros((size, together.shape[1])), np.zeros((size, together.shape[1]))
    np.add.at(sums, models, together)
    np.add.at(squares, models, together**2)
    means = sums / counts
    share = counts / (counts + PRIOR_FRAMES)  # what was heard seldom is told by all frames together
    variances = share * (squares / counts - means**2) + (1 - share)
    return means, 1 / np.maximum(variances, LEAST_VARIANCE)


def _scores(features: Array, means: Array, precisions: Array) -> Array:
    """Log-likelihoods [F, N] of frames [F, D] under normal distributions [N, D], up to a constant."""
    constant = (np.log(precisions) - means**2 * precisions).sum(axis=1)
    scores: Array = 0.5 * (constant - features**2 @ precisions.T + 2 * features @ (means * precisions).T)
    return scores


def _best_path(scores: Any, optional: Any, path: Any) -> None:
    """Fill `path` [F] with the best states; each is entered from itself, the one before, or past an optional one."""
    frames, states = scores.shape
    best = np.full((frames, states), -np.inf)
    came = np.zeros((frames, states), np.int8)
    best[0, 0] = scores[0, 0]
    if optional[0] and states > 1:
        best[0, 1] = scores[0, 1]
    for frame in range(1, frames):
        for state in range(states):
            for back in range(3):
                if back > state or (back == 2 and not optional[state - 1]):
                    continue
                reached = best[frame - 1, state - back] + scores[frame, state]
                if reached > best[frame, state]:
                    best[frame, state] = reached
                    came[frame, state] = back
    state = states - 1
    if optional[state] and states > 1 and best[frames - 1, state - 1] > best[frames - 1, state]:
        state -= 1
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= came[frame, state]


@functools.cache
def _compiled() -> Callable[[Array, npt.NDArray[np.bool_], Counts], None]:
    import numba  # here, because importing it and its cache folder are for those who train

    compiled: Callable[..., None] = numba.njit(nogil=True, cache=True)(_best_path)
    return compiled
