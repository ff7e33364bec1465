"""The preset small learns: where phonemes are in a few clips, and to say of each text what is heard with it.

A stand-in speaker says five sentences and tells where every character is; a recogniser hears that off by a tenth of a
second. Each claim is held against what could be had without learning it from these texts.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from corpus import voices
from kelong_contract import codec, corpora, layout, orders
from kelong_speech import audio, config, frames
from kelong_speech.text import symbols
from kelong_trainer.corpus.clips import aligning, clip_features
from kelong_trainer.training import batches, dataset, loop, losses, state, step

SENTENCES = (
    "健康比金钱更加重要。",
    "我弟弟今年刚满十八岁。",
    "窗外的小鸟叫得很好听。",
    "这个周末你想去哪里玩？",
    "他们在公园里种了许多树。",
)
SMALL = config.preset("small", speakers=(config.Speaker(name="Mei", id=0),))
# Layers about half as wide and half as many: 150 steps take half a minute on one core.
NARROW = dataclasses.replace(
    SMALL,
    model=dataclasses.replace(
        SMALL.model,
        hidden_channels=96,
        filter_channels=192,
        latent_channels=48,
        text_layers=2,
        frame_prior_layers=2,
        flow_layers=2,
        posterior_layers=2,
        decoder_channels=128,
        decoder_layers=3,
        segment_frames=32,
    ),
)
STEPS, RATE, GROWS_TO_STEP = 150, 2e-3, 20


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[voices.Utterance]:
    voice = voices.Voice.load(tmp_path_factory.mktemp("voice"))
    return [voice.say(sentence) for sentence in SENTENCES]


@pytest.fixture
def heard(new_bench: Callable[[str], Any], said: list[voices.Utterance]) -> Any:
    """A bench whose clips are the sentences, with word times as a recogniser has them."""
    bench = new_bench("heard")
    sounds = [audio.Speech(samples=each.samples, sample_rate_hz=voices.RATE_HZ) for each in said]
    rate_hz = config.AudioConfig().sample_rate_hz
    corpus = bench.freeze(
        [(each.text, audio.resample(sound, rate_hz).samples) for each, sound in zip(said, sounds, strict=True)]
    )
    off, words = np.random.default_rng(1), []
    for clip, each in zip(corpus.clips, said, strict=True):
        for character in each.characters:
            times = np.array([character.start_s, character.end_s]) + off.normal(0, 0.1, 2)
            start_s, end_s = clip.start_s + np.sort(times.clip(0, each.duration_s))
            words.append(corpora.Word(text=character.text, start_s=float(start_s), end_s=float(end_s), probability=1.0))
    transcript = corpora.Transcript(key=corpus.recordings[0].key, language="zh", words=tuple(words), speech=())
    keep(bench, dataclasses.replace(corpus, transcripts=(transcript,)))
    return bench


def keep(bench: Any, corpus: corpora.Corpus) -> None:
    bench.store.put(layout.corpus(bench.place), codec.dumps(corpus))


def with_other_texts(clip: corpora.Clip) -> corpora.Clip:
    """The clip with its phonemes in another order, as many to each character as before."""
    spoken = [place for place, phone in enumerate(clip.phones) if phone not in (symbols.PAD, *symbols.MARKS)]
    phones = list(clip.phones)
    for place, other in zip(spoken, np.random.default_rng(3).permutation(spoken), strict=True):
        phones[place] = clip.phones[other]
    return dataclasses.replace(clip, phones=tuple(phones))


def off_s(corpus: corpora.Corpus, clips: dataset.Dataset, said: list[voices.Utterance]) -> tuple[float, float]:
    """How far the characters' beginnings are from the truth on average: as aligned, and as the recogniser heard."""
    aligned, heard = [], []
    for index, (clip, each) in enumerate(zip(corpus.clips, said, strict=True)):
        durations = clips.fetch(index).durations
        assert durations is not None
        ends_s = np.cumsum(durations.numpy()) * SMALL.audio.frame_s
        ends_s = ends_s[np.cumsum(clip_features.ids(clip).word2ph) - 1]  # of the edges and characters
        windows = aligning.character_windows(clip, corpus.transcripts[0])
        places = [place for place, character in enumerate(clip.spoken) if character.isalnum()]
        for place, character in zip(places, each.characters, strict=True):
            aligned.append(abs(ends_s[place] - character.start_s))
            heard.append(abs(float(windows[place + 1, 0]) - character.start_s))
    return float(np.mean(aligned)), float(np.mean(heard))


