"""Which clips meet in which batch: every clip of every length, within bounds, the same whenever it is asked."""

from __future__ import annotations

import pathlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import layout, orders, store
from kelong_speech import config
from kelong_trainer.corpus.clips import clip_sound
from kelong_trainer.training import batches, dataset, loading, memory, state, step

LENGTHS = st.lists(st.integers(min_value=170, max_value=2600), min_size=1, max_size=60)


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, epoch=st.integers(0, 5))
def test_every_clip_is_in_exactly_one_batch_of_an_epoch(lengths: list[int], epoch: int) -> None:
    planned = batches.plan(lengths, 4000, 42, epoch)
    assert sorted(index for batch in planned for index in batch) == list(range(len(lengths)))


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS)
def test_no_batch_pads_beyond_its_bound_unless_it_is_one_long_clip(lengths: list[int]) -> None:
    for batch in batches.plan(lengths, 2000, 1, 0):
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= 2000
        assert len(batch) <= batches.MOST_ITEMS


def test_a_batch_of_short_clips_is_bounded_by_its_items_and_a_large_one_has_room_for_more() -> None:
    short = [50] * 400
    for batch_frames, most in ((4000, 32), (8000, 32), (25_000, 100)):
        sizes = [len(batch) for batch in batches.plan(short, batch_frames, 1, 0)]
        assert max(sizes) == most and sum(sizes) == 400, batch_frames


def test_the_plan_is_a_function_of_seed_and_epoch() -> None:
    lengths = [200 + 37 * index for index in range(40)]
    assert batches.plan(lengths, 3000, 7, 3) == batches.plan(lengths, 3000, 7, 3)
    assert batches.plan(lengths, 3000, 7, 3) != batches.plan(lengths, 3000, 7, 4)
    assert batches.plan(lengths, 3000, 7, 3) != batches.plan(lengths, 3000, 8, 3)


def _open(bench) -> dataset.Dataset:
    corpus = bench.corpus()
    voice = config.preset("tiny", speakers=(config.Speaker(name="Mei", id=0),))
    return dataset.Dataset(corpus, voice, bench.store, bench.place, bench.folder / "work")


def test_a_loader_that_starts_in_the_middle_goes_on_like_one_that_came_there(bench) -> None:
    clips = _open(bench)
    hop = config.AudioConfig().hop_samples
    first = loading.Loader(clips, 250, 5, batches.Position(), hop)
    whole = [first.next() for _ in range(7)]
    first.close()
    second = loading.Loader(clips, 250, 5, whole[2].after, hop)
    rest = [second.next() for _ in range(4)]
    second.close()
    for ours, theirs in zip(rest, whole[3:], strict=True):
        assert ours.after == theirs.after
        assert ours.batch.samples.equal(theirs.batch.samples)
        assert ours.batch.text.phone_ids.equal(theirs.batch.text.phone_ids)


def test_samples_and_spectrogram_of_a_clip_cover_the_same_frames(bench) -> None:
    clips = _open(bench)
    for index in range(len(clips)):
        example = clips.fetch(index)
        assert len(example.samples) == example.spectrogram.shape[1] * config.AudioConfig().hop_samples
        assert example.spectrogram.shape[1] == clips.frame_counts[index]


def test_the_small_preset_hears_24_khz_and_is_told_how_long_each_phoneme_lasts(bench) -> None:
    voice = config.preset("small", speakers=(config.Speaker(name="Mei", id=0),))
    clips = dataset.Dataset(bench.aligned(), voice, bench.store, bench.place, bench.folder / "work")
    examples = [clips.fetch(index) for index in range(len(clips))]
    for index, example in enumerate(examples):
        frames = clips.frame_counts[index]
        assert example.spectrogram.shape == (voice.audio.spectrogram_bins, frames)
        assert len(example.samples) == frames * voice.audio.hop_samples
        assert example.durations is not None and int(example.durations.min()) >= 1
        assert int(example.durations.sum()) == frames
    batch = batches.collate(examples, voice.audio.hop_samples)
    assert batch.recordings.durations_frames is not None
    assert batch.recordings.durations_frames.sum(dim=1).equal(batch.recordings.frame_counts)
    halves = memory.divide(batch, memory.padded_frames(batch) // 2)
    assert len(halves) > 1
    for half in halves:
        assert half.recordings.durations_frames is not None
        assert half.recordings.durations_frames.sum(dim=1).equal(half.recordings.frame_counts)


def test_stages_and_training_fetch_a_clip_once_among_them(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    get_file, get = store.FolderStore.get_file, store.FolderStore.get

    def counted(self: store.FolderStore, key: str, path: pathlib.Path) -> None:
        fetched.append(key)
        get_file(self, key, path)

    monkeypatch.setattr(store.FolderStore, "get_file", counted)
    monkeypatch.setattr(store.FolderStore, "get", lambda self, key: fetched.append(key) or get(self, key))
    corpus = bench.aligned()
    heard = [
        clip_sound.as_cut(clip_sound.fetched(bench.store, bench.place, clip, bench.folder / "work"))
        for clip in corpus.clips
    ]
    assert [len(sound.samples) for sound in heard] == [clip.samples for clip in corpus.clips]
    voice = config.preset("small", speakers=(config.Speaker(name="Mei", id=0),))
    clips = dataset.Dataset(corpus, voice, bench.store, bench.place, bench.folder / "work")
    for index in range(len(clips)):
        clips.fetch(index)
    keys = [layout.clip(bench.place, clip.sha256) for clip in corpus.clips]
    assert sorted(key for key in fetched if key in keys) == sorted(keys)


def test_the_small_preset_takes_a_step(bench) -> None:
    voice = config.preset("small", speakers=(config.Speaker(name="Mei", id=0),))
    clips = dataset.Dataset(bench.aligned(), voice, bench.store, bench.place, bench.folder / "work")
    batch = batches.collate([clips.fetch(0), clips.fetch(1)], voice.audio.hop_samples)
    at = state.fresh(voice, orders.Training(seed=1), torch.device("cpu"))
    ordered = step.settings(orders.Training(seed=1), voice, "FP32")
    first = step.run(at, batch, 1e-3, ordered)
    for _ in range(4):
        last = step.run(at, batch, 1e-3, ordered)
    assert {"mel", "prior_mel", "acoustic", "divergence", "durations"} <= first.losses.keys()
    assert "adversarial" not in first.losses
    assert last.losses["acoustic"] < first.losses["acoustic"]
