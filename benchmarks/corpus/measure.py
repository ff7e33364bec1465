"""Measures how well recordings become a corpus, part by part; prints a table and leaves a JSON document.

Each part makes its recordings, takes them through the stages, and holds the corpus against the truth.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
import torch
from corpus import label_scores, mark_scores, memory, scores, sessions, truth, usual_slicer, voices, workshop
from kelong_contract import corpora, orders
from kelong_contract import store as stores
from kelong_demo import assets, whisper
from kelong_trainer.corpus.clips import cutting
from kelong_trainer.corpus.sound import decoding, noise

OUT: Final = Path("build") / "bench"
BOUNDS: Final = orders.Slicing()
HEARD_ONLY: Final = "listen"
# Minutes, and whether the recogniser hears them.
LENGTHENED: Final = ((10, False), (180, False), (10, True), (30, True))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure: what was asked for where something is, what was found."""

    part: str
    name: str
    value: float | str
    wanted: str = ""

    def shown(self) -> str:
        """For the terminal."""
        value = f"{self.value:.4g}" if isinstance(self.value, float) else self.value
        return f"{self.part:12} {self.name:58} {value:>10}  {self.wanted}".rstrip()


@dataclass(kw_only=True)
class Bench:
    """What all parts need, and where each leaves its costs: seconds of sound, wall and CPU seconds by stage."""

    voice: voices.Voice
    recogniser: str
    folder: Path
    threads: int
    costs: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    def prepare(self, session: str, until: str = workshop.LAST_STAGE) -> tuple[tuple[truth.Take, ...], corpora.Corpus]:
        """A session's recordings made and taken through the stages afresh; the work folder is emptied afterwards."""
        at = self.folder / session
        shutil.rmtree(at, ignore_errors=True)
        takes = sessions.make(session, self.voice, at / "recordings")
        store = stores.FolderStore(at / "store")
        asked = workshop.order(session, workshop.upload(store, session, at / "recordings", takes), self.recogniser)
        prepared = workshop.prepare(workshop.open_context(store, asked, at / "work", self.threads), until)
        for stage, cost in prepared.costs.items():
            self.costs.setdefault(stage, []).append((prepared.audio_s, cost.wall_s, cost.cpu_s))
        shutil.rmtree(at / "work", ignore_errors=True)
        return takes, prepared.corpus


def table(bench: Bench) -> Iterator[Line]:
    """The four cases of voice.md, with speech, beside the usual slicer."""
    takes, corpus = bench.prepare("table")
    for take in takes:
        mine = scores.lengths([take], corpus, BOUNDS)
        usual = _usual(bench.folder / "table" / "recordings" / f"{take.name}.flac")
        yield Line(part="table", name=f"{take.name}: usual slicer, clips", value=len(usual))
        yield Line(
            part="table", name=f"{take.name}: usual slicer, longest s", value=max(one.duration_s for one in usual)
        )
        yield Line(part="table", name=f"{take.name}: clips", value=mine.clips)
        yield Line(part="table", name=f"{take.name}: longest s", value=mine.longest_s, wanted="at most 30")
    yield from _cut_lines("table", takes, corpus)


def bursts(bench: Bench) -> Iterator[Line]:
    """The same cases with noise in the place of speech: the slicer alone, told where the noise is."""
    for made in sessions.bursts(bench.voice):
        usual = usual_slicer.cut(made.samples, voices.RATE_HZ)
        ours = [piece for piece in _plan(made.samples, made.take).pieces if piece.kind == "clip"]
        lengths_s = [(piece.end - piece.start) / decoding.SAMPLE_RATE_HZ for piece in ours]
        aimed = sum(BOUNDS.aim_min_s <= length_s <= BOUNDS.aim_max_s for length_s in lengths_s)
        name = made.take.name
        yield from _usual_lines("bursts", name, usual)
        yield Line(part="bursts", name=f"{name}: clips", value=len(ours))
        yield Line(part="bursts", name=f"{name}: of them 10 to 15 s", value=aimed)
        yield Line(part="bursts", name=f"{name}: longest s", value=max(lengths_s), wanted="at most 30")


