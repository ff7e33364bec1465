"""How fast the program is, each figure beside that of a plain reading of the same maths in the same run.

`make bench` runs it. Machines are noisy, so only the ratios mean something, and each is the median of alternating
rounds: one of the plain reading, one of ours. Figures go to the terminal and, as JSON, below build/bench.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import readings
import torch
from kelong_contract import orders
from kelong_speech import alignment, audio, config, device, encoders, synthesiser
from kelong_speech.text import frontend
from kelong_trainer.training import batches, discriminators, ranks, state, step
from plain import front_end as plain_front_end
from plain import generator as plain
from plain import training as plain_training

OUT = pathlib.Path("build") / "bench"
SECONDS_PER_PHONE = 0.053  # with blanks between them, as in speech of four to five syllables a second


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table: seconds of the plain reading and of ours (medians), and what they were measured on."""

    name: str
    plain_s: float
    ours_s: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.plain_s / self.ours_s

    def line(self) -> str:
        """For the terminal."""
        return f"{self.name:35} {self.plain_s:9.4f} s {self.ours_s:9.4f} s {self.ratio:8.2f}x  {self.note}"


def race(plainly: Callable[[], object], ours: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of both, alternating; each runs once before anything is measured."""
    plainly(), ours()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for times, run in zip(taken, (plainly, ours), strict=True):
            begun = time.perf_counter()
            run()
            times.append(time.perf_counter() - begun)
    return statistics.median(taken[0]), statistics.median(taken[1])


def generator(preset: str) -> synthesiser.Synthesiser:
    """A generator of random weights; what starts at zero is given some, so that nothing is multiplied away."""
    torch.manual_seed(1)
    full = preset == "zh-clap"
    speakers = (config.Speaker(name="someone", id=0, style=tuple([1.0] + [0.0] * 511) if full else None),)
    channels = (2048, 512) if full else (None, None)
    made = synthesiser.Synthesiser(
        config.preset(preset, speakers=speakers, text_feature_channels=channels[0], style_channels=channels[1])
    ).eval()
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0.0, 0.02)
    return made


def text(settings: config.VoiceConfig, seconds: float, batch: int = 1) -> encoders.TextBatch:
    """As many random phonemes as somebody says in the time."""
    draw = torch.Generator().manual_seed(2)
    phones = round(seconds / SECONDS_PER_PHONE)

    def ids(below: int) -> torch.Tensor:
        return torch.randint(below, (batch, phones), generator=draw)

    model = settings.model
    features, style = None, None
    if model.text_feature_channels:
        features = 0.02 * torch.randn(batch, model.text_feature_channels, phones, generator=draw)
    if model.style_channels:
        style = torch.nn.functional.normalize(torch.randn(batch, model.style_channels, generator=draw))
    return encoders.TextBatch(
        phone_ids=ids(model.symbols),
        tone_ids=ids(6),
        language_ids=torch.zeros(batch, phones, dtype=torch.int64),
        phone_counts=torch.full((batch,), phones),
        speaker_ids=torch.zeros(batch, dtype=torch.int64),
        text_features=features,
        style=style,
    )


def plain_text(batch: encoders.TextBatch) -> plain.Text:
    """The same for the plain reading, which knows the full preset only."""
    assert batch.text_features is not None and batch.style is not None
    return plain.Text(
        batch.phone_ids, batch.tone_ids, batch.language_ids, batch.text_features, batch.style, batch.speaker_ids
    )


def infer(made: synthesiser.Synthesiser, said: encoders.TextBatch, seconds: float) -> tuple[torch.Tensor, float]:
    """Samples that last about so long, and the length that makes them do so: durations are those of random weights."""
    manner = synthesiser.Manner()
    frames = int(made.infer(said, [manner], [synthesiser.SeededNoise(3)]).durations_frames.sum())
    length = seconds / (frames * made.config.audio.frame_s)
    spoken = made.infer(said, [synthesiser.Manner(length=length)], [synthesiser.SeededNoise(3)])
    return spoken.waveform[0, 0], length


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One generator ready to speak in fp32, and the same in bf16, as a server keeps it."""

    exact: synthesiser.Synthesiser
    mixed: synthesiser.Synthesiser

    @classmethod
    def of(cls, made: synthesiser.Synthesiser) -> Pair:
        """The generator itself and a copy."""
        exact = made.requires_grad_(False)
        mixed = copy.deepcopy(exact)
        exact.settle()
        mixed.settle("BF16")
        return cls(exact=exact, mixed=mixed)

    def saying(self, said: encoders.TextBatch, length: float) -> Sayings:
        """How both say a text that is to last so long."""
        manner = synthesiser.Manner(length=length)

        def exact() -> torch.Tensor:
            return self.exact.infer(said, [manner], [synthesiser.SeededNoise(3)]).waveform[0, 0]

        def mixed() -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.mixed.infer(said, [manner], [synthesiser.SeededNoise(3)]).waveform[0, 0]

        return Sayings(fp32=exact, bf16=mixed)


@dataclass(frozen=True, kw_only=True)
class Sayings:
    """A text, said in fp32 and in bf16."""

    fp32: Callable[[], torch.Tensor]
    bf16: Callable[[], torch.Tensor]

    def distance(self) -> str:
        """How far bf16 is from fp32, over all samples."""
        exact, rounded = self.fp32(), self.bf16()
        noise_db = 10 * torch.log10((exact**2).sum() / ((exact - rounded) ** 2).sum()).item()
        return f"{noise_db:.0f} dB from fp32{_unless_fast()}"


@torch.no_grad()
def inference(rounds: int, lengths_s: tuple[float, ...] = (4.0, 20.0)) -> list[Figure]:
    """The full generator, plain and ours, and that of `small`, each in fp32 and in bf16, fast at it or not."""
    made = generator("zh-clap")
    weights = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    full, small = Pair.of(made), Pair.of(generator("small"))
    return [figure for seconds in lengths_s for figure in _speak(full, small, weights, seconds, rounds)]


def _speak(full: Pair, small: Pair, weights: plain.Weights, seconds: float, rounds: int) -> Iterator[Figure]:
    settings = full.exact.config
    said = text(settings, seconds)
    samples, length = infer(full.exact, said, seconds)
    manner, given = synthesiser.Manner(length=length), plain_text(said)

    def plainly() -> torch.Tensor:
        return plain.infer(weights, given, settings, manner, synthesiser.SeededNoise(3))

    ours = full.saying(said, length)
    assert torch.allclose(plainly(), ours.fp32(), atol=1e-5), "the plain reading and ours give different samples"
    audio_s = len(samples) / settings.audio.sample_rate_hz
    yield _speech(f"generator, {seconds:g} s, fp32", audio_s, *race(plainly, ours.fp32, rounds))
    yield _speech(f"generator, {seconds:g} s, bf16", audio_s, *race(plainly, ours.bf16, rounds), ours.distance())

    own_text = text(small.exact.config, seconds)
    own_samples, own_length = infer(small.exact, own_text, seconds)
    own = small.saying(own_text, own_length)
    longer = audio_s * small.exact.config.audio.sample_rate_hz / len(own_samples)
    for form, speak, note in (("fp32", own.fp32, ""), ("bf16", own.bf16, own.distance())):
        plain_s, own_s = race(plainly, speak, rounds)
        yield _speech(f"generator of small, {seconds:g} s, {form}", audio_s, plain_s, own_s * longer, note)


def _unless_fast() -> str:
    fast = device.fast_bfloat16(torch.device("cpu"))
    return "" if fast else "; this CPU only emulates bf16, the program would keep fp32"


def _speech(name: str, audio_s: float, plain_s: float, ours_s: float, note: str = "") -> Figure:
    factors = f"real-time factors {plain_s / audio_s:.3f} and {ours_s / audio_s:.3f}"
    return Figure(name=name, plain_s=plain_s, ours_s=ours_s, note=f"{factors}; {note}" if note else factors)


def search(rounds: int, phones: int = 190, frames: int = 1000, batch: int = 8) -> list[Figure]:
    """The alignment search alone."""
    draw = torch.Generator().manual_seed(4)
    scores = torch.randn(batch, frames, phones, generator=draw)
    counts = torch.full((batch,), phones), torch.full((batch,), frames)

    def plainly() -> list[np.ndarray]:
        return [plain_training.align(item.numpy()) for item in scores]

    def ours() -> torch.Tensor:
        return alignment.search(scores, *counts)

    assert np.array_equal(np.stack(plainly()), ours().numpy()), "the plain search and ours find different paths"
    note = f"{batch} items of {phones} phonemes and {frames} frames"
    plain_s, ours_s = race(plainly, ours, rounds)
    return [Figure(name="alignment search", plain_s=plain_s, ours_s=ours_s, note=note)]


def training(rounds: int, seconds: float = 5.0, batch: int = 2) -> list[Figure]:
    """A training step of the full preset, on clips of noise; a step of `small` beside the same plain one."""
    full = generator("zh-clap")
    judges = discriminators.Discriminators(discriminators.preset("zh-clap"))
    clips = _clips(full.config, seconds, batch)
    plainly = plain_training.Trainer(dict(full.state_dict()), dict(judges.state_dict()), full.config)
    given = plain_training.Clips(plain_text(clips.text), clips.samples)
    figures = []
    measured: list[tuple[str, Literal["FP32", "BF16"]]] = [("zh-clap", "FP32"), ("zh-clap", "BF16"), ("small", "FP32")]
    for preset, precision in measured:
        ours = full.config if preset == "zh-clap" else generator(preset).config
        own = clips if preset == "zh-clap" else _clips(ours, seconds, batch)
        plain_s, ours_s = race(lambda: plainly.step(given), _stepping(ours, own, precision), rounds)
        note = f"{batch} clips of {seconds:g} s{'' if precision == 'FP32' else _unless_fast()}"
        figures.append(Figure(name=f"training step, {preset}, {precision}", plain_s=plain_s, ours_s=ours_s, note=note))
    return figures


def _stepping(
    settings: config.VoiceConfig, clips: batches.Batch, precision: Literal["FP32", "BF16"]
) -> Callable[[], object]:
    """A function that trains one step more at each call, past the steps on which less is done."""
    order = orders.Training(precision=precision)
    at = state.fresh(settings, order, torch.device("cpu"))
    chosen = step.settings(order, settings, precision)
    at.step = chosen.judges_from + 1

    def ours() -> object:
        return step.run(at, clips, order.learning_rate, chosen)

    return ours


def _clips(settings: config.VoiceConfig, seconds: float, batch: int) -> batches.Batch:
    """Clips of noise, with random phonemes."""
    hop = settings.audio.hop_samples
    frames = int(seconds * settings.audio.sample_rate_hz) // hop
    samples = 0.1 * torch.randn(batch, 1, frames * hop, generator=torch.Generator().manual_seed(5))
    said = text(settings, seconds, batch)
    durations = None
    if settings.model.decoder == "vocos":  # it is told where its phonemes are
        phones = said.phone_ids.shape[1]
        ends = torch.arange(1, phones + 1) * frames // phones
        durations = torch.diff(ends, prepend=ends.new_zeros(1)).expand(batch, -1)
    recordings = synthesiser.Recordings(
        spectrogram=audio.linear_spectrogram(samples[:, 0], settings.audio),
        frame_counts=torch.full((batch,), frames),
        durations_frames=durations,
    )
    names = tuple(f"{index:064x}" for index in range(batch))
    part = ranks.Part(
        positions=tuple(range(batch)), items=batch, frames=batch * frames, phones=int(said.phone_counts.sum())
    )
    return batches.Batch(clips=names, part=part, text=said, recordings=recordings, samples=samples)


def front_end(rounds: int) -> list[Figure]:
    """Texts to phonemes; the short way neither knows sandhi nor polyphones nor English, nor where a character was."""
    sentences = [row.written for table in readings.topics() for row in readings.rows(table) if row.is_sentence]
    characters = sum(map(len, sentences))

    def plainly() -> object:
        return [plain_front_end.read(sentence) for sentence in sentences]

    def ours() -> object:
        return [frontend.analyse(sentence) for sentence in sentences]

    plain_s, ours_s = race(plainly, ours, rounds)
    per_s = f"{characters / plain_s:.0f} and {characters / ours_s:.0f} characters per second"
    note = f"{per_s}; the short way knows no sandhi, no context, no English"
    return [Figure(name=f"front end, {len(sentences)} sentences", plain_s=plain_s, ours_s=ours_s, note=note)]


PARTS: dict[str, Callable[[int], list[Figure]]] = {
    "inference": inference,
    "training": training,
    "search": search,
    "front-end": front_end,
}


def main() -> None:
    """Measure the parts that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: everything)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads to use (default: all cores)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{'':35} {'plain':>11} {'ours':>11} {'ratio':>9}   ({given.threads} threads, torch {torch.__version__})")
    figures = []
    for name in given.parts or PARTS:
        for figure in PARTS[name](given.rounds):
            print(figure.line(), flush=True)
            figures.append({**asdict(figure), "ratio": figure.ratio})
    OUT.mkdir(parents=True, exist_ok=True)
    facts = {"threads": given.threads, "torch": torch.__version__, "machine": platform.machine(), "figures": figures}
    (OUT / "speed.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
