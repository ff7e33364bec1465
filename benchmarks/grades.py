"""What clean and spoilt clips measure and which grades they get: what the default thresholds are argued by.

`python benchmarks/grades.py --whisper DIR` makes a few clips with the stand-in speaker, spoils each in several ways,
and prints a row for each way: the median of what the clips measure, how far a right label agrees with what a recogniser
hears, how far another clip's label does, and how many clips get each grade.
"""

import argparse
import collections
import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
from kelong_contract import corpora, orders
from kelong_demo import assets, recordings, speaker
from kelong_speech import audio
from kelong_trainer.corpus.clips import grading
from kelong_trainer.corpus.listening import voice_activity
from kelong_trainer.corpus.sound import decoding, noise, quality
from kelong_trainer.corpus.words import agreement, recogniser

RATE_HZ = decoding.SAMPLE_RATE_HZ
SENTENCES_A_CLIP, PAUSE_S = 2, 0.5

Samples = npt.NDArray[np.float32]
Spoil = Callable[[Samples, np.random.Generator], Samples]


def noisy(level_dbfs: float) -> Spoil:
    """White noise at a level under it."""
    return lambda clean, random: (
        clean + (10 ** (level_dbfs / 20) * random.standard_normal(len(clean))).astype(np.float32)
    )


def overdriven(gain: float) -> Spoil:
    """So loud that its peaks are cut off, and turned down again."""
    return lambda clean, random: (np.clip(clean * gain, -1, 1) / gain).astype(np.float32)


WAYS: dict[str, Spoil] = {
    "clean": noisy(-70.0),
    "noise -45 dBFS": noisy(-45.0),
    "noise -36 dBFS": noisy(-36.0),
    "noise -28 dBFS": noisy(-28.0),
    "4 x too loud": overdriven(4.0),
    "16 x too loud": overdriven(16.0),
}


def clips(count: int, seed: int) -> list[tuple[str, Samples]]:
    """Some sentences each, with what is said."""
    voice = speaker.Speaker.load(assets.cache_folder())
    random = np.random.default_rng(seed)
    texts = [str(text) for text in random.choice(recordings.sentences(), count * SENTENCES_A_CLIP, replace=False)]
    found = []
    for first in range(0, len(texts), SENTENCES_A_CLIP):
        pause = np.zeros(round(PAUSE_S * speaker.SAMPLE_RATE_HZ), np.float32)
        parts = [pause]
        for text in texts[first : first + SENTENCES_A_CLIP]:
            said = recordings.trimmed(voice.speak(text).samples)
            parts += [recordings.at_level(said, recordings.SPEECH_DBFS), pause]
        sound = soxr.resample(np.concatenate(parts), speaker.SAMPLE_RATE_HZ, RATE_HZ).astype(np.float32)
        found.append(("".join(texts[first : first + SENTENCES_A_CLIP]), sound))
    return found


def measured(sound: Samples, text: str, heard: recogniser.Hearing, dnsmos: quality.Dnsmos) -> corpora.Measures:
    """What the judge stage would measure of a clip whose label came along."""
    speech = voice_activity.find_speech(soxr.resample(sound, RATE_HZ, voice_activity.SAMPLE_RATE_HZ))
    floor = noise.Floor()
    floor.add(noise.levels(sound, RATE_HZ), speech)
    listening = corpora.Listening(key="clip", noise_floor_dbfs=floor.dbfs(), speech=speech)
    length_s = len(sound) / RATE_HZ
    weights = [(word.probability, len(word.text)) for word in heard.words]
    spoken_s = sum(item.end_s - item.start_s for item in speech)
    agreed = agreement.agreement(text, agreement.spoken(heard.words), 0.0, length_s)
    return dataclasses.replace(
        quality.measure(audio.Speech(samples=sound, sample_rate_hz=RATE_HZ), 0.0, listening, dnsmos.overall),
        confidence=sum(p * weight for p, weight in weights) / max(1, sum(weight for _, weight in weights)),
        agreement=agreed.whole if agreed else None,
        least_agreement=agreed.least if agreed else None,
        syllables_per_s=len(agreement.syllables(text)) / spoken_s if spoken_s else None,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, required=True, help="a folder of `python -m kelong_demo.whisper`")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = recogniser.Recogniser.load(given.whisper, address="base", device=torch.device("cpu"), threads=1)
    dnsmos, made = quality.Dnsmos(), clips(given.clips, given.seed)
    print(
        "| way | SNR dB | DNSMOS | clipped % | confidence | agreement, where it is least | another's label | grades |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for way, spoil in WAYS.items():
        sounds = [spoil(sound, np.random.default_rng(given.seed)) for _, sound in made]
        heard = model.hear([soxr.resample(sound, RATE_HZ, recogniser.SAMPLE_RATE_HZ) for sound in sounds])
        found = [
            measured(sound, text, item, dnsmos) for sound, (text, _), item in zip(sounds, made, heard, strict=True)
        ]
        strangers = [
            agreement.agreement(made[index - 1][0], agreement.spoken(item.words), 0.0, len(sounds[index]) / RATE_HZ)
            for index, item in enumerate(heard)
        ]
        print(_row(way, found, [value.whole for value in strangers if value is not None]), flush=True)


def _row(way: str, found: list[corpora.Measures], strangers: list[float]) -> str:
    verdicts = [grading.verdict(item, orders.Judging(), duration_s=12.0, lengths=orders.Slicing()) for item in found]
    counts = collections.Counter(verdict.grade or verdict.reason for verdict in verdicts)
    names = ("snr_db", "dnsmos", "clipped_share", "confidence", "agreement", "least_agreement")
    snr, mos, clipped, confidence, agrees, least = (
        statistics.median(value for item in found if (value := getattr(item, name)) is not None) for name in names
    )
    grades = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return (
        f"| {way} | {snr:.0f} | {mos:.2f} | {100 * clipped:.2f} | {confidence:.2f} | {agrees:.2f}, {least:.2f} "
        f"| {max(strangers):.2f} at most | {grades} |"
    )


if __name__ == "__main__":
    main()
