"""Judges the front end by the tables of readings: how much of each topic it says as dictionaries and standards have it.

`python benchmarks/readings.py` prints the share of right rows per topic and writes them as JSON below build/bench/.
`--wrong` lists the wrong rows; `--record` writes them into known_wrong.tsv, which the tests hold exact.
`--tables tests/text/held_out` takes the sentences that nothing is tuned on.
The notation of the tables is explained beside them, in tests/text/tables/README.md.
"""

from __future__ import annotations

import argparse
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from kelong_speech.text import frontend, phonemes, symbols

ROOT: Final = Path(__file__).resolve().parent.parent
TABLES: Final = ROOT / "tests" / "text" / "tables"
KNOWN_WRONG: Final = TABLES / "known_wrong.tsv"
_ENGLISH: Final = symbols.LANGUAGE_IDS["EN"]
_SILENT: Final = frozenset(symbols.MARKS + symbols.INLINE_MARKS)
_R_COLOUR: Final = ("er",)
_SENTENCE_ENDS: Final = tuple("。！？")
_PINYIN_TOKEN: Final = re.compile(r"\[[^\]]*\]|\{[^}]*\}|\S+")
_SPOKEN_PART: Final = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class Row:
    """One line of a table; `spoken` and `pinyin` in the tables' notation."""

    topic: str
    written: str
    spoken: str
    pinyin: str

    @property
    def is_sentence(self) -> bool:
        """Whether the row is a whole sentence."""
        return self.written.endswith(_SENTENCE_ENDS)


@dataclass(frozen=True)
class Said:
    """What the front end makes of a text: characters without punctuation, and pinyin tokens joined by spaces."""

    spoken: str
    pinyin: str


@dataclass(frozen=True)
class Verdict:
    """A row and what came out, judged."""

    row: Row
    said: Said
    spoken_right: bool
    pinyin_right: bool

    @property
    def right(self) -> bool:
        """Whether both the reading and its pinyin are as the table has them."""
        return self.spoken_right and self.pinyin_right


@dataclass(frozen=True)
class Score:
    """Counts of one topic."""

    topic: str
    rows: int
    sentences: int
    spoken_right: int
    pinyin_right: int
    right: int


def topics(folder: Path = TABLES) -> list[Path]:
    """The tables' files in a folder, one a topic."""
    return [path for path in sorted(folder.glob("*.tsv")) if path != KNOWN_WRONG]


def rows(table: Path) -> list[Row]:
    """The rows of one table; a line of other than three columns raises ValueError naming it."""
    found = []
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        columns = line.split("\t")
        if len(columns) != 3 or not all(columns):
            raise ValueError(f"{table.name}, line {number}: a row has three columns between tabs, not {columns}.")
        found.append(Row(table.stem, *columns))
    return found


def say(written: str) -> Said:
    """What the front end makes of it; a refusal stands in both columns, after a `!`."""
    try:
        utterance = frontend.analyse(written)
    except frontend.UnspeakableText as error:
        refusal = f"! at {error.position}: {error.message}"
        return Said(spoken=refusal, pinyin=refusal)
    return Said(spoken=_bare(utterance.spoken), pinyin=" ".join(_tokens(utterance)))


def judge(row: Row) -> Verdict:
    """Compares what comes out with the row."""
    said = say(row.written)
    return Verdict(
        row=row,
        said=said,
        spoken_right=fits_spoken(row.spoken, said.spoken),
        pinyin_right=fits_pinyin(row.pinyin, said.pinyin),
    )


def judge_all(folder: Path = TABLES) -> list[Verdict]:
    """Every row of every table in a folder, judged."""
    return [judge(row) for table in topics(folder) for row in rows(table)]


def known_wrong() -> list[tuple[str, str, str, str]]:
    """The recorded wrong rows: topic, written, and the spoken text and pinyin that come out."""
    lines = KNOWN_WRONG.read_text(encoding="utf-8").splitlines() if KNOWN_WRONG.exists() else []
    recorded = [tuple(line.split("\t")) for line in lines if line and not line.startswith("#")]
    return [(topic, written, spoken, pinyin) for topic, written, spoken, pinyin in recorded]


def wrong(verdicts: Sequence[Verdict]) -> list[tuple[str, str, str, str]]:
    """The rows that came out wrong, as `known_wrong` has them."""
    return [(v.row.topic, v.row.written, v.said.spoken, v.said.pinyin) for v in verdicts if not v.right]


def _bare(text: str) -> str:
    """Letters, digits and characters only: full width, case, 〇 and punctuation make no difference."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("〇", "零")
    return "".join(char for char in plain if char.isalnum())


def fits_spoken(notation: str, spoken: str) -> bool:
    """Whether the bare spoken text is one of those a table's notation stands for."""
    return any(re.fullmatch(_spoken_alternative(part), spoken) for part in notation.split(" | "))


def fits_pinyin(notation: str, pinyin: str) -> bool:
    """Whether the pinyin, tokens joined by spaces, is one of those a table's notation stands for."""
    patterns = ("".join(map(_token_pattern, _PINYIN_TOKEN.findall(part))) for part in notation.split(" | "))
    return any(re.fullmatch(pattern, pinyin + " ") for pattern in patterns)


def syllables(notation: str) -> set[str]:
    """The syllables in a table's pinyin notation, tones with them."""
    tokens = [token for token in _PINYIN_TOKEN.findall(notation) if not token.startswith("{")]
    return {syllable for token in tokens for syllable in re.split(r"[\[\]/\s|]", token)} - {"", "_"}


