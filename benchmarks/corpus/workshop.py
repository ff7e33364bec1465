"""Takes recordings through the stages of preprocessing as a pod would, with each stage on the clock.

The stages are those of the trainer's pipeline, in its order, with a store in a folder; what a stage gave is kept here
by its name, so that a question may be asked of any of them.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import torch
from corpus import truth
from kelong_contract import codec, corpora, environment, layout, manifests, orders
from kelong_contract import store as stores
from kelong_trainer import context, pipeline, telemetry
from kelong_trainer.corpus.sources import catalogue, recordings

NAMESPACE, SPEAKER = "bench", "Speaker"
INGEST, CORRECT = "ingest", "correct"
# What comes after these is the text front end's and the model's business.
LAST_STAGE: Final = "mark"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a stage took."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The corpus after each stage that was run, and what each took, for so many seconds of recordings."""

    after: Mapping[str, corpora.Corpus]
    costs: Mapping[str, Cost]
    audio_s: float

    @property
    def corpus(self) -> corpora.Corpus:
        """After the last stage."""
        return list(self.after.values())[-1]


def upload(at: stores.Store, session: str, folder: Path, takes: tuple[truth.Take, ...]) -> orders.Dataset:
    """The recordings of a folder where an order finds them; transcripts that came with them as a manifest."""
    prefix = layout.recordings(NAMESPACE, session)
    for take in takes:
        name = f"{take.name}.flac"
        at.put_file(prefix + name, folder / name)
    if not any(take.supplied for take in takes):
        return orders.Dataset(type="S3", prefix=prefix)
    lines = [f"{take.name}.flac|{SPEAKER}|ZH|{take.supplied}" for take in takes]
    at.put(f"{prefix}esd.list", ("\n".join(lines) + "\n").encode(), "text/plain")
    return orders.Dataset(type="S3", prefix=prefix, format="EsdList", manifest="esd.list")


def order(session: str, dataset: orders.Dataset, recogniser: str | None) -> orders.TrainingOrder:
    """What the trainer is asked to do: everything as it is by default."""
    return orders.TrainingOrder(
        voice=orders.VoiceName(namespace=NAMESPACE, name=session, uid="1"),
        speakers=(orders.Speaker(name=SPEAKER),),
        dataset=dataset,
        model=orders.Model(preset="tiny", sources=orders.Sources(recogniser=recogniser, speaker_embedding="bundled")),
    )


def open_context(at: stores.Store, asked: orders.TrainingOrder, work_dir: Path, threads: int) -> context.RunContext:
    """A trainer process without its front door."""
    progress = manifests.Progress(
        attempt=1, order_digest="", updated_at="", stage="", device="cpu", step=0, max_steps=asked.training.max_steps
    )
    return context.RunContext(
        order=asked,
        order_digest=codec.digest(asked),
        attempt=1,
        store=at,
        environment=environment.read({"KELONG_STORE_URL": "file:///nowhere"}),
        work_dir=work_dir,
        threads=threads,
        device=torch.device("cpu"),
        telemetry=telemetry.Telemetry(store=at, place=asked.voice.place(), progress=progress),
        stopping=threading.Event(),
    )


def prepare(run: context.RunContext, until: str = LAST_STAGE) -> Prepared:
    """Run the stages one after the other, up to and with `until`."""
    listing = recordings.Source(run).listing()
    after: dict[str, corpora.Corpus] = {}
    costs: dict[str, Cost] = {}
    for name in _names(until):
        stage = importlib.import_module(f"kelong_trainer.stages.{name}")
        began_s, cpu_s = time.perf_counter(), _cpu_s()
        after[name] = _stage(stage, run, listing, list(after.values()))
        costs[name] = Cost(wall_s=time.perf_counter() - began_s, cpu_s=_cpu_s() - cpu_s)
    return Prepared(after=after, costs=costs, audio_s=sum(item.duration_s for item in after[INGEST].recordings))


def _names(until: str) -> list[str]:
    """The stages without the one that applies what a person says: nobody says anything here."""
    known = [name for name in pipeline.STAGES if name != CORRECT]
    return known[: known.index(until) + 1]


def _stage(
    stage: ModuleType, run: context.RunContext, listing: catalogue.Listing, before: list[corpora.Corpus]
) -> corpora.Corpus:
    if before:
        found: corpora.Corpus = stage.run(run, before[-1])
        return found
    first: corpora.Corpus = stage.run(run, listing, {SPEAKER: 0})
    return first


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
