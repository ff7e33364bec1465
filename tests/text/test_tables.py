"""The front end against tables of readings written from dictionaries and standards; see tables/README.md."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from kelong_speech.text import phonemes


def _load_judge() -> ModuleType:
    # A benchmark is a script, not a package; the test must judge exactly as it does.
    path = Path(__file__).parents[2] / "benchmarks" / "readings.py"
    spec = importlib.util.spec_from_file_location("readings_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


readings = _load_judge()
TABLES = readings.topics()
ROWS = [row for table in TABLES for row in readings.rows(table)]
KNOWN_WRONG = {(topic, written): (spoken, pinyin) for topic, written, spoken, pinyin in readings.known_wrong()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.topic}: {row.written}")
def test_a_row_is_read_as_the_table_has_it_or_is_known_to_be_wrong(row: object) -> None:
    verdict = readings.judge(row)
    recorded = KNOWN_WRONG.get((verdict.row.topic, verdict.row.written))
    if verdict.right:
        assert recorded is None, "this row has become right: take it out of known_wrong.tsv"
    else:
        wanted = (verdict.row.spoken, verdict.row.pinyin)
        assert recorded == (verdict.said.spoken, verdict.said.pinyin), f"the table has {wanted}"


def test_what_is_known_to_be_wrong_is_in_the_tables() -> None:
    assert KNOWN_WRONG.keys() <= {(row.topic, row.written) for row in ROWS}
    assert len(KNOWN_WRONG) == len(readings.known_wrong())


def test_there_are_at_least_300_rows_and_none_twice() -> None:
    assert len(ROWS) >= 300
    assert [written for written, count in Counter(row.written for row in ROWS).items() if count > 1] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_a_topic_names_its_standards_and_has_25_rows_half_of_them_sentences(table: Path) -> None:
    rows = readings.rows(table)
    assert table.read_text(encoding="utf-8").startswith("# Standard: ")
    assert len(rows) >= 25
    assert 2 * sum(row.is_sentence for row in rows) >= len(rows)


def test_every_syllable_of_the_tables_is_one_the_voice_can_say() -> None:
    tokens = {token for row in ROWS for token in readings.syllables(row.pinyin)}
    assert len(tokens) > 400
    assert sorted(token for token in tokens if token[-1] not in "12345") == []
    assert sorted(token for token in tokens if not phonemes.is_sayable(token[:-1])) == []


@pytest.mark.parametrize(
    ("notation", "spoken", "fits"),
    [
        ("[二/两]百[整/]", "两百", True),
        ("[二/两]百[整/]", "二百整", True),
        ("[二/两]百[整/]", "百整", False),
        ("百分之百 | 百分之一百", "百分之一百", True),
        ("零点五，对。", "零点五对", True),
        ("GPU卡", "gpu卡", True),
        ("三点半", "三点半钟", False),
    ],
)
def test_the_judge_reads_the_notation_of_spoken_texts(notation: str, spoken: str, fits: bool) -> None:
    assert readings.fits_spoken(notation, spoken) is fits


@pytest.mark.parametrize(
    ("notation", "pinyin", "fits"),
    [
        ("er4/liang2 bai3", "liang2 bai3", True),
        ("er4/liang2 bai3", "er4 bai2", False),
        ("si4 dian3 [ban4/san1 shi2 fen1/_]", "si4 dian3 san1 shi2 fen1", True),
        ("si4 dian3 [ban4/san1 shi2 fen1/_]", "si4 dian3", True),
        ("si4 dian3 [ban4/san1 shi2 fen1/_]", "si4 dian3 fen1", False),
        ("{EH1 K S} guang1", "{eh k s} guang1", True),
        ("jv2", "ju2", True),
        ("wanr2", "war2", True),
        ("wanr2", "wan2 er5", False),
        ("yi4 tian1 | yi1 tian1", "yi1 tian1", True),
        ("yi4 tian1", "yi4 tian1 tian1", False),
    ],
)
def test_the_judge_reads_the_notation_of_pinyin(notation: str, pinyin: str, fits: bool) -> None:
    assert readings.fits_pinyin(notation, pinyin) is fits


HELD_OUT = sorted((Path(__file__).parent / "held_out").glob("*.tsv"))


@pytest.mark.parametrize("table", HELD_OUT, ids=lambda table: table.stem)
def test_held_out_sentences_are_in_no_table_and_their_syllables_exist(table: Path) -> None:
    rows = readings.rows(table)
    assert len(rows) >= 10
    assert {row.written for row in rows}.isdisjoint(row.written for row in ROWS)
    assert all(row.is_sentence for row in rows)
    said = {syllable for row in rows for syllable in readings.syllables(row.pinyin)}
    assert [each for each in said if not phonemes.is_sayable(each[:-1]) or each[-1] not in "12345"] == []
