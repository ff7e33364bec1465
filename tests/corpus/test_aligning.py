"""Each phoneme's place in a clip is found from word times that are off, and every phoneme has a frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import corpora
from kelong_speech.text import frontend, symbols
from kelong_trainer.corpus.clips import aligning

FRAME_S = 0.0125
BANDS = 20
SENTENCES = ("今天天气很好。", "我们下期再见。", "欢迎收听节目。", "你好，世界。", "他们都喜欢喝茶。", "明天见。")


def _clip(text: str, spoken: str, start_s: float = 10.0, end_s: float = 13.0) -> corpora.Clip:
    return corpora.Clip(
        sha256="0", recording="a.wav", speaker="Mei", start_s=start_s, end_s=end_s, samples=1, text=text,
        confidence=1.0, spoken=spoken,
    )  # fmt: skip


def _transcript(*words: tuple[str, float, float]) -> corpora.Transcript:
    heard = tuple(corpora.Word(text=text, start_s=start, end_s=end, probability=1.0) for text, start, end in words)
    return corpora.Transcript(key="a.wav", language="zh", words=heard, speech=())


def test_a_word_s_time_is_shared_out_among_its_characters() -> None:
    told = aligning.character_windows(_clip("你好。", "你好。"), _transcript(("你好。", 10.5, 11.5)))
    assert told.tolist() == [[0, 0.5], [0.5, 1], [1, 1.5], [1.5, 3], [1.5, 3]]


def test_what_is_spoken_otherwise_than_heard_lies_between_its_neighbours() -> None:
    transcript = _transcript(("买", 10.2, 10.4), ("25", 10.4, 11.0), ("个", 11.0, 11.2), ("别的", 20, 21))
    told = aligning.character_windows(_clip("买25个", "买二十五个"), transcript)
    assert told[1].tolist() == pytest.approx([0.2, 0.4])
    assert [row.tolist() for row in told[2:5]] == [pytest.approx([0.4, 1.0])] * 3
    assert told[5].tolist() == pytest.approx([1.0, 1.2])


def test_without_any_word_everything_may_be_anywhere() -> None:
    told = aligning.character_windows(_clip("你好", "你好"), None)
    assert told.tolist() == [[0, 3]] * 4


def _heard(
    random: np.random.Generator, looks: np.ndarray, marks: tuple[tuple[str, int], ...] = ()
) -> tuple[list[aligning.Heard], list[np.ndarray]]:
    """Clips whose phonemes each have a spectrum of their own, with word times off by a tenth of a second.

    Pauses are silent, and when pauses and breaths are heard is known to two hundredths.
    """
    clips, truths = [], []
    for _ in range(8):
        for text in SENTENCES:
            ids = frontend.analyse(text).with_marks(marks).ids()
            phones = np.array(ids.phone_ids)
            counts = np.where(np.arange(len(phones)) % 2, random.integers(5, 14, len(phones)), 0)
            owners = np.repeat(np.arange(len(phones)), counts)
            silent = [symbols.SYMBOLS[phone] in ("_", *symbols.MARKS, *symbols.PAUSES) for phone in phones]
            mel = np.where(np.array(silent)[owners], -9.0, looks[:, phones[owners]])
            mel = mel + 0.3 * random.standard_normal(mel.shape)
            marked = np.array([symbols.SYMBOLS[phone] in symbols.INLINE_MARKS for phone in phones])
            until = np.cumsum(counts) * FRAME_S
            ends = until[np.cumsum(ids.word2ph) - 1]
            starts = np.concatenate([[0.0], ends[:-1]])
            marks_s = np.stack([until - counts * FRAME_S, until], axis=1)[marked] + random.normal(
                0, 0.02, (sum(marked), 2)
            )
            off = random.normal(0, 0.1, (len(ends), 2))
            windows = np.clip(np.sort(np.stack([starts, ends], axis=1) + off, axis=1), 0, len(owners) * FRAME_S)
            clips.append(
                aligning.Heard(
                    ids=ids,
                    log_mel=mel.astype(np.float32),
                    windows_s=windows.astype(np.float32),
                    marks_s=marks_s.tolist(),
                    frame_s=FRAME_S,
                )
            )
            truths.append(np.cumsum(counts))
    return clips, truths


@pytest.mark.parametrize("marks", [(), (("sp2", 1), ("br1", 2))])
def test_phonemes_are_found_to_a_frame_or_two(marks: tuple[tuple[str, int], ...]) -> None:
    random = np.random.default_rng(3)
    looks = -4 + 1.5 * random.standard_normal((BANDS, len(symbols.SYMBOLS)))
    clips, truths = _heard(random, looks, marks)
    aligner = aligning.Aligner.fit(clips)
    found = [aligner.durations(clip) for clip in clips]
    off = []
    for clip, counts, truth in zip(clips, found, truths, strict=True):
        assert counts.sum() == clip.log_mel.shape[1] and counts.min() >= 1
        off.append(np.abs(np.cumsum(counts) - truth)[1:-1:2])
    assert np.mean(np.concatenate(off) <= 2) > 0.9


def test_aligning_again_gives_the_same() -> None:
    random = np.random.default_rng(5)
    clips, _ = _heard(random, random.standard_normal((BANDS, len(symbols.SYMBOLS))))
    one, other = aligning.Aligner.fit(clips), aligning.Aligner.fit(clips)
    for clip in clips:
        assert np.array_equal(one.durations(clip), other.durations(clip))


def test_clips_that_it_did_not_learn_from_are_aligned_as_well() -> None:
    random = np.random.default_rng(7)
    looks = -4 + 1.5 * random.standard_normal((BANDS, len(symbols.SYMBOLS)))
    clips, truths = _heard(random, looks)
    half = len(clips) // 2
    aligner = aligning.Aligner.fit(clips[:half])
    near = [
        np.abs(np.cumsum(aligner.durations(clip)) - truth)[1:-1:2] <= 2
        for clip, truth in zip(clips[half:], truths[half:], strict=True)
    ]
    assert np.mean(np.concatenate(near)) > 0.85


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 20))
def test_every_phoneme_gets_a_frame_and_none_is_lost(counts: list[int], more: int) -> None:
    counts[-1] += max(0, len(counts) - sum(counts)) + more
    whole = aligning.at_least_one(np.array(counts))
    assert whole.min() >= 1 and whole.sum() == sum(counts)
    if min(counts) >= 1:
        assert whole.tolist() == counts
