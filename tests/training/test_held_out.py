"""A few clips are kept from training, the same ones always, and never many."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import torch
from kelong_contract import codec, corpora, layout
from kelong_speech import config
from kelong_trainer.corpus.clips import clip_features
from kelong_trainer.corpus.report import totals
from kelong_trainer.scoring import held_out
from kelong_trainer.training import dataset


def corpus_of(**clips: int) -> corpora.Corpus:
    """A corpus with so many clips of each speaker."""
    return corpora.Corpus(
        stage="features",
        speakers={name: number for number, name in enumerate(clips)},
        recordings=(),
        clips=tuple(clip_of(name, index) for name, count in clips.items() for index in range(count)),
    )


def clip_of(speaker: str, index: int) -> corpora.Clip:
    digest = hashlib.sha256(f"{speaker} {index}".encode()).hexdigest()
    span = {"start_s": 0.0, "end_s": 3.0, "samples": 132300}
    return corpora.Clip(sha256=digest, recording="a.wav", speaker=speaker, text="你好", confidence=1.0, **span)


@pytest.mark.parametrize(("clips", "expected"), [(0, 0), (19, 0), (20, 1), (66, 1), (67, 2), (267, 8), (5000, 8)])
def test_a_small_corpus_keeps_its_clips_and_a_large_one_gives_eight(clips: int, expected: int) -> None:
    assert len(held_out.choose(corpus_of(Mei=clips)).held_out) == expected


def test_the_choice_does_not_depend_on_the_order_of_the_clips() -> None:
    corpus = corpus_of(Mei=100, Ada=50)
    turned = corpora.Corpus(**{**vars(corpus), "clips": corpus.clips[::-1]})

    assert held_out.choose(turned).held_out == held_out.choose(corpus).held_out


def test_each_speaker_gives_a_share_and_what_is_held_out_is_not_trained_on() -> None:
    corpus = held_out.choose(corpus_of(Mei=100, Ada=50, Kim=5))

    assert [len(held_out.of_speaker(corpus, name)) for name in ("Mei", "Ada", "Kim")] == [3, 1, 0]
    kept = {clip.sha256 for clip in held_out.trained_on(corpus)}
    assert len(kept) == 151
    assert not kept & set(corpus.held_out)


def test_the_choice_is_written_with_the_corpus() -> None:
    corpus = held_out.choose(corpus_of(Mei=40))

    assert codec.loads(corpora.Corpus, codec.dumps(corpus), "corpus").held_out == corpus.held_out != ()


def test_the_seconds_held_out_are_counted_as_dropped() -> None:
    report = totals.summarise(held_out.choose(corpus_of(Mei=100, Ada=5)))

    assert (report.clips, report.kept_s) == (102, 306.0)
    assert [(speaker.name, speaker.clips) for speaker in report.speakers] == [("Mei", 97), ("Ada", 5)]
    assert report.dropped == (corpora.Dropped(reason="HeldOut", count=3, duration_s=9.0),)


def test_how_a_speaker_usually_sounds_is_told_by_the_clips_trained_on_alone(bench, tmp_path) -> None:
    clips = []
    for index, clip in enumerate(bench.corpus().clips[:3]):
        key = layout.feature(bench.place, clip_features.STYLE, str(index))
        bench.store.put(key, clip_features.encode(torch.eye(4)[index]))
        clips.append(dataclasses.replace(clip, features={clip_features.STYLE: key}))
    corpus = dataclasses.replace(bench.corpus(), clips=tuple(clips), held_out=(clips[2].sha256,))

    usual = dataset.FeatureFiles(bench.store, tmp_path).usual_style(corpus, "Mei")

    assert usual == pytest.approx((0.5**0.5, 0.5**0.5, 0, 0))


def test_batches_have_no_clip_that_is_held_out(bench, tmp_path) -> None:
    corpus = bench.corpus()
    spared = corpus.clips[0].sha256
    voice = config.preset("tiny", speakers=(config.Speaker(name="Mei", id=0),))
    spared_corpus = corpora.Corpus(**{**vars(corpus), "held_out": (spared,)})

    clips = dataset.Dataset(spared_corpus, voice, bench.store, bench.place, tmp_path)

    assert len(clips) == len(corpus.clips) - 1
    assert spared not in {clips.fetch(index).clip for index in range(len(clips))}
