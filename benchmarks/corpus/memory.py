"""The memory that preparing a recording takes, by its length: each run in a process of its own.

The long recordings are a short one over and over. Where nothing is asked of the recogniser, the words are the truth's.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import soundfile
import torch
from corpus import studio, truth, voices, workshop
from kelong_contract import codec, corpora
from kelong_contract import store as stores
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest, listen, slice, transcribe

MINUTE_S: Final = 60.0
REPEATED_MINUTES: Final = 10
NAME: Final = "long"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A run: a folder with the repeated recording, how long the whole is to be, and whether the recogniser hears it."""

    folder: Path
    minutes: int
    recogniser: str
    hears: bool
    threads: int


def peaks(asked: Asked) -> dict[str, float]:
    """The most MiB that a fresh process had needed by the end of each stage."""
    spawning = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, mp_context=spawning) as pool:
        return pool.submit(_run, asked).result()


def write_repeated(base: studio.Made, folder: Path, minutes: int) -> truth.Take:
    """A recording that repeats another until it is so long, as FLAC with its truth; memory holds one repetition."""
    folder.mkdir(parents=True, exist_ok=True)
    rate_hz, count = voices.RATE_HZ, round(minutes * MINUTE_S * voices.RATE_HZ)
    said: list[truth.Said] = []
    with soundfile.SoundFile(folder / f"{NAME}.flac", "w", rate_hz, 1, subtype="PCM_16") as file:
        while file.frames < count:
            start_s = file.frames / rate_hz
            said += [_moved(one, start_s) for one in base.take.said]
            file.write(base.samples[: count - file.frames])
    length_s = count / rate_hz
    whole = tuple(one for one in said if one.end_s < length_s)
    take = dataclasses.replace(base.take, name=NAME, duration_s=length_s, said=whole, planted=())
    (folder / f"{NAME}.truth.json").write_bytes(codec.dumps(take))
    return take


def _moved(said: truth.Said, start_s: float) -> truth.Said:
    return dataclasses.replace(
        said,
        characters=tuple(
            dataclasses.replace(one, start_s=one.start_s + start_s, end_s=one.end_s + start_s)
            for one in said.characters
        ),
    )


def _run(asked: Asked) -> dict[str, float]:
    torch.set_num_threads(asked.threads)
    take = codec.loads(truth.Take, (asked.folder / f"{NAME}.truth.json").read_bytes(), "the truth")
    session = f"memory{asked.minutes}"
    store = stores.FolderStore(asked.folder / "store")
    order = workshop.order(session, workshop.upload(store, session, asked.folder, (take,)), asked.recogniser)
    run = workshop.open_context(store, order, asked.folder / "work", asked.threads)
    listing = recordings.Source(run).listing()
    found: dict[str, float] = {"before": _peak_mib()}
    corpus = ingest.run(run, listing, {workshop.SPEAKER: 0})
    found["ingest"] = _peak_mib()
    steps: dict[str, Callable[[corpora.Corpus], corpora.Corpus]] = {
        "listen": lambda before: listen.run(run, before),
        "transcribe": lambda before: transcribe.run(run, before) if asked.hears else _told(before, take),
        "slice": lambda before: slice.run(run, before),
    }
    for name, step in steps.items():
        corpus = step(corpus)
        found[name] = _peak_mib()
    return found


def _told(corpus: corpora.Corpus, take: truth.Take) -> corpora.Corpus:
    """The corpus with the words that were really said."""
    words = tuple(
        corpora.Word(text=one.text, start_s=one.start_s, end_s=one.end_s, probability=1.0)
        for one in truth.characters(take)
    )
    (recording,) = corpus.recordings
    transcript = corpora.Transcript(key=recording.key, language="zh", words=words)
    return dataclasses.replace(corpus, stage="transcribe", transcripts=(transcript,))


def _peak_mib() -> float:
    """The most that was resident at once; the kernel's count for a process's usage begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
