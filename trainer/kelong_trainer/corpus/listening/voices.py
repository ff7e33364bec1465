"""Which stretches of speech are the speaker's own and which another person's: their embeddings against the usual one.

Called by the listen stage, which sees all recordings of a speaker and so knows who is usual. N stretches, E features.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from kelong_contract.corpora import Hum, Stretch, VoiceStretch
from kelong_speech import audio

from kelong_trainer.corpus.listening import speakers
from kelong_trainer.corpus.listening.voice_activity import SAMPLE_RATE_HZ

VERSION = 2  # raise when the same sound would give other stretches or similarities than before
# Resemblyzer's encoder looks at 1.6 s; of less it knows little, of less than LEAST_S nothing that could be relied on.
LENGTH_S: Final = 1.6
ENOUGH_S: Final = 1.2
LEAST_S: Final = 0.8
JOINED_S: Final = 0.5  # words this near to each other are taken for one person's where one of them is short
# A short stretch is less like its own speaker: measured on the stand-in, 0.04 at 0.9 s (docs/corpus.md).
SHORTNESS_PER_S: Final = 0.06
# Hum makes everybody less like themselves, also where its lines were taken out: the stand-in by 0.06 to 0.09, whether
# it is loud or quiet. Below this level it takes nothing.
HUMMING, HUMMING_DBFS = 0.07, -53.0
# The part of all stretches that the usual voice is the mean of: the rest may be somebody else's.
USUAL_SHARE: Final = 0.5
COMPARED: Final = 400  # stretches that the first guess at the usual voice is made of
ROUNDS: Final = 10

Vectors = npt.NDArray[np.float32]  # [N, E], each of unit length
Samples = npt.NDArray[np.float32]


def stretches(speech: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Speech in parts of about LENGTH_S, none across a longer pause; what is too short to tell by is left out."""
    groups = list(speech)
    while (index := _nearest(groups)) is not None:
        groups[index : index + 2] = [Stretch(start_s=groups[index].start_s, end_s=groups[index + 1].end_s)]
    found = []
    for group in groups:
        count = max(1, round(_length_s(group) / LENGTH_S))
        edges = np.linspace(group.start_s, group.end_s, count + 1).round(4).tolist()
        if _length_s(group) >= LEAST_S:
            found += [Stretch(start_s=start, end_s=end) for start, end in itertools.pairwise(edges)]
    return tuple(found)


def _nearest(groups: Sequence[Stretch]) -> int | None:
    """Which group is to be joined with the next: the nearest two of which one is short, None if there are none.

    People who take turns leave longer pauses between than within what they say.
    """
    gaps = [
        (right.start_s - left.end_s, index)
        for index, (left, right) in enumerate(itertools.pairwise(groups))
        if min(_length_s(left), _length_s(right)) < ENOUGH_S
    ]
    gap_s, index = min(gaps, default=(JOINED_S, 0))
    return index if gap_s < JOINED_S else None


def embed(
    samples: Samples, parts: Sequence[Stretch], embedding: Callable[[audio.Speech], speakers.Vector | None]
) -> tuple[tuple[Stretch, ...], list[speakers.Vector]]:
    """The parts that have a voice, and its vector; `samples` at 16 kHz, in which the parts' times count."""
    found, vectors = [], []
    for part in parts:
        sound = samples[round(part.start_s * SAMPLE_RATE_HZ) : round(part.end_s * SAMPLE_RATE_HZ)]
        wanted = round(LENGTH_S * SAMPLE_RATE_HZ)
        if 0 < len(sound) < wanted:  # said again rather than followed by silence
            sound = np.resize(sound, wanted)
        vector = embedding(audio.Speech(samples=sound, sample_rate_hz=SAMPLE_RATE_HZ))
        if vector is not None:
            found.append(part)
            vectors.append(vector)
    return tuple(found), vectors


def usual(vectors: Vectors) -> speakers.Vector:
    """The voice that most of the stretches are of; less than half of them may be others'.

    It begins with the stretch that is most like its nearer half, and is then the mean of those most like it, again and
    again until they are the same ones (a trimmed mean).
    """
    chosen = vectors[spread(len(vectors), COMPARED)]
    begin = np.median(chosen @ chosen.T, axis=1).argmax()
    mean: speakers.Vector = chosen[begin]
    count = max(1, round(USUAL_SHARE * len(vectors)))
    kept: npt.NDArray[np.int64] | None = None
    for _ in range(ROUNDS):
        nearest = np.sort(np.argsort(-(vectors @ mean), kind="stable")[:count])
        if kept is not None and np.array_equal(nearest, kept):
            break
        kept = nearest
        mean = vectors[nearest].mean(axis=0)
        mean = mean / np.linalg.norm(mean)
    return mean


def compare(
    parts: Sequence[Stretch], vectors: Vectors, with_voice: speakers.Vector, humming: Sequence[Hum] = ()
) -> tuple[VoiceStretch, ...]:
    """How like a voice each part is: the cosine, and what a short part and one with hum lack."""
    return tuple(
        VoiceStretch(
            start_s=part.start_s,
            end_s=part.end_s,
            similarity=round(min(float(vector @ with_voice) + _shortness(part) + _hummed(part, humming), 1.0), 4),
        )
        for part, vector in zip(parts, vectors, strict=True)
    )


def spread(count: int, most: int) -> list[int]:
    """At most so many of `count` places, evenly over all of them."""
    places: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return places


def pack(vectors: Sequence[speakers.Vector]) -> str:
    """Vectors as text, in half precision."""
    return base64.b64encode(np.array(vectors, "<f2").tobytes()).decode()


def unpack(text: str, count: int) -> Vectors:
    """So many vectors from text, of unit length again."""
    values = np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)
    vectors = values.reshape(count, len(values) // max(count, 1))
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return unit


def _shortness(part: Stretch) -> float:
    return SHORTNESS_PER_S * max(0.0, LENGTH_S - _length_s(part))


def _hummed(part: Stretch, humming: Sequence[Hum]) -> float:
    heard = [item for item in humming if part.start_s < item.end_s and item.start_s < part.end_s]
    return HUMMING if any(item.level_dbfs >= HUMMING_DBFS for item in heard) else 0.0


def _length_s(stretch: Stretch) -> float:
    return stretch.end_s - stretch.start_s
