"""What a person overrules: every bad line is named, and what is applied is exactly what they said."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kelong_contract import accounts, codec, corpora
from kelong_speech.text import traditional
from kelong_trainer.corpus.clips import corrections

RATE_HZ = 44100
A, B, C, D, UNKNOWN = ("a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64)


def made() -> corpora.Corpus:
    """Two kept clips, a rejected one with a text, one without, and a pause."""
    recording = corpora.Recording(key="talk.wav", speaker="Mei", size_bytes=1, sha256="1" * 64, duration_s=21.0)
    kept = corpora.Clip(
        sha256=A,
        recording="talk.wav",
        speaker="Mei",
        start_s=0.0,
        end_s=5.0,
        samples=5 * RATE_HZ,
        text="你好世界",
        confidence=0.9,
        grade="A",
    )
    left = corpora.Rejection(
        recording="talk.wav",
        start_s=10.0,
        end_s=15.0,
        reason="UncertainText",
        message="talk.wav from 10 s to 15 s: two recognisers disagree",
        sha256=C,
        text="也许是这样",
        measures=corpora.Measures(confidence=0.4, agreement=0.5),
    )
    return corpora.Corpus(
        stage="judge",
        speakers={"Mei": 0, "Ada": 1},
        recordings=(recording,),
        clips=(kept, dataclasses.replace(kept, sha256=B, start_s=5.0, end_s=10.0, grade="B", text="再见")),
        rejections=(
            left,
            dataclasses.replace(left, sha256=D, start_s=15.0, end_s=20.0, reason="NoText", text=""),
            dataclasses.replace(left, sha256="", start_s=20.0, end_s=21.0, reason="Silence", text=""),
        ),
    )


def parsed(*lines: corpora.Correction) -> corrections.Corrections:
    return corrections.parse("\n".join(json.dumps(codec.encode(line)) for line in lines).encode(), "corrections.jsonl")


def applied(*lines: corpora.Correction) -> corpora.Corpus:
    corpus = corrections.apply(made(), parsed(*lines), RATE_HZ)
    accounts.balance(corpus)
    return corpus


def test_a_text_is_replaced_and_the_grade_stays_and_says_who_did_it() -> None:
    corpus = applied(corpora.Correction(sha256=A, text="你好，世界。"))
    first, second = corpus.clips
    assert (first.text, first.grade, first.corrected) == ("你好，世界。", "A", ("text",))
    assert second == made().clips[1], "nothing else is touched"
    assert corpus.rejections == made().rejections


def test_a_rejected_clip_that_is_kept_is_a_clip_again_in_its_place() -> None:
    corpus = applied(corpora.Correction(sha256=C, keep=True, text="也是这样"), corpora.Correction(sha256=A, keep=True))
    assert [clip.sha256 for clip in corpus.clips] == [A, B, C]
    assert corpus.clips[0].corrected == ("keep",)
    back = corpus.clips[2]
    assert (back.speaker, back.grade, back.text, back.corrected) == ("Mei", "C", "也是这样", ("text", "keep"))
    assert back.samples == 5 * RATE_HZ and back.confidence == 0.4
    assert [finding.reason for finding in back.findings] == ["UncertainText"]
    assert {item.sha256 for item in corpus.rejections} == {D, ""}


def test_a_clip_that_is_dropped_says_so_and_can_be_heard_again() -> None:
    corpus = applied(corpora.Correction(sha256=B, keep=False), corpora.Correction(sha256=C, keep=False))
    assert [clip.sha256 for clip in corpus.clips] == [A]
    dropped = {item.sha256: item for item in corpus.rejections if item.reason == "Dropped"}
    assert set(dropped) == {B, C}
    assert dropped[B].text == "再见" and "5.00 s to 10.00 s" in dropped[B].message
    again = corrections.apply(corpus, parsed(corpora.Correction(sha256=B, keep=True)), RATE_HZ)
    assert [clip.sha256 for clip in again.clips] == [A, B]


def test_a_clip_is_given_to_another_speaker() -> None:
    corpus = applied(corpora.Correction(sha256=A, speaker="Ada"))
    assert corpus.clips[0].speaker == "Ada" and corpus.clips[0].corrected == ("speaker",)


def test_a_speaker_who_is_not_there_is_named_with_those_who_are() -> None:
    with pytest.raises(corrections.Malformed, match=r"is given to 'Bob', expected one of Mei, Ada"):
        applied(corpora.Correction(sha256=A, speaker="Bob"))


def test_corrections_that_do_not_help_are_told() -> None:
    given_lines = parsed(
        corpora.Correction(sha256=UNKNOWN, text="谁"),
        corpora.Correction(sha256=C, text="也许"),
        corpora.Correction(sha256=D, keep=True),
        corpora.Correction(sha256=A, text="你好"),
    )
    said = corrections.remarks(made(), given_lines)
    assert said == (
        f"no clip has the digest {UNKNOWN}: its correction is passed over",
        f"the clip {C[:12]}… stays left out (UncertainText): its correction says nothing of keep",
        f"the clip {D[:12]}… stays left out (NoText): its correction has no text, and neither has the clip",
    )
    corpus = corrections.apply(made(), given_lines, RATE_HZ)
    assert {item.sha256: item.text for item in corpus.rejections}[C] == "也许"
    assert {item.sha256 for item in corpus.rejections} == {C, D, ""}


def test_corrections_of_clips_that_are_no_more_are_told_in_one_sentence() -> None:
    lines = [corpora.Correction(sha256=f"{number:064d}", keep=True) for number in range(100)]
    said = corrections.remarks(made(), parsed(*lines))
    assert said == (f"no clip has the digests of 100 corrections, such as {'0' * 64}: they are passed over",)


def test_no_corrections_change_nothing() -> None:
    assert applied() == made()
    assert corrections.remarks(made(), parsed()) == ()


def test_of_two_lines_about_a_clip_the_last_counts_and_that_is_said() -> None:
    told = parsed(corpora.Correction(sha256=A, text="一"), corpora.Correction(sha256=A, keep=False))
    assert told.lines == {A: corpora.Correction(sha256=A, keep=False)}
    assert told.notes == ("corrections.jsonl: lines 1 and 2 are about the same clip; line 2 counts",)


def test_what_lies_beside_the_corpus_counts_before_the_datasets() -> None:
    dataset = parsed(corpora.Correction(sha256=A, text="一"), corpora.Correction(sha256=B, keep=False))
    both = corrections.combine(dataset, parsed(corpora.Correction(sha256=A, text="二")))
    assert both.lines[A].text == "二" and both.lines[B].keep is False
    assert both.notes == (
        "1 clip is corrected in the dataset and beside the corpus; what lies beside the corpus counts",
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is [], expected an object"),
        ('{"keep": true}', "sha256 is missing"),
        (f'{{"sha256": "{A}", "keep": "yes"}}', "keep is 'yes', expected true or false"),
        (f'{{"sha256": "{A}", "txt": "你"}}', "txt is not a known field"),
        ('{"sha256": "abc", "keep": true}', "sha256 is 'abc', expected the 64 hexadecimal digits of a clip"),
        (f'{{"sha256": "{A}", "text": " "}}', 'to leave the clip out write "keep": false'),
        (f'{{"sha256": "{A}", "text": "\\ud83d"}}', "half of a UTF-16 pair, expected whole characters"),
        ("[" * 100_000, "it is not JSON"),
        (f'{{"sha256": "{A}"}}', "it says nothing, expected text, keep or speaker"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_what_was_expected(line: str, sentence: str) -> None:
    good = json.dumps({"sha256": B, "keep": True})
    with pytest.raises(corrections.Malformed) as caught:
        corrections.parse(f"{good}\n\n{line}\n{good}".encode(), "corrections.jsonl")
    assert "corrections.jsonl cannot be read: line 3: " in str(caught.value)
    assert sentence in str(caught.value) and "expected" in str(caught.value)


def test_every_bad_line_is_named_and_a_file_of_nothing_else_is_told_in_short() -> None:
    with pytest.raises(corrections.Malformed, match=r"line 1: .*line 2: .*and 30 more$"):
        corrections.parse(b"nonsense\n" * 50, "corrections.jsonl")


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(corrections.Malformed, match=r"is not UTF-8 text \(byte 0\)"):
        corrections.parse(b"\xff\xfe{\x00", "corrections.jsonl")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    told = corrections.parse(b"\xef\xbb\xbf" + json.dumps({"sha256": A, "keep": True}).encode() + b"\r\n", "c")
    assert set(told.lines) == {A}


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip))
def test_any_text_survives_its_line(text: str) -> None:
    line = json.dumps({"sha256": A, "text": text}, ensure_ascii=False)
    assert corrections.parse(line.encode(), "c").lines[A].text == traditional.simplified(text)


def test_a_text_in_traditional_characters_is_a_label_in_simplified_ones() -> None:
    (first, _) = applied(corpora.Correction(sha256=A, text="長江的音樂")).clips
    assert first.text == "长江的音乐"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes) -> None:
    try:
        corrections.parse(data, "c")
    except corrections.Malformed as error:
        assert str(error).startswith("c ")
