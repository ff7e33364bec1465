"""How many polyphones are read right, step by step, on CPP: the benchmark of the g2pM paper (Interspeech 2020).

    python benchmarks/polyphones.py --data FOLDER [--model FOLDER] [--wrong]

`--data` holds `dev.sent` and `dev.lb`: a sentence a line with one character between two ▁, and its pinyin with tone.
The data stay where they are and are for measuring only. `--model` is a folder with g2pW's ONNX files.

CPP labels a character as a dictionary would in that place: before sandhi, 5 for neutral, `u:` for ü. That is what
`PieceReader.lexical` gives, so only spellings are mapped: ü, and 儿 as a colour (r5, our er5). One convention differs:
CPP's labels come from a list of characters that has a neutral reading for particles and suffixes only, and so cannot
say that a word ends in a neutral syllable (枇杷 pi2 pa5, 认识 ren4 shi5: there pa2 and shi2). The column `right` counts
our neutral tone as right where CPP has no neutral label for that character at all and the syllable is the same;
`strictly` does not. Prints a line a step and writes build/bench/polyphones.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pypinyin
from kelong_speech.text import phrases, pinyin, polyphones, sandhi, segment

OUT: Final = Path("build") / "bench" / "polyphones.json"
_ANCHOR: Final = "▁"

Reader = Callable[[str, int], pinyin.Syllable]


@dataclass(frozen=True)
class Question:
    """A sentence, the place of one character in it, and its reading."""

    sentence: str
    place: int
    label: pinyin.Syllable


@dataclass(frozen=True)
class Score:
    """Shares of the questions a step answers right, 0 to 1: by the same convention, to the letter, and tones aside."""

    step: str
    right: float
    right_strictly: float
    right_without_tone: float
    characters_per_s: float


def questions(folder: Path, part: str) -> list[Question]:
    """The questions of a part of CPP."""
    sentences = (folder / f"{part}.sent").read_text("utf-8").splitlines()
    labels = (folder / f"{part}.lb").read_text("utf-8").split()
    return [
        Question(sentence.replace(_ANCHOR, ""), sentence.index(_ANCHOR), _syllable(label))
        for sentence, label in zip(sentences, labels, strict=True)
    ]


def _syllable(spelling: str) -> pinyin.Syllable:
    return pinyin.syllable("er5" if spelling == "r5" else spelling.replace("u:", "v"))


def score(step: str, read: Reader, asked: list[Question]) -> tuple[Score, list[pinyin.Syllable]]:
    """Asks all questions of one reader."""
    begun = time.perf_counter()
    answers = [read(question.sentence, question.place) for question in asked]
    taken_s = time.perf_counter() - begun
    pairs = [(answer, question.label) for answer, question in zip(answers, asked, strict=True)]
    strictly = [answer == label for answer, label in pairs]
    toneless = [answer.spelling == label.spelling for answer, label in pairs]
    can_be_neutral = {question.sentence[question.place] for question in asked if question.label.tone == 5}
    by_convention = [
        same or (alike and answer.tone == 5 and question.sentence[question.place] not in can_be_neutral)
        for same, alike, answer, question in zip(strictly, toneless, answers, asked, strict=True)
    ]
    found = Score(
        step=step,
        right=sum(by_convention) / len(pairs),
        right_strictly=sum(strictly) / len(pairs),
        right_without_tone=sum(toneless) / len(pairs),
        characters_per_s=sum(len(question.sentence) for question in asked) / taken_s,
    )
    return found, answers


def _pypinyin(text: str) -> list[pinyin.Syllable]:
    spellings = pypinyin.lazy_pinyin(
        text, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, v_to_u=False, errors=list
    )
    return [pinyin.syllable(spelling) for spelling in spellings]


class FrontEnd:
    """The readings of the default profile before sandhi, with one polyphone model or none."""

    def __init__(self, segmenter: segment.Segmenter, model: polyphones.PolyphoneModel) -> None:
        self._reader = sandhi.PieceReader(segmenter, phrases.PhraseReader())
        self._model = model

    def read(self, sentence: str, place: int) -> pinyin.Syllable:
        """One character of a sentence."""
        choices = self._model.choices(sentence)
        for start, end in _phrases(sentence):
            if start <= place < end:
                return self._reader.lexical(sentence[start:end], choices[start:end])[place - start]
        return pinyin.Syllable(sentence[place], 0)


def _phrases(sentence: str) -> Iterator[tuple[int, int]]:
    start = 0
    for place, char in enumerate(f"{sentence}."):
        if not "\u4e00" <= char <= "\u9fff":
            if start < place:
                yield start, place
            start = place + 1


def steps(model_folder: Path | None) -> Iterator[tuple[str, Reader]]:
    """What is measured, each step with what the one before has."""
    segmenter = segment.JiebaSegmenter()

    def by_words(sentence: str, place: int) -> pinyin.Syllable:
        start = 0
        for word in segmenter.words(sentence):
            if place < start + len(word.text):
                return _pypinyin(word.text)[place - start]
            start += len(word.text)
        raise ValueError(f"place {place} is not in {sentence!r}")

    def by_model(model: polyphones.PolyphoneModel) -> Reader:
        def read(sentence: str, place: int) -> pinyin.Syllable:
            choice = model.choices(sentence)[place]
            return choice.reading if choice else _pypinyin(sentence)[place]

        return read

    yield "pypinyin", lambda sentence, place: _pypinyin(sentence)[place]
    yield "words by jieba, pypinyin", by_words
    yield "the front end without a model", FrontEnd(segmenter, polyphones.NoModel()).read
    bundled = polyphones.open_model(None)
    yield "g2pM alone", by_model(bundled)
    yield "the front end with g2pM", FrontEnd(segmenter, bundled).read
    if model_folder:
        large = polyphones.open_model(f"path:{model_folder}", model_folder)
        yield "g2pW alone", by_model(large)
        yield "the front end with g2pW", FrontEnd(segmenter, large).read


def main() -> None:
    """Measures every step and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with CPP's dev.sent and dev.lb")
    parser.add_argument("--part", default="dev")
    parser.add_argument("--model", type=Path, help="folder with g2pW's ONNX model")
    parser.add_argument("--wrong", action="store_true", help="count what the last step reads wrong, by character")
    arguments = parser.parse_args()
    asked = questions(arguments.data, arguments.part)
    scores, answers = [], []
    print(f"{'':32} {'right':>8} {'strictly':>9} {'tones aside':>12} {'characters/s':>13}")
    for step, read in steps(arguments.model):
        found, answers = score(step, read, asked)
        scores.append(found)
        print(
            f"{found.step:32} {found.right:8.2%} {found.right_strictly:9.2%} "
            f"{found.right_without_tone:12.2%} {found.characters_per_s:13.0f}"
        )
    if arguments.wrong:
        wrong = Counter(
            (question.sentence[question.place], *question.label, *answer)
            for question, answer in zip(asked, answers, strict=True)
            if question.label != answer
        )
        for (char, *readings), count in wrong.most_common():
            print(count, char, "is {}{}, said {}{}".format(*readings))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"questions": len(asked), "steps": [asdict(found) for found in scores]}, indent=2))


if __name__ == "__main__":
    main()
