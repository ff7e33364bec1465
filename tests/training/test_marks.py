"""Pauses and breaths are phonemes of a clip, and a share of the clips is trained as if nobody had marked them."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from kelong_contract import codec, corpora, layout
from kelong_speech import config
from kelong_speech.text import frontend, symbols
from kelong_trainer.corpus.clips import aligning
from kelong_trainer.training import batches, dataset, loading

TEXT = "你好，今天天气很好。"
MARKS = [("br1", 0), ("sp1", 0), ("sp2", 3), ("sp1", 5)]
MARK_IDS = {symbols.SYMBOL_IDS[mark] for mark in symbols.INLINE_MARKS}


def _example(utterance: frontend.Utterance, random: np.random.Generator) -> batches.Example:
    ids = utterance.ids()
    by_character = torch.from_numpy(random.standard_normal((4, len(ids.word2ph))).astype(np.float32))
    counts = torch.from_numpy(random.integers(1, 9, len(ids.phone_ids)))
    return batches.Example(
        clip="a",
        ids=ids,
        speaker_id=0,
        samples=torch.zeros(512),
        spectrogram=torch.zeros(5, int(counts.sum())),
        text_features=by_character.repeat_interleave(torch.tensor(ids.word2ph), dim=1),
        style=None,
        durations=counts,
    )


def test_without_its_marks_a_clip_is_what_its_text_alone_would_be() -> None:
    plain = frontend.analyse(TEXT)
    marked = _example(plain.with_marks(MARKS), np.random.default_rng(3))
    left = batches.without_marks(marked)
    assert left.ids == plain.ids()
    by_character = _example(plain, np.random.default_rng(3)).text_features
    assert left.text_features is not None and left.text_features.equal(by_character)


def test_the_time_of_a_mark_goes_to_what_it_comes_after() -> None:
    marked = _example(frontend.analyse(TEXT).with_marks(MARKS), np.random.default_rng(5))
    left = batches.without_marks(marked)
    assert marked.durations is not None and left.durations is not None
    assert left.durations.sum() == marked.durations.sum() == left.spectrogram.shape[1]
    # The edge's blank, its `_` and the blank that the breath and the pause with theirs come after.
    assert left.durations[:3].tolist() == [*marked.durations[:2].tolist(), int(marked.durations[2:7].sum())]


def test_a_clip_without_marks_stays_as_it_is() -> None:
    example = _example(frontend.analyse(TEXT), np.random.default_rng(1))
    assert batches.without_marks(example) is example


def test_about_a_tenth_of_the_clips_is_plain_other_ones_in_each_epoch() -> None:
    chosen = [[batches.is_plain(f"clip {index}", 7, epoch) for index in range(2000)] for epoch in (0, 1, 0)]
    assert 0.07 < np.mean(chosen[0]) < 0.13
    assert chosen[0] == chosen[2] != chosen[1]


def _mark(corpus: corpora.Corpus, bench) -> corpora.Corpus:
    """The corpus with a pause in each clip."""
    clips = []
    for clip in corpus.clips:
        said = frontend.analyse(clip.text).with_marks([("sp2", 1)])
        mark = corpora.Mark(kind="sp2", after=1, start_s=clip.start_s + 0.2, end_s=clip.start_s + 0.4, confidence=0.9)
        clips.append(
            dataclasses.replace(
                clip,
                marks=(mark,),
                phones=said.phones,
                tones=said.tones,
                word2ph=said.word2ph,
                language_ids=said.language_ids,
            )
        )
    marked = dataclasses.replace(corpus, clips=tuple(clips))
    bench.store.put(layout.corpus(bench.place), codec.dumps(marked))
    return marked


def test_a_loader_that_starts_in_the_middle_leaves_out_the_same_marks(bench) -> None:
    corpus = _mark(bench.corpus(), bench)
    voice = config.preset("tiny", speakers=(config.Speaker(name="Mei", id=0),))
    clips = dataset.Dataset(corpus, voice, bench.store, bench.place, bench.folder / "work")
    hop = voice.audio.hop_samples
    first = loading.Loader(clips, 400, 5, batches.Position(), hop)
    whole = [first.next() for _ in range(40)]
    first.close()
    second = loading.Loader(clips, 400, 5, whole[20].after, hop)
    rest = [second.next() for _ in range(19)]
    second.close()
    for ours, theirs in zip(rest, whole[21:], strict=True):
        assert ours.batch.text.phone_ids.equal(theirs.batch.text.phone_ids)
        assert ours.batch.part == theirs.batch.part
    rows = [row for loaded in whole for row in loaded.batch.text.phone_ids.tolist()]
    plain = [not MARK_IDS & set(row) for row in rows]
    assert 0 < np.mean(plain) < 0.3
    for loaded in whole:
        assert loaded.batch.part.phones == int(loaded.batch.text.phone_counts.sum())


def test_an_aligner_is_told_when_a_mark_is_heard() -> None:
    said = frontend.analyse("你好").with_marks([("sp2", 1)])
    clip = corpora.Clip(
        sha256="0", recording="a.wav", speaker="Mei", start_s=10.0, end_s=12.0, samples=1, text="你好", confidence=1.0,
        phones=said.phones,
        marks=(
            corpora.Mark(kind="sp2", after=1, start_s=10.1, end_s=10.3, confidence=0.2),
            corpora.Mark(kind="sp2", after=1, start_s=10.5, end_s=10.8, confidence=0.9),
        ),
    )  # fmt: skip
    (window,) = aligning.mark_windows(clip)
    assert np.allclose(window, (0.5, 0.8))
    assert aligning.mark_windows(dataclasses.replace(clip, marks=())) == [], "one that was written into the text"