def clean(bench: Bench) -> Iterator[Line]:
    """Talk with pauses of every length, in three rooms: cuts, what is kept, labels."""
    for level in sessions.CLEAN_NOISE_DBFS:
        part = f"clean{-level:.0f}"
        takes, corpus = bench.prepare(part)
        yield from _cut_lines(part, takes, corpus)
        yield from _kept_lines(part, takes, corpus, wanted="at least 0.98" if level == -60.0 else "")
        yield from _label_lines(part, takes, corpus)
        yield from _mark_lines(part, takes, corpus)


def breathing(bench: Bench) -> Iterator[Line]:
    """A breath or something that is none in every pause, in three rooms."""
    for level in sessions.CLEAN_NOISE_DBFS:
        part = f"breathing{-level:.0f}"
        takes, corpus = bench.prepare(part, HEARD_ONLY)
        heard = {take.name: scores.of_take(corpus, take).listenings[0].breaths for take in takes}
        found = scores.breaths(takes, heard)
        wanted = "at least 0.9" if level == -60.0 else ""
        yield Line(part=part, name="breaths before speech", value=found.planted)
        yield Line(part=part, name="breaths: recall", value=found.recall, wanted=wanted)
        yield Line(part=part, name="breaths: precision", value=found.precision, wanted=wanted)
        stray = f"{found.stray_found} of {found.stray}"
        yield Line(part=part, name="breaths found that no speech follows within 0.5 s", value=stray)
        for kind, count in sorted(found.non_breaths.items()):
            taken = found.false_alarms.get(kind, 0)
            yield Line(part=part, name=f"false alarms: {kind}", value=f"{taken} of {count}")
        for kind in sorted(set(found.false_alarms) - set(found.non_breaths)):
            yield Line(part=part, name=f"false alarms: {kind}", value=found.false_alarms[kind])


def interviews(bench: Bench) -> Iterator[Line]:
    """Somebody else speaks too."""
    takes, corpus = bench.prepare("interviews")
    found = scores.voices(takes, corpus)
    yield Line(part="interviews", name="other speaker, s", value=found.other_s)
    yield Line(part="interviews", name="other speaker: recall", value=found.recall, wanted="at least 0.95")
    yield Line(part="interviews", name="other speaker: precision", value=found.precision, wanted="at least 0.95")
    yield Line(part="interviews", name="other speaker's s left in clips", value=found.other_kept_s)
    yield from _kept_lines("interviews", takes, corpus)


def supplied(bench: Bench) -> Iterator[Line]:
    """Clips with transcripts, some of them wrong."""
    takes, corpus = bench.prepare("supplied")
    clips = label_scores.judged(takes, corpus)
    wrong = {take.name for take in takes if take.supplied != take.text}
    trusts = [clip.trust for clip in clips]
    planted = [float(scores.name_of(clip.key) in wrong) for clip in clips]
    unread = sum(clip.rejected for clip, value in zip(clips, planted, strict=True) if value)
    caught = scores.caught(trusts, planted, label_scores.REVIEW_SHARE)
    yield Line(part="supplied", name="transcripts, and wrong ones among them", value=f"{len(takes)}, {len(wrong)}")
    yield Line(part="supplied", name="wrong ones that were rejected", value=f"{unread} of {len(wrong)}")
    yield Line(part="supplied", name="share of wrong ones in the least trusted 5 %", value=caught)
    yield from _kept_lines("supplied", takes, corpus)
    yield from _label_lines("supplied", takes, corpus)


