"""Every second of every recording is in exactly one place, or the account names where it is not."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kelong_contract import accounts, corpora

RATE_HZ = 44_100
REASONS: tuple[corpora.Reason, ...] = ("Silence", "Music", "TooShort", "Dropped")


def recording(key: str, samples: int) -> corpora.Recording:
    return corpora.Recording(key=key, speaker="Mei", size_bytes=1, sha256="", duration_s=samples / RATE_HZ)


def clip(key: str, start: int, end: int) -> corpora.Clip:
    return corpora.Clip(
        sha256=f"{key}-{start}",
        recording=key,
        speaker="Mei",
        start_s=start / RATE_HZ,
        end_s=end / RATE_HZ,
        samples=end - start,
        text="你好",
        confidence=0.9,
    )


def rejection(key: str, start: int, end: int, reason: corpora.Reason = "Silence") -> corpora.Rejection:
    return corpora.Rejection(
        recording=key, start_s=start / RATE_HZ, end_s=end / RATE_HZ, reason=reason, message="a pause"
    )


def corpus_of(
    recordings: list[corpora.Recording], items: list[corpora.Clip | corpora.Rejection], seed: int = 0
) -> corpora.Corpus:
    """The items in any order: where they lie counts, not how they are listed."""
    random.Random(seed).shuffle(items)
    return corpora.Corpus(
        stage="slice",
        speakers={"Mei": 0},
        recordings=tuple(recordings),
        clips=tuple(item for item in items if isinstance(item, corpora.Clip)),
        rejections=tuple(item for item in items if isinstance(item, corpora.Rejection)),
    )


@st.composite
def partitions(draw: st.DrawFn) -> corpora.Corpus:
    """Recordings of up to twenty hours, each cut anywhere, every piece a clip or a rejection of some reason."""
    recordings, items = [], []
    for number in range(draw(st.integers(1, 4))):
        samples = draw(st.integers(1, 20 * 3600 * RATE_HZ))
        inner = draw(st.lists(st.integers(1, samples), max_size=12, unique=True))
        edges = sorted({0, samples, *inner})
        recordings.append(recording(f"{number}.wav", samples))
        for start, end in itertools.pairwise(edges):
            reason = draw(st.sampled_from((None, *REASONS)))
            made = (
                clip(f"{number}.wav", start, end) if reason is None else rejection(f"{number}.wav", start, end, reason)
            )
            items.append(made)
    return corpus_of(recordings, items, draw(st.integers(0, 99)))


@given(partitions())
def test_pieces_that_meet_balance_to_the_second(corpus: corpora.Corpus) -> None:
    told = accounts.balance(corpus)
    assert [account.recording for account in told] == [item.key for item in corpus.recordings]
    for account in told:
        assert account.kept_s + sum(account.rejected_s.values()) == pytest.approx(account.duration_s, abs=1e-6)
    kept_s = sum(item.duration_s for item in corpus.clips)
    assert sum(account.kept_s for account in told) == pytest.approx(kept_s, abs=1e-6)


@given(partitions(), st.data())
def test_a_piece_that_is_missing_is_named_with_where_it_was(corpus: corpora.Corpus, data: st.DataObject) -> None:
    assume(corpus.rejections)
    gone = data.draw(st.sampled_from(corpus.rejections))
    left = tuple(item for item in corpus.rejections if item is not gone)
    with pytest.raises(accounts.Unbalanced) as caught:
        accounts.balance(dataclasses.replace(corpus, rejections=left))
    length_s = {item.key: item.duration_s for item in corpus.recordings}[gone.recording]
    if gone.end_s < length_s:
        where = f"{gone.recording}: {gone.start_s:.3f} s to {gone.end_s:.3f} s are in no clip and no rejection"
    else:
        where = f"{gone.recording} is {length_s:.3f} s long, {gone.start_s:.3f} s of it are accounted for"
    assert where in str(caught.value)


@given(partitions(), st.data())
def test_a_piece_that_is_there_twice_is_named(corpus: corpora.Corpus, data: st.DataObject) -> None:
    assume(corpus.clips)
    twice = data.draw(st.sampled_from(corpus.clips))
    with pytest.raises(accounts.Unbalanced) as caught:
        accounts.balance(dataclasses.replace(corpus, clips=(*corpus.clips, twice)))
    assert f"{twice.recording}: {twice.start_s:.3f} s to {twice.end_s:.3f} s are counted twice" in str(caught.value)


def test_a_piece_that_goes_beyond_its_recording_is_named() -> None:
    corpus = corpus_of([recording("a.wav", RATE_HZ)], [clip("a.wav", 0, 2 * RATE_HZ)])
    with pytest.raises(accounts.Unbalanced, match=r"a\.wav is 1\.000 s long, 2\.000 s of it are accounted for"):
        accounts.balance(corpus)


def test_a_piece_of_a_recording_that_is_not_there_is_named() -> None:
    corpus = corpus_of([], [clip("gone.wav", 0, RATE_HZ)])
    with pytest.raises(accounts.Unbalanced, match=r"gone\.wav is in no recording"):
        accounts.balance(corpus)


def test_every_fault_of_every_recording_is_told_at_once() -> None:
    corpus = corpus_of(
        [recording("a.wav", 4 * RATE_HZ), recording("b.wav", 4 * RATE_HZ)],
        [
            clip("a.wav", RATE_HZ, 4 * RATE_HZ),
            clip("b.wav", 0, 3 * RATE_HZ),
            rejection("b.wav", 2 * RATE_HZ, 4 * RATE_HZ),
        ],
    )
    with pytest.raises(accounts.Unbalanced) as caught:
        accounts.balance(corpus)
    assert str(caught.value) == (
        "a.wav: 0.000 s to 1.000 s are in no clip and no rejection; b.wav: 2.000 s to 3.000 s are counted twice"
    )


def test_a_piece_inside_another_is_counted_twice_only_where_it_lies() -> None:
    corpus = corpus_of(
        [recording("a.wav", 9 * RATE_HZ)], [clip("a.wav", 0, 9 * RATE_HZ), rejection("a.wav", 3 * RATE_HZ, 4 * RATE_HZ)]
    )
    with pytest.raises(accounts.Unbalanced, match=r"3\.000 s to 4\.000 s are counted twice"):
        accounts.balance(corpus)


def test_what_could_not_be_decoded_has_no_second_to_account_for() -> None:
    corpus = corpus_of([recording("broken.mp3", 0)], [rejection("broken.mp3", 0, 0, "Undecodable")])
    (account,) = accounts.balance(corpus)
    assert account.kept_s == 0 and account.rejected_s == {"Undecodable": 0.0}