def _spoken_alternative(notation: str) -> str:
    # Every second piece is what stood in brackets.
    pieces = _SPOKEN_PART.split(notation)
    choices = ["|".join(_bare(choice) for choice in piece.split("/")) for piece in pieces[1::2]]
    plain = [_bare(piece) for piece in pieces[::2]]
    return plain[0] + "".join(f"(?:{choice}){after}" for choice, after in zip(choices, plain[1:], strict=True))


def _token_pattern(token: str) -> str:
    if token.startswith("{"):
        phones = " ".join(re.sub(r"\d", "", token[1:-1]).lower().split())
        return re.escape(f"{{{phones}}} ")
    choices = token.strip("[]").split("/")
    return f"(?:{'|'.join(_syllables_pattern(choice) for choice in choices)})"


def _syllables_pattern(choice: str) -> str:
    return "" if choice == "_" else "".join(f"{_canonical(token[:-1])}{token[-1]} " for token in choice.split())


@cache
def _spellings() -> dict[tuple[str, ...], str]:
    """One spelling for each sequence of phones: ju for jv, war for wanr, since the phones do not tell them apart."""
    bases = list(phonemes.syllables())
    plain = {phonemes.phones(base): base for base in sorted(bases, reverse=True)}
    coloured = [base + phonemes.R_COLOUR for base in bases if phonemes.is_rhotic(base + phonemes.R_COLOUR)]
    shortest_last = sorted(coloured, key=lambda spelling: (-len(spelling), spelling))
    return {**{(*phonemes.phones(spelling), "er"): spelling for spelling in shortest_last}, **plain}


@cache
def _canonical(spelling: str) -> str:
    if not phonemes.is_sayable(spelling):
        return spelling
    coloured = phonemes.is_rhotic(spelling)
    return _spellings()[(*phonemes.phones(spelling), "er") if coloured else phonemes.phones(spelling)]


def _tokens(utterance: frontend.Utterance) -> Iterator[str]:
    """The tables' tokens: a syllable each, an erhua with its 儿 as one, a run of English phones in braces."""
    groups = list(_groups(utterance))
    english: list[str] = []
    for place, (phones, tone, is_english) in enumerate(groups):
        if is_english:
            english += [phone.lower() for phone in phones]
            continue
        if english and phones:
            yield f"{{{' '.join(english)}}}"
            english = []
        if not phones or phones == _R_COLOUR or set(phones) <= _SILENT:
            continue
        following = groups[place + 1][0] if place + 1 < len(groups) else ()
        whole = (*phones, *following) if following == _R_COLOUR else phones
        yield f"{_spellings().get(whole, '+'.join(whole))}{tone}"
    if english:
        yield f"{{{' '.join(english)}}}"


def _groups(utterance: frontend.Utterance) -> Iterator[tuple[tuple[str, ...], int, bool]]:
    """The phones of each spoken character, with their tone and whether they are English."""
    place = utterance.word2ph[0]
    for count in utterance.word2ph[1:-1]:
        phones = utterance.phones[place : place + count]
        yield phones, utterance.tones[place] if count else 0, _ENGLISH in utterance.language_ids[place : place + count]
        place += count


def scores(verdicts: Sequence[Verdict]) -> list[Score]:
    """The counts of each topic."""
    found = []
    for topic in sorted({verdict.row.topic for verdict in verdicts}):
        of_topic = [verdict for verdict in verdicts if verdict.row.topic == topic]
        found.append(
            Score(
                topic=topic,
                rows=len(of_topic),
                sentences=sum(verdict.row.is_sentence for verdict in of_topic),
                spoken_right=sum(verdict.spoken_right for verdict in of_topic),
                pinyin_right=sum(verdict.pinyin_right for verdict in of_topic),
                right=sum(verdict.right for verdict in of_topic),
            )
        )
    return found


def _print_scores(found: Sequence[Score]) -> None:
    print(f"{'topic':34}{'rows':>6}{'spoken':>9}{'pinyin':>9}{'both':>9}")
    total = Score("all", *(sum(getattr(score, name) for score in found) for name in list(asdict(found[0]))[1:]))
    for score in (*found, total):
        shares = (score.spoken_right, score.pinyin_right, score.right)
        print(f"{score.topic:34}{score.rows:6}" + "".join(f"{count / score.rows:9.1%}" for count in shares))


def _record(verdicts: Sequence[Verdict]) -> None:
    head = (
        "# The rows that come out wrong: table, written, and the spoken text and pinyin that come out. See README.md.\n"
    )
    lines = ("\t".join(entry) + "\n" for entry in wrong(verdicts))
    KNOWN_WRONG.write_text(head + "".join(lines), encoding="utf-8")


def main() -> None:
    """Judges, prints, and writes what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wrong", action="store_true", help="list the wrong rows")
    parser.add_argument("--record", action="store_true", help="write the wrong rows into known_wrong.tsv")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of tables")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "bench" / "readings.json", help="the figures' file"
    )
    given = parser.parse_args()
    if given.record and given.tables != TABLES:
        parser.error("--record keeps the list of tests/text/tables only; leave --tables out")
    verdicts = judge_all(given.tables)
    if given.wrong:
        for verdict in (verdict for verdict in verdicts if not verdict.right):
            print(f"{verdict.row.topic}\t{verdict.row.written}")
            if not verdict.spoken_right:
                print(f"    is    {verdict.said.spoken}\n    wants {verdict.row.spoken}")
            if not verdict.pinyin_right:
                print(f"    is    {verdict.said.pinyin}\n    wants {verdict.row.pinyin}")
    found = scores(verdicts)
    _print_scores(found)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps([asdict(score) for score in found], indent=2) + "\n", encoding="utf-8")
    if given.record:
        _record(verdicts)


if __name__ == "__main__":
    main()
