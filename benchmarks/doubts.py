"""How well the corpus knows which labels are wrong: what the measures of `kelong_trainer.corpus.words` are argued by.

`python benchmarks/doubts.py --whisper DIR` makes clips of two sentences with the stand-in speaker, in three rooms, and
has them heard. Of transcripts that came along it prints how many right ones are rejected, and how many with some wrong
characters in a row; of the recogniser's own labels, how well each measure of doubt tells wrong ones from right ones.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import grades
import jiwer
import numpy as np
import soxr
import torch
from kelong_contract import corpora, orders
from kelong_trainer.corpus.clips import grading
from kelong_trainer.corpus.words import agreement, labels, recogniser

ROOMS = ("clean", "noise -45 dBFS", "noise -36 dBFS")
WRONG = (1, 2, 3, 4)
TIMES = 3  # that each clip's text is made wrong in each way
REVIEWED = 0.1

Heard = tuple[str, Sequence[corpora.Word], float]  # what was said, what was heard, and how long it took


def hear(model: recogniser.Recogniser, made: list[tuple[str, grades.Samples]], way: str, seed: int) -> list[Heard]:
    """The clips in a room."""
    sounds = [grades.WAYS[way](sound, np.random.default_rng(seed)) for _, sound in made]
    heard = model.hear([soxr.resample(sound, grades.RATE_HZ, recogniser.SAMPLE_RATE_HZ) for sound in sounds])
    return [
        (text, item.words, len(sound) / grades.RATE_HZ)
        for (text, _), sound, item in zip(made, sounds, heard, strict=True)
    ]


def altered(text: str, characters: str, wrong: int, random: np.random.Generator) -> str:
    """The text with some characters in a row changed, left out or added."""
    hanzi = [index for index, character in enumerate(text) if character.isalpha()]
    first = int(random.integers(0, len(hanzi) - wrong))
    start, end = hanzi[first], hanzi[first + wrong - 1] + 1
    others = "".join(random.choice(list(characters), wrong))
    return text[:start] + str(random.choice([others, "", others + text[start:end]])) + text[end:]


def reason(text: str, words: Sequence[corpora.Word], length_s: float) -> list[str]:
    """Which of the agreements would reject a transcript; empty for a good one."""
    agreed = agreement.agreement(text, agreement.spoken(words), 0.0, length_s)
    whole, least = (agreed.whole, agreed.least) if agreed else (0.0, 0.0)
    found = []
    for name, measures in (
        ("whole", corpora.Measures(agreement=whole)),
        ("least", corpora.Measures(least_agreement=least)),
    ):
        verdict = grading.verdict(measures, orders.Judging(), duration_s=12.0, lengths=orders.Slicing())
        found += [name] * (verdict.grade is None)
    return found


def supplied(way: str, heard: list[Heard], random: np.random.Generator) -> None:
    """A row for right transcripts, and one for each number of wrong characters."""
    characters = "".join(character for text, _, _ in heard for character in text if character.isalpha())
    for wrong in (0, *WRONG):
        texts = [
            (altered(text, characters, wrong, random) if wrong else text, words, length_s)
            for text, words, length_s in heard
            for _ in range(TIMES if wrong else 1)
        ]
        found = [reason(*item) for item in texts]
        by = [f"{sum(name in item for item in found) / len(found):.0%}" for name in ("whole", "least")]
        either = f"{sum(bool(item) for item in found) / len(found):.0%}"
        print(f"| {way} | {wrong} | {len(found)} | {either} | {by[0]} | {by[1]} |", flush=True)


def below(limit: float) -> Callable[[Sequence[corpora.Word]], float]:
    """The trust by what lies in words of a probability above the limit."""

    def trust(words: Sequence[corpora.Word]) -> float:
        return sum(len(word.text) for word in words if word.probability >= limit) / sum(
            len(word.text) for word in words
        )

    return trust


def mean(words: Sequence[corpora.Word]) -> float:
    """The recogniser's mean trust."""
    label = labels.label(words)
    return label.confidence if label else 0.0


def least(words: Sequence[corpora.Word]) -> float:
    """The least sure of the words."""
    return min(word.probability for word in words)


DOUBTS: dict[str, Callable[[Sequence[corpora.Word]], float]] = {
    "mean of the words, as it is": mean,
    "least of the words": least,
    "part below 50 %": below(0.5),
    "part below 70 %": below(0.7),
    "part below 80 %": below(0.8),
    "part below 90 %": below(0.9),
}


def errors(text: str, words: Sequence[corpora.Word]) -> int:
    """Hanzi that differ, marks aside."""
    said, label = ("".join(c for c in side if c.isalpha()) for side in (text, "".join(word.text for word in words)))
    found = jiwer.process_characters(said, label)
    return found.substitutions + found.deletions + found.insertions


def own(heard: list[Heard]) -> None:
    """For each measure the share of pairs in which the worse label is trusted less, and what a review would find."""
    wrong = [errors(text, words) for text, words, _ in heard]
    reviewed = round(REVIEWED * len(heard))
    best = sum(sorted(wrong)[-reviewed:])
    print(f"{len(heard)} labels, {sum(wrong)} characters wrong, at best {best / sum(wrong):.0%} of them in a tenth")
    for name, trust in DOUBTS.items():
        scores = [trust(words) for _, words, _ in heard]
        pairs = [
            0.5 * (one == other) + (one < other)
            for one, more in zip(scores, wrong, strict=True)
            for other, fewer in zip(scores, wrong, strict=True)
            if more > fewer
        ]
        order = sorted(range(len(heard)), key=lambda index: scores[index])
        seen = sum(wrong[index] for index in order[:reviewed]) / sum(wrong)
        print(f"| {name} | {statistics.fmean(pairs):.0%} | {seen:.0%} |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, required=True, help="a folder of `python -m kelong_demo.whisper`")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = recogniser.Recogniser.load(given.whisper, address="base", device=torch.device("cpu"), threads=1)
    made, random = grades.clips(given.clips, given.seed), np.random.default_rng(given.seed)
    every: list[Heard] = []
    print("| way | characters wrong | transcripts | rejected | by the whole | where it is least |")
    print("|---|---|---|---|---|---|")
    for way in ROOMS:
        heard = hear(model, made, way, given.seed)
        supplied(way, heard, random)
        every += heard
    own(every)


if __name__ == "__main__":
    main()
