"""A voice whose corpus is ready, and the trainer as a process: what the tests of training start from."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers
from kelong_contract import codec, corpora, layout, manifests, names, orders, patience, store
from kelong_speech import audio, config
from kelong_speech.text import frontend, utterance
from kelong_trainer import __main__ as door
from kelong_trainer import lease, telemetry
from kelong_trainer.context import RunContext
from kelong_trainer.stages import align
from kelong_trainer.training import batches, publish, state, step

RATE_HZ = config.AudioConfig().sample_rate_hz
SENTENCES = ("你好，世界。", "今天天气很好。", "我们下期再见。", "欢迎收听节目。")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A store with one voice in it, and a trainer to run on it."""

    store: store.FolderStore
    folder: pathlib.Path
    voice: orders.VoiceName
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def place(self) -> layout.Voice:
        return self.voice.place()

    def order(self, *, seed: int = 7, **training: object) -> orders.TrainingOrder:
        settings: dict[str, Any] = {"max_steps": 4, "interval_steps": 2, "batch_frames": 400, "seed": seed, **training}
        return orders.TrainingOrder(
            voice=self.voice,
            speakers=(orders.Speaker(name="Mei"),),
            dataset=orders.Dataset(type="S3", prefix="recordings/default/mei/"),
            model=orders.Model(preset="tiny"),
            training=orders.Training(**settings),
            auditions=(orders.AuditionText(name="hello", text="你好。"),),
        )

    def start(
        self, order: orders.TrainingOrder | str, *, threads: int = 1, metrics_port: int = 0
    ) -> subprocess.Popen[str]:
        """The trainer as a process of its own, with its standard error to read."""
        file = self.folder / "order.json"
        file.write_bytes(order.encode() if isinstance(order, str) else codec.dumps(order))
        environment = os.environ | {
            names.ENV_STORE_URL: self.store.root.as_uri(),
            names.ENV_WORK_DIR: str(self.folder / "work"),
            names.ENV_THREADS: str(threads),
            names.ENV_METRICS_PORT: str(metrics_port),
        }
        command = [sys.executable, "-m", "kelong_trainer", "--order", str(file)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def run(self, order: orders.TrainingOrder | str, *, threads: int = 1) -> tuple[int, str]:
        """Run the trainer to its end: exit code and standard error."""
        process = self.start(order, threads=threads)
        _, errors = process.communicate(timeout=300)
        return process.returncode, errors

    def lease(self, holder: str, at: store.Store | None = None) -> lease.Lease:
        return lease.take(patience.PatientStore(at or self.store, threading.Event()), self.place, holder)

    def context(self, attempt: int = 1) -> RunContext:
        """A trainer process without its front door."""
        order = self.order()
        begun = manifests.Progress(
            attempt=attempt, order_digest="0", updated_at="", stage="train", device="cpu", step=0, max_steps=4
        )
        return RunContext(
            order=order,
            order_digest=codec.digest(order),
            attempt=attempt,
            store=self.store,
            work_dir=self.folder / "work",
            environment=None,  # type: ignore[arg-type]
            threads=1,
            device=torch.device("cpu"),
            telemetry=telemetry.Telemetry(store=self.store, place=self.place, progress=begun),
            stopping=threading.Event(),
        )

    def publisher(
        self, taken: lease.Lease, step: int = 2, **widths: int
    ) -> tuple[publish.Publisher, publish.Save, list[int]]:
        """A publisher, an untrained state to save as a step, and where the steps that it commits are listed."""
        context = self.context(taken.attempt)
        voice = config.preset("tiny", speakers=(config.Speaker(name="Mei", id=0),), **widths)
        fresh = state.fresh(voice, context.order.training, context.device)
        fresh.step = step
        facts = state.Facts(
            step=step,
            epoch=0,
            batch=2,
            batch_frames=400,
            seed=7,
            learning_rate=2e-4,
            started_at="",
            threads=1,
            device="cpu",
            cpu="any",
            torch_version="any",
        )
        committed: list[int] = []
        made = publish.Publisher(context, taken, voice, "0", before=lambda: None, committed=committed.append)
        return made, publish.Save(snapshot=state.snapshot(fresh), facts=facts, listed=True), committed

    def losses(self, attempt: int) -> list[manifests.LossLine]:
        lines = self.store.get(layout.losses(self.place, attempt)).splitlines()
        return [codec.decode(manifests.LossLine, json.loads(line), "the loss log") for line in lines]

    def progress(self) -> manifests.Progress:
        return codec.loads(manifests.Progress, self.store.get(layout.progress(self.place)), "progress")

    def manifest(self, step: int) -> manifests.CheckpointManifest:
        key = layout.checkpoint_manifest(self.place, step)
        return codec.loads(manifests.CheckpointManifest, self.store.get(key), key)

    def corpus(self) -> corpora.Corpus:
        key = layout.corpus(self.place)
        return codec.loads(corpora.Corpus, self.store.get(key), key)

    def aligned(self) -> corpora.Corpus:
        """The frozen corpus, told how long phonemes last as the preset small needs it."""
        context = self.context()
        small = dataclasses.replace(context.order, model=orders.Model(preset="small"))
        return align.run(dataclasses.replace(context, order=small), self.corpus())

    def steps(self) -> list[int]:
        keys = [item.key for item in self.store.list(layout.checkpoints(self.place))]
        found = (layout.checkpoint_step(self.place, key) for key in keys)
        return sorted(step for step in found if step is not None)

    def freeze(self, sounds: Sequence[tuple[str, np.ndarray]]) -> corpora.Corpus:
        """Put clips with their texts into the store as the frozen corpus."""
        clips: list[corpora.Clip] = []
        for text, samples in sounds:  # one after the other in one recording
            start_s = clips[-1].end_s if clips else 0.0
            clip = self._clip(text, samples)
            clips.append(dataclasses.replace(clip, start_s=start_s, end_s=start_s + clip.duration_s))
        recording = corpora.Recording(
            key="mei/a.wav", speaker="Mei", size_bytes=1, sha256="", duration_s=clips[-1].end_s if clips else 0.0
        )
        corpus = corpora.Corpus(stage="features", speakers={"Mei": 0}, recordings=(recording,), clips=tuple(clips))
        self.store.put(layout.corpus(self.place), codec.dumps(corpus))
        return corpus

    def _clip(self, text: str, samples: np.ndarray) -> corpora.Clip:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE_HZ, format="FLAC", subtype="PCM_16")
        digest = store.digest_bytes(file.getvalue())
        self.store.put(layout.clip(self.place, digest), file.getvalue())
        said = frontend.analyse(text)
        return corpora.Clip(
            sha256=digest,
            recording="mei/a.wav",
            speaker="Mei",
            start_s=0.0,
            end_s=len(samples) / RATE_HZ,
            samples=len(samples),
            text=text,
            confidence=1.0,
            spoken=said.spoken,
            phones=said.phones,
            tones=said.tones,
            word2ph=said.word2ph,
        )


