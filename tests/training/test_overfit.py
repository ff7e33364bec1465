"""Training works: two clips, a few hundred steps, and each text sounds like its own clip and not like the other."""

from __future__ import annotations

import pathlib

import numpy as np
import torch
from kelong_contract import orders
from kelong_demo import speaker
from kelong_speech import audio, config, synthesiser
from kelong_speech.text import frontend
from kelong_speech.voice import Style, Voice
from kelong_trainer.training import batches, loop, state, step

STEPS = 300
RATE = 2e-3
# Two sentences of the stand-in speaker, the second played slower and so lower: two clips that nobody confuses.
CLIPS = (("今天天气很好。", 1.0), ("我们下期再见。", 1.6))
VOICE = config.preset("tiny", speakers=(config.Speaker(name="Mei", id=0),))
STYLE = Style(speaker="Mei", sdp_ratio=0.0, noise=0.0, noise_w=0.0)


def _mel(samples: np.ndarray) -> torch.Tensor:
    waveform = torch.from_numpy(samples).unsqueeze(0)
    return audio.log_mel(audio.linear_spectrogram(waveform, VOICE.audio), VOICE.audio)[0]  # [M, F]


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean distance of two log-mel spectrograms along their best alignment in time (dynamic time warping)."""
    cost = torch.cdist(one.T.contiguous(), other.T.contiguous(), p=1).numpy() / one.shape[0]
    best = np.full((cost.shape[0] + 1, cost.shape[1] + 1, 2), np.inf)  # summed cost, length of the path
    best[0, 0] = 0
    for row in range(cost.shape[0]):
        for column in range(cost.shape[1]):
            before = min(best[row, column], best[row, column + 1], best[row + 1, column], key=lambda item: item[0])
            best[row + 1, column + 1] = before[0] + cost[row, column], before[1] + 1
    total, length = best[-1, -1]
    return float(total / length)


def _example(text: str, samples: np.ndarray) -> batches.Example:
    waveform = torch.from_numpy(samples)
    spectrogram = audio.linear_spectrogram(waveform.unsqueeze(0), VOICE.audio)[0]
    return batches.Example(
        clip=text,
        ids=frontend.analyse(text).ids(),
        speaker_id=0,
        samples=waveform[: spectrogram.shape[1] * VOICE.audio.hop_samples],
        spectrogram=spectrogram,
        text_features=None,
        style=None,
    )


def _distances(generator: synthesiser.Synthesiser, wanted: list[torch.Tensor]) -> list[list[float]]:
    """For each text, the distance of what the generator says to each clip."""
    copy = synthesiser.Synthesiser(VOICE)
    copy.load_state_dict(generator.state_dict())
    voice = Voice.from_parts(copy)
    said = [_mel(voice.say(frontend.analyse(text), STYLE).samples) for text, _ in CLIPS]
    return [[_distance(mel, other) for other in wanted] for mel in said]


def test_two_clips_are_learned_and_told_apart(tmp_path: pathlib.Path) -> None:
    standin = speaker.Speaker.load(tmp_path)
    clips = []
    for text, slower in CLIPS:
        sound = standin.speak(text)
        recorded = audio.Speech(samples=sound.samples, sample_rate_hz=round(sound.sample_rate_hz / slower))
        clips.append(audio.resample(recorded, VOICE.audio.sample_rate_hz).samples)
    examples = [_example(text, samples) for (text, _), samples in zip(CLIPS, clips, strict=True)]
    wanted = [_mel(samples) for samples in clips]
    batch = batches.collate(examples, VOICE.audio.hop_samples)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        at = state.fresh(VOICE, orders.Training(seed=1), torch.device("cpu"))
        before = _distances(at.generator, wanted)
        loop.deterministic(torch.device("cpu"))
        settings = step.StepSettings(seed=1, precision="FP32", profile="fixed")
        for _ in range(STEPS):
            step.run(at, batch, RATE, settings)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    after = _distances(at.generator, wanted)
    for own in (0, 1):
        assert after[own][own] <= before[own][own] / 2
        assert after[own][own] < after[own][1 - own]
