"""How many polyphones are read right, step by step, on CPP: the benchmark of the g2pM paper (Interspeech 2020).

    python benchmarks/polyphones.py --data FOLDER [--model FOLDER] [--lines odd|even] [--traditional] [--wrong]

`--data` holds `dev.sent` and `dev.lb`: a sentence a line with one character between two ▁, and its pinyin with tone.
The data stay where they are and are for measuring only. `--model` is a folder with g2pW's ONNX files.

CPP labels a character as a dictionary would in that place: before sandhi, 5 for neutral, `u:` for ü. That is what
`PieceReader.lexical` gives, so only spellings are mapped: ü, and 儿 as a colour (r5, our er5). One convention differs:
CPP's labels come from a list of characters that has a neutral reading for particles and suffixes only, and so cannot
say that a word ends in a neutral syllable (枇杷 pi2 pa5, 认识 ren4 shi5: there pa2 and shi2). That list is g2pM's. The
column `by its list` gives such a neutral syllable the full tone that g2pM chooses for it, if the list has no neutral
reading of the character; it looks at no label. `to the letter` compares what is said as it is.

Prints a line a step and writes build/bench/polyphones.json. `--lines odd` and `--lines even` ask half of the questions,
`--traditional` asks them all in the traditional characters that OpenCC's s2t gives.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import opencc
import pypinyin
from kelong_speech.text import phrases, pinyin, polyphones, sandhi, segment, traditional

OUT: Final = Path("build") / "bench" / "polyphones.json"
_ANCHOR: Final = "▁"
_LINES: Final = {"all": slice(None), "odd": slice(0, None, 2), "even": slice(1, None, 2)}

Reader = Callable[[str, int], pinyin.Syllable]


@dataclass(frozen=True)
class Question:
    """A sentence, the place of one character in it, and its reading."""

    sentence: str
    place: int
    label: pinyin.Syllable


@dataclass(frozen=True)
class Score:
    """Shares of the questions a step answers right, 0 to 1: by CPP's list of readings, to the letter, tones aside."""

    step: str
    right_by_list: float
    right_to_the_letter: float
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


def by_list(answer: pinyin.Syllable, question: Question, listed: polyphones.G2pM) -> pinyin.Syllable:
    """The answer in the readings that CPP's list has: a neutral tone it does not know gives way to a full one."""
    readings = listed.readings(question.sentence[question.place])
    if answer.tone != 5 or not readings or any(reading.tone == 5 for reading in readings):
        return answer
    choice = listed.choices(question.sentence)[question.place]
    return choice.reading if choice and choice.reading.spelling == answer.spelling else answer


def score(
    step: str, read: Reader, asked: list[Question], listed: polyphones.G2pM
) -> tuple[Score, list[pinyin.Syllable]]:
    """Asks all questions of one reader; `listed` holds the readings that CPP's labels come from."""
    begun = time.perf_counter()
    answers = [read(question.sentence, question.place) for question in asked]
    taken_s = time.perf_counter() - begun
    pairs = list(zip(answers, asked, strict=True))
    found = Score(
        step=step,
        right_by_list=sum(by_list(*pair, listed) == pair[1].label for pair in pairs) / len(pairs),
        right_to_the_letter=sum(answer == question.label for answer, question in pairs) / len(pairs),
        right_without_tone=sum(answer.spelling == question.label.spelling for answer, question in pairs) / len(pairs),
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
        sentence = traditional.simplified(sentence)
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
    parser.add_argument(
        "--lines", choices=["all", "odd", "even"], default="all", help="which lines of the data, from 1"
    )
    parser.add_argument("--traditional", action="store_true", help="ask in traditional characters")
    parser.add_argument("--wrong", action="store_true", help="count what the last step reads wrong, by character")
    arguments = parser.parse_args()
    asked = questions(arguments.data, arguments.part)[_LINES[arguments.lines]]
    if arguments.traditional:
        complicate = opencc.OpenCC("s2t").convert
        asked = [replace(question, sentence=complicate(question.sentence)) for question in asked]
    scores, answers, listed = [], [], polyphones.G2pM()
    print(f"{'':32} {'by its list':>12} {'to the letter':>14} {'tones aside':>12} {'characters/s':>13}")
    for step, read in steps(arguments.model):
        found, answers = score(step, read, asked, listed)
        scores.append(found)
        print(
            f"{found.step:32} {found.right_by_list:12.2%} {found.right_to_the_letter:14.2%} "
            f"{found.right_without_tone:12.2%} {found.characters_per_s:13.0f}"
        )
    touched = sum(traditional.simplified(question.sentence) != question.sentence for question in asked)
    print(f"{touched} of {len(asked)} sentences hold characters that the front end makes simplified")
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
