"""Measures the judges of checkpoints: what each says of speech that is known to be good or bad, and what that costs.

`python benchmarks/judging.py` lets the stand-in speaker say ten sentences, spoils them in several ways, and prints the
figures, CPU seconds and memory; they go as JSON below build/bench/. Everything runs on one thread, as beside training.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from kelong_contract import manifests
from kelong_demo import assets, speaker, whisper
from kelong_speech import audio
from kelong_speech.text import frontend
from kelong_trainer.corpus.listening import speakers
from kelong_trainer.corpus.sound import quality
from kelong_trainer.corpus.words import recogniser
from kelong_trainer.scoring import judges

ROOT: Final = Path(__file__).resolve().parent.parent
COMPARED: Final = 8  # recordings of the speaker, as many as are held out from training
SENTENCES: Final = (Path(__file__).parent / "learning" / "heldout.txt").read_text(encoding="utf-8").split()

Change = Callable[[audio.Speech], audio.Speech]


def noisy(decibels: float) -> Change:
    """White noise so far below the speech."""

    def change(speech: audio.Speech) -> audio.Speech:
        noise = np.random.default_rng(1).standard_normal(len(speech.samples)).astype(np.float32)
        level = np.sqrt(np.mean(speech.samples**2)) * 10 ** (-decibels / 20)
        return audio.Speech(samples=speech.samples + level * noise, sample_rate_hz=speech.sample_rate_hz)

    return change


def higher(speech: audio.Speech) -> audio.Speech:
    """A fourth higher, and faster by as much: another speaker, as it were."""
    changed = audio.resample(speech, speech.sample_rate_hz * 3 // 4)
    return audio.Speech(samples=changed.samples, sample_rate_hz=speech.sample_rate_hz)


def louder(speech: audio.Speech) -> audio.Speech:
    """Ten times louder, and clipped."""
    return audio.Speech(samples=np.clip(10 * speech.samples, -1, 1), sample_rate_hz=speech.sample_rate_hz)


def silent(speech: audio.Speech) -> audio.Speech:
    """Nothing at all."""
    return audio.Speech(samples=np.zeros_like(speech.samples), sample_rate_hz=speech.sample_rate_hz)


KINDS: Final[dict[str, Change]] = {
    "as spoken": lambda speech: speech,
    "noise at 20 dB": noisy(20),
    "noise at 5 dB": noisy(5),
    "a fourth higher": higher,
    "clipped": louder,
    "noise alone": noisy(-60),
    "silence": silent,
}


class Costs:
    """CPU seconds by what they went to."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count what the block takes."""
        before = time.process_time()
        yield
        self.seconds.setdefault(name, []).append(time.process_time() - before)


def figures_of(
    speech: audio.Speech, text: str, panel: tuple[recogniser.Recogniser, judges.Likeness, quality.Dnsmos], costs: Costs
) -> manifests.Figures:
    """What all judges say, each on the clock."""
    hearing, likeness, mos = panel
    with costs.of("recogniser"):
        heard = hearing.sentence(audio.resample(speech, recogniser.SAMPLE_RATE_HZ).samples)
    with costs.of("front end"):
        cer, pinyin_cer = judges.error_rates(text, heard, frontend.analyse)
    with costs.of("speaker similarity"):
        similarity = likeness.similarity(speech, "Standin")
    with costs.of("DNSMOS"):
        dnsmos = mos.overall(speech)
    return manifests.Figures(
        cer=cer,
        pinyin_cer=pinyin_cer,
        similarity=similarity,
        dnsmos=dnsmos,
        clipped_share=judges.clipped_share(speech),
        silent_share=judges.silent_share(speech),
    )


def load(
    costs: Costs, folder: Path, recordings: list[audio.Speech]
) -> tuple[recogniser.Recogniser, judges.Likeness, quality.Dnsmos]:
    """The judges, each on the clock, and warm."""
    with costs.of("loading the recogniser"):
        hearing = recogniser.Recogniser.load(folder, address="base", device=torch.device("cpu"), threads=1)
    with costs.of("loading speaker similarity"):
        likeness = judges.Likeness(speakers.resemblyzer_embedding(), lambda _: recordings)
        likeness.similarity(recordings[0], "Standin")
    with costs.of("loading DNSMOS"):
        mos = quality.Dnsmos()
    with costs.of("loading the front end"):
        frontend.warm_up()
    return hearing, likeness, mos


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=10)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "judging.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    standin = speaker.Speaker.load(assets.cache_folder())
    said = [standin.speak(text) for text in SENTENCES[: given.sentences + COMPARED]]
    sounds = [audio.Speech(samples=sound.samples, sample_rate_hz=sound.sample_rate_hz) for sound in said]
    costs = Costs()
    before_mib = _peak_mib()
    panel = load(costs, whisper.assemble(assets.cache_folder() / "whisper-base"), sounds[-COMPARED:])
    found = {}
    for kind, change in KINDS.items():
        spoken = zip(sounds[: given.sentences], SENTENCES, strict=False)
        found[kind] = judges.means([figures_of(change(sound), text, panel, costs) for sound, text in spoken])
        print(f"{kind:16}", _shown(found[kind]))
    seconds_of_speech = statistics.fmean(sound.duration_s for sound in sounds[: given.sentences])
    seconds = {name: statistics.fmean(values) for name, values in costs.seconds.items()}
    print(f"CPU seconds, for {seconds_of_speech:.1f} s of speech on average:")
    for name, value in seconds.items():
        print(f"  {name:28}{value:8.3f}")
    each = sum(seconds[name] for name in ("recogniser", "front end", "speaker similarity", "DNSMOS"))
    print(f"  {'one audition':28}{each:8.3f}\nMiB of memory more than before: {_peak_mib() - before_mib}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "figures": {kind: asdict(figures) for kind, figures in found.items()},
        "cpu_seconds": {**seconds, "one audition": each},
        "speech_s": seconds_of_speech,
    }
    given.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _shown(figures: manifests.Figures) -> str:
    return "  ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in vars(figures).items())


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
