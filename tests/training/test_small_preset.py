"""What the trainer does for the preset `small` alone: its pace, and losses of what the text says by itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from kelong_contract.orders import LossWeights, Training
from kelong_speech import audio, config
from kelong_speech.synthesiser import Lessons
from kelong_trainer.context import BadData
from kelong_trainer.stages import align
from kelong_trainer.training import batches, beginning, dataset, losses, state, step
from kelong_trainer.training.ranks import Part

SMALL = config.preset("small", speakers=(config.Speaker(name="Mei", id=0),))
TINY = config.preset("tiny", speakers=(config.Speaker(name="Mei", id=0),))


def _part(items: int, frames: int) -> Part:
    return Part(positions=tuple(range(items)), items=items, frames=frames, phones=1)


def test_its_rate_grows_stays_and_falls() -> None:
    rates = [state.rate_of_step("small", 1e-3, 0, step) for step in (1, 150, 300, 2000, 8000)]
    assert rates == pytest.approx([1e-3 / 300, 5e-4, 1e-3, 1e-3, 5e-4])


def test_one_that_begins_trained_begins_at_its_full_rate() -> None:
    at = state.fresh(SMALL, Training(seed=1), torch.device("cpu"))
    settings = step.settings(Training(seed=1), SMALL, "FP32")
    rates = [
        beginning.Training(
            state=at, started_at="", batch_frames=1600, settings=settings, begun_trained=begun_trained
        ).rate_of_next_step(1e-3)
        for begun_trained in (False, True)
    ]
    assert rates == pytest.approx([1e-3 / 300, 1e-3])


def test_other_presets_keep_the_rate_of_their_epoch() -> None:
    assert state.rate_of_step("tiny", 2e-4, 3, 1) == state.learning_rate(2e-4, 3) < 2e-4


def _sounds(seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(2, 1, 40 * 320, generator=torch.Generator().manual_seed(seed))


def test_sound_is_compared_at_three_resolutions_and_equal_sounds_are_no_distance_apart() -> None:
    real = _sounds(1)
    own = audio.linear_spectrogram(real.squeeze(1), SMALL.audio)
    assert len(losses.resolutions(SMALL)) == 2 and losses.resolutions(TINY) == ()
    assert losses.sound(real, real, own, SMALL, _part(2, 80)).item() == pytest.approx(0, abs=1e-6)
    assert losses.sound(_sounds(2), real, own, SMALL, _part(2, 80)).item() > 0.1


def test_what_the_text_tells_of_padding_is_no_loss() -> None:
    told = torch.randn(2, 80, 30, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, 1, 30)
    mask[1, :, 20:] = 0
    wanted = torch.zeros_like(told)
    empty = torch.zeros(2, 1, 0)
    loss = losses.acoustic(Lessons(waveform=empty, phones=told, frames=told, wanted=wanted), mask, _part(2, 50))
    longer = [torch.nn.functional.pad(each, (0, 7), value=5.0) for each in (told, told, wanted)]
    padded = Lessons(waveform=empty, phones=longer[0], frames=longer[1], wanted=longer[2])
    again = losses.acoustic(padded, torch.nn.functional.pad(mask, (0, 7)), _part(2, 50))
    assert again.item() == pytest.approx(loss.item())


def test_each_lesson_has_a_weight_of_its_own() -> None:
    one = torch.tensor(1.0)
    parts = {"mel": one, "prior_mel": one, "acoustic": one}
    assert losses.total(parts, LossWeights()).item() == pytest.approx(45 + 22.5 + 5)
    assert losses.total(parts, LossWeights(mel=9.0, prior_mel=0.5, acoustic=0.0)).item() == pytest.approx(9.5)


def test_each_clip_is_told_how_long_its_phonemes_last_and_the_store_remembers(bench) -> None:
    corpus = bench.aligned()
    clips = dataset.Dataset(corpus, SMALL, bench.store, bench.place, bench.folder / "work")
    for index, frames in enumerate(clips.frame_counts):
        told = clips.fetch(index).durations
        assert told is not None and told.sum() == frames and told.min() >= 1
    files = [bench.store.root / clip.features["durations"] for clip in corpus.clips]
    written = [file.stat().st_mtime_ns for file in files]
    assert bench.aligned() == corpus
    assert [file.stat().st_mtime_ns for file in files] == written


def test_a_corpus_without_durations_is_refused_with_what_to_do(bench) -> None:
    with pytest.raises(BadData, match=r"without durations.*make a new VoiceModel"):
        dataset.Dataset(bench.corpus(), SMALL, bench.store, bench.place, bench.folder / "work")


def test_presets_that_search_are_told_nothing(bench) -> None:
    assert all(clip.features == {} for clip in align.run(bench.context(), bench.corpus()).clips)


def test_a_step_in_parts_teaches_what_it_would_have_whole(bench) -> None:
    corpus = bench.aligned()
    model = dataclasses.replace(SMALL.model, dropout=0.0, duration_dropout=0.0)
    voice = dataclasses.replace(SMALL, model=model)
    clips = dataset.Dataset(corpus, voice, bench.store, bench.place, bench.folder / "work")
    batch = batches.collate([clips.fetch(index) for index in range(3)], voice.audio.hop_samples)
    ordered = dataclasses.replace(step.settings(Training(seed=1), voice, "FP32"), judges_from=1)
    results = []
    for frames_at_once in (None, max(batch.recordings.frame_counts.tolist())):
        at = state.fresh(voice, Training(seed=1), torch.device("cpu"))
        results.append(step.run(at, batch, 1e-3, ordered, frames_at_once=frames_at_once).losses)
    whole, parts = ({name: value for name, value in each.items() if "durations" not in name} for each in results)
    del whole["generator"], parts["generator"]
    assert {"prior_mel", "acoustic", "adversarial"} <= whole.keys()
    assert parts == pytest.approx(whole, rel=1e-3)