def test_characters_are_found_nearer_than_they_were_heard_and_by_their_own_phonemes(
    heard: Any, said: list[voices.Utterance]
) -> None:
    def aligned() -> tuple[float, float]:
        corpus = heard.aligned()
        return off_s(corpus, dataset.Dataset(corpus, SMALL, heard.store, heard.place, heard.folder / "work"), said)

    found, told = aligned()
    corpus = heard.corpus()
    keep(heard, dataclasses.replace(corpus, clips=tuple(with_other_texts(clip) for clip in corpus.clips)))
    by_windows_alone, _ = aligned()
    assert found < 0.6 * told
    assert found < 0.8 * by_windows_alone


def mels(examples: list[batches.Example], sound: config.AudioConfig) -> torch.Tensor:
    """The log-mels of all clips, one after the other [bands, F]."""
    return torch.cat(
        [audio.log_mel(audio.linear_spectrogram(each.samples[None], sound), sound)[0] for each in examples], dim=1
    )


def from_the_average(frames_of: torch.Tensor) -> float:
    """How far frames are from the average frame: what could be said without listening to the text."""
    return float((frames_of - frames_of.mean(dim=1, keepdim=True)).abs().mean())


def test_what_is_said_comes_nearer_to_the_recordings_than_an_average_frame_and_only_of_the_right_text(
    heard: Any,
) -> None:
    clips = dataset.Dataset(heard.aligned(), NARROW, heard.store, heard.place, heard.folder / "work")
    examples = [clips.fetch(index) for index in range(len(clips))]
    batch = batches.collate(examples, NARROW.audio.hop_samples)
    settings = step.settings(orders.Training(seed=1), NARROW, "FP32")
    at = state.fresh(NARROW, orders.Training(seed=1), torch.device("cpu"))

    def told(of: batches.Batch) -> dict[str, float]:
        """The losses as they are: a step at the rate 0 moves nothing, and so learns nothing."""
        return step.run(at, of, 0.0, settings).losses

    sounds = (NARROW.audio, *losses.resolutions(NARROW))  # that `prior_mel` is the mean over
    spectrograms = torch.cat([each.spectrogram for each in examples], dim=1)
    average = {
        "prior_mel": statistics.fmean(from_the_average(mels(examples, sound)) for sound in sounds),
        # Twice: of phonemes and of frames.
        "acoustic": 2 * from_the_average(frames.acoustic(spectrograms[None], NARROW.audio)[0]),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loop.deterministic(torch.device("cpu"))
        untrained = [told(batch) for _ in range(2)]  # that it was trained at the rate 0 does not help it
        for number in range(1, STEPS + 1):
            step.run(at, batch, RATE * min(1.0, number / GROWS_TO_STEP), settings)
        phones = batch.text.phone_ids
        others = dataclasses.replace(batch.text, phone_ids=phones.flip(0) * (phones > 0))
        trained, of_other_texts = told(batch), told(dataclasses.replace(batch, text=others))
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    for lesson, best_guess in average.items():
        assert all(before[lesson] > best_guess for before in untrained), lesson
        assert trained[lesson] < 0.85 * best_guess, lesson
        assert of_other_texts[lesson] > 0.95 * best_guess, lesson
    assert trained["prior_mel"] < 0.75 * average["prior_mel"]