def spoiled(bench: Bench) -> Iterator[Line]:
    """Hum, clipping, music and silence."""
    takes, corpus = bench.prepare("spoiled")
    for take in takes:
        mine = scores.of_take(corpus, take)
        clipped = {clip.grade: 0.0 for clip in mine.clips}
        for clip in mine.clips:
            clipped[clip.grade] += clip.duration_s
        yield Line(part="spoiled", name=f"{take.name}: s", value=take.duration_s)
        for grade, seconds in sorted(clipped.items(), key=str):
            yield Line(part="spoiled", name=f"{take.name}: s of grade {grade}", value=seconds)
        for reason in sorted({item.reason for item in mine.rejections}):
            seconds = sum(item.duration_s for item in mine.rejections if item.reason == reason)
            yield Line(part="spoiled", name=f"{take.name}: s {reason}", value=seconds)
    yield Line(part="spoiled", name="s unaccounted for", value=scores.unaccounted_s(corpus), wanted="0")


def lengthening(bench: Bench) -> Iterator[Line]:
    """Memory by the length of a recording: without the recogniser to three hours, with it to half an hour."""
    base = sessions.repeated(bench.voice, memory.REPEATED_MINUTES * memory.MINUTE_S)
    for minutes, hears in LENGTHENED:
        folder = bench.folder / f"memory{minutes}"
        shutil.rmtree(folder, ignore_errors=True)
        memory.write_repeated(base, folder, minutes)
        asked = memory.Asked(
            folder=folder, minutes=minutes, recogniser=bench.recogniser, hears=hears, threads=bench.threads
        )
        how = "with the recogniser" if hears else "words given"
        for stage, peak_mib in memory.peaks(asked).items():
            yield Line(part="memory", name=f"{minutes} min, {how}: most MiB until the end of {stage}", value=peak_mib)
        shutil.rmtree(folder)


PARTS: Final[dict[str, Callable[[Bench], Iterator[Line]]]] = {
    "table": table,
    "bursts": bursts,
    "clean": clean,
    "breathing": breathing,
    "interviews": interviews,
    "supplied": supplied,
    "spoiled": spoiled,
    "memory": lengthening,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS), nargs="+", help="these parts; all without it")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path, help="a folder in which recordings and stores stay, to look into them")
    parser.add_argument("--out", type=Path, default=OUT / "corpus.json")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="corpus-bench-") as made:
        bench = Bench(
            voice=voices.Voice.load(assets.cache_folder()),
            recogniser=f"path:{whisper.assemble(assets.cache_folder() / 'whisper-base')}",
            folder=given.keep or Path(made),
            threads=given.threads,
        )
        lines: list[Line] = []
        for part in given.only or PARTS:
            for line in PARTS[part](bench):
                print(line.shown(), flush=True)
                lines.append(line)
        for line in _cost_lines(bench):
            print(line.shown())
            lines.append(line)
    write(given.out, lines, given.threads)