def tone(seconds: float, pitch_hz: float, seed: int) -> np.ndarray:
    """A sound with harmonics and a little noise, whose loudness rises and falls like syllables."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * pitch_hz * part * time_s) / part for part in range(1, 9))
    loudness = 0.1 + 0.05 * np.sin(2 * np.pi * 4 * time_s)
    noise = np.random.default_rng(seed).standard_normal(len(time_s))
    return (loudness * voice + 0.002 * noise).astype(np.float32)


@pytest.fixture
def new_bench(tmp_path: pathlib.Path) -> Iterator[Callable[[str], Bench]]:
    """Benches by name: the same voice in stores of their own."""
    made: list[Bench] = []

    def make(name: str) -> Bench:
        folder = tmp_path / name
        folder.mkdir()
        voice = orders.VoiceName(namespace="default", name="mei", uid="1")
        bench = Bench(store=store.FolderStore(folder / "store"), folder=folder, voice=voice)
        bench.freeze([(text, tone(1.2 + 0.3 * index, 180 + 30 * index, index)) for index, text in enumerate(SENTENCES)])
        made.append(bench)
        return bench

    yield make
    for process in (process for bench in made for process in bench.processes):
        process.kill()  # only what a failed test left behind still runs
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def bench(new_bench: Callable[[str], Bench]) -> Bench:
    return new_bench("bench")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Callable[[Bench], None]:
    """Make the environment of this process that of a trainer on a bench, `bench` until another is named."""

    def at(chosen: Bench) -> None:
        monkeypatch.setenv(names.ENV_STORE_URL, chosen.store.root.as_uri())
        monkeypatch.setenv(names.ENV_WORK_DIR, str(chosen.folder / "work"))
        monkeypatch.setenv(names.ENV_THREADS, "1")
        monkeypatch.setenv(names.ENV_METRICS_PORT, "0")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")

    at(bench)
    return at


@pytest.fixture
def run_here(here: Callable[[Bench], None], bench: Bench) -> Iterator[Callable[[str], int]]:
    """The front door in this process; what it sets is put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(order: str) -> int:
        file = bench.folder / "order.json"
        file.write_text(order)
        return door.main(["--order", str(file)])

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A small voice of every kind of part, clips made of noise, and steps to take with them."""

    preset: str = "tiny"
    text_feature_channels: int | None = 6
    style_channels: int | None = 8

    def config(self) -> config.VoiceConfig:
        """A voice whose step takes a fraction of a second, without dropout, so that steps can be compared."""
        usual = torch.nn.functional.normalize(torch.arange(1.0, 9.0), dim=0)[: self.style_channels or 0]
        style = tuple(usual.tolist()) if self.style_channels else None
        voice = config.preset(
            self.preset,
            speakers=(config.Speaker(name="Mei", id=0, style=style), config.Speaker(name="Lei", id=1, style=style)),
            text_feature_channels=self.text_feature_channels,
            style_channels=self.style_channels,
        )
        sizes = {"hidden_channels": 16, "filter_channels": 32, "latent_channels": 8, "speaker_channels": 8}
        sizes |= {"text_layers": 1, "posterior_layers": 2, "duration_channels": 16, "decoder_channels": 16}
        model = dataclasses.replace(voice.model, segment_frames=8, dropout=0.0, duration_dropout=0.0, **sizes)
        return dataclasses.replace(voice, model=model)

    def example(self, name: str, phones: int, frames: int) -> batches.Example:
        """A clip of noise, the same for the same name."""
        source = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        audio_config = self.config().audio
        samples = 0.1 * torch.randn(frames * audio_config.hop_samples, generator=source)
        wide = (self.text_feature_channels, self.style_channels)
        features = None if wide[0] is None else torch.randn(wide[0], phones, generator=source)
        style = None if wide[1] is None else torch.randn(wide[1], generator=source)
        return batches.Example(
            clip=name,
            ids=utterance.Ids(
                phone_ids=tuple(torch.randint(1, 110, (phones,), generator=source).tolist()),
                tone_ids=tuple(torch.randint(0, 6, (phones,), generator=source).tolist()),
                language_ids=(0,) * phones,
                word2ph=(phones,),
            ),
            speaker_id=len(name) % 2,
            samples=samples,
            spectrogram=audio.linear_spectrogram(samples.unsqueeze(0), audio_config)[0],
            text_features=features,
            style=None if style is None else torch.nn.functional.normalize(style, dim=0),
            durations=_shared(frames, phones) if config.is_told_durations(self.preset) else None,
        )

    def batch(self, *clips: tuple[str, int, int]) -> batches.Batch:
        """Clips by name, phonemes and frames; without any, two of different lengths."""
        clips = clips or (("a", 7, 24), ("bb", 11, 36))
        return batches.collate([self.example(*clip) for clip in clips], self.config().audio.hop_samples)

    def state(self, **training: Any) -> state.TrainingState:
        """An untrained state, shaken so that no layer that begins at zero hides what lies before it."""
        wavlm_channels = training.pop("wavlm_channels", None)
        made = state.fresh(
            self.config(), orders.Training(seed=3, **training), torch.device("cpu"), wavlm_channels=wavlm_channels
        )
        with torch.no_grad():
            for parameter in made.generator.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        if made.average is not None:
            made.average.begin(made.generator)
        return made

    def settings(self, **training: Any) -> step.StepSettings:
        """What an order means for a step, without leaving anything out unless told so."""
        ears = training.pop("ears", None)
        order = orders.Training(**{"seed": 3, "text_feature_dropout": 0.0, "style_dropout": 0.0, **training})
        return step.settings(order, self.config(), "FP32", ears)


def _shared(frames: int, phones: int) -> torch.Tensor:
    """Frames for each phoneme, about equally many."""
    return torch.full((phones,), frames // phones) + (torch.arange(phones) < frames % phones)


def make_wavlm(folder: pathlib.Path, *, width: int = 24, layers: int = 2) -> pathlib.Path:
    """A small WavLM that knows nothing, the same each time, as a model source has it."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 2 * width, "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16}
    sizes |= {"num_conv_pos_embedding_groups": 4, "num_buckets": 32, "max_bucket_distance": 80}
    transformers.WavLMModel(transformers.WavLMConfig(**sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def wavlm_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_wavlm(tmp_path_factory.mktemp("wavlm"))


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Workshop()
    torch.set_num_threads(threads)


@pytest.fixture
def plain_workshop(workshop: Workshop) -> Workshop:
    """One without codebooks, which learn from a whole batch at once: an item's losses are its own."""
    return dataclasses.replace(workshop, style_channels=None)