def write(path: Path, lines: Iterable[Line], threads: int) -> None:
    """All figures as JSON, beside those of parts that were measured at another time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = [asdict(line) for line in lines]
    parts = {line["part"] for line in new}
    before: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["lines"] if path.exists() else []
    document = {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": threads},
        "lines": [*(line for line in before if line["part"] not in parts), *new],
    }
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _cut_lines(part: str, takes: tuple[truth.Take, ...], corpus: corpora.Corpus) -> Iterator[Line]:
    lengths, cut = scores.lengths(takes, corpus, BOUNDS), scores.cuts(takes, corpus)
    share = lengths.possible_in_aim / lengths.possible if lengths.possible else 0.0
    yield Line(part=part, name="clips", value=lengths.clips)
    yield Line(part=part, name="share of 10 to 15 s where pauses allow it", value=share, wanted="at least 0.9")
    yield Line(part=part, name="clips shorter than 2 or longer than 30 s", value=lengths.outside, wanted="0")
    yield Line(part=part, name="cuts", value=cut.cuts)
    yield Line(part=part, name="words cut", value=cut.words_cut, wanted="0")
    yield Line(part=part, name="breaths cut", value=cut.breaths_cut, wanted="0")
    yield Line(part=part, name="breaths that are whole in a clip", value=f"{cut.whole} of {cut.breaths}")
    yield Line(part=part, name="breaths that begin a clip, that end one", value=f"{cut.leading}, {cut.trailing}")
    yield Line(part=part, name="s unaccounted for", value=scores.unaccounted_s(corpus), wanted="0")


def _usual_lines(part: str, name: str, clips: tuple[truth.Span, ...]) -> Iterator[Line]:
    yield Line(part=part, name=f"{name}: usual slicer, clips", value=len(clips))
    yield Line(part=part, name=f"{name}: usual slicer, longest s", value=max(clip.duration_s for clip in clips))


def _kept_lines(part: str, takes: tuple[truth.Take, ...], corpus: corpora.Corpus, wanted: str = "") -> Iterator[Line]:
    kept = scores.kept(takes, corpus)
    yield Line(part=part, name="own seconds kept of own seconds spoken", value=kept.share, wanted=wanted)
    for reason, seconds in sorted(kept.lost_s.items()):
        yield Line(part=part, name=f"own s lost: {reason}", value=seconds)


def _label_lines(part: str, takes: tuple[truth.Take, ...], corpus: corpora.Corpus) -> Iterator[Line]:
    found = label_scores.labels(label_scores.judged(takes, corpus))
    yield Line(part=part, name="labels: characters wrong", value=found.cer)
    yield Line(part=part, name="labels: syllables wrong, tones aside", value=found.syllable_error_rate)
    yield Line(part=part, name="labels: share of errors in the least trusted 5 %", value=found.caught)
    yield Line(part=part, name="labels: the same in the best possible order", value=found.best_caught)


def _mark_lines(part: str, takes: tuple[truth.Take, ...], corpus: corpora.Corpus) -> Iterator[Line]:
    found = mark_scores.marks(takes, corpus)
    yield Line(part=part, name="pauses of 60 ms and more: marked", value=f"{found.pauses_found} of {found.pauses}")
    yield Line(part=part, name="of them with the right length", value=f"{found.pauses_alike} of {found.pauses_found}")
    yield Line(part=part, name="breaths in clips: marked", value=f"{found.breaths_found} of {found.breaths}")
    wrong = f"{found.breath_marks_wrong} of {found.breath_marks}"
    yield Line(part=part, name="breath marks where no breath is", value=wrong)


def _cost_lines(bench: Bench) -> Iterator[Line]:
    for stage, runs in bench.costs.items():
        audio_s, wall_s, cpu_s = (sum(run[index] for run in runs) for index in range(3))
        yield Line(part="throughput", name=f"{stage}: s of sound a second", value=audio_s / wall_s)
        yield Line(part="throughput", name=f"{stage}: s of sound a CPU second", value=audio_s / max(cpu_s, 1e-3))


def _usual(path: Path) -> tuple[truth.Span, ...]:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return usual_slicer.cut(samples, rate_hz)


def _plan(samples: voices.Samples, take: truth.Take) -> cutting.Plan:
    """What our slicer makes of a recording in which every stretch that is known is taken for speech."""
    at_rate = soxr.resample(samples, voices.RATE_HZ, decoding.SAMPLE_RATE_HZ).astype(np.float32)
    listening = corpora.Listening(
        key=take.name,
        noise_floor_dbfs=take.noise_dbfs,
        speech=tuple(corpora.Stretch(start_s=one.start_s, end_s=one.end_s) for one in truth.stretches(take)),
        breaths=tuple(
            corpora.Breath(start_s=one.start_s, end_s=one.end_s, level_db=20.0, confidence=1.0)
            for one in truth.planted(take, "breath")
        ),
    )
    words = tuple(
        corpora.Word(text=one.text, start_s=one.start_s, end_s=one.end_s, probability=1.0)
        for one in truth.characters(take)
    )
    levels = noise.levels(at_rate, decoding.SAMPLE_RATE_HZ)
    heard = cutting.Heard(levels=levels, samples=len(at_rate), listening=listening, words=words)
    return cutting.plan(heard, BOUNDS)
