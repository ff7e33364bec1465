"""Makes a folder of stand-in recordings: conversational Mandarin with pauses, room noise and, if asked, breaths.

What was said and when is exact and written beside the folder, so tests can hold labels and cuts against the truth.
`python -m kelong_demo.recordings --out DIR --minutes 4` makes one by hand.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kelong_demo import assets, files, speaker

Samples = npt.NDArray[np.float32]

# Raise when the same settings give other audio than before, so that no older folder is taken for the one asked for.
RECIPE_VERSION = 1
SUFFIXES = (".wav", ".flac", ".m4a", ".mp3")  # one after the other, so that every decoder is used
OWN_NAME = re.compile(r"\d{2,}\.(wav|flac|m4a|mp3)")
SPEECH_DBFS = -21.0
ROOM_DBFS = -60.0
BREATH_DBFS = -41.0
BREATH_BAND_HZ = (500.0, 4000.0)
BREATH_LENGTH_S = (0.15, 0.40)
PAUSE_S = (0.2, 1.2)
# A breath needs a pause that leaves silence on both sides of it.
BREATH_PAUSE_S = 0.7
# Where speech starts and ends within what the speaker returns, relative to its loudest moment.
EDGE_DB = -40.0
EDGE_FRAME_S = 0.01


class RecordingsRefused(Exception):
    """The recordings cannot be made as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that the recordings depend on."""

    minutes: float = 4.0
    file_length_s: float = 60.0  # a file ends with the first sentence that crosses it
    seed: int = 1
    breaths: bool = False
    texts: tuple[str, ...] = ()  # what is said; the demo's own sentences where empty
    recipe: int = RECIPE_VERSION


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence as it was said: from its first to its last audible moment."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Breath:
    """A planted breath inside a pause."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The truth about one file."""

    file: str
    duration_s: float
    sentences: tuple[Sentence, ...]
    breaths: tuple[Breath, ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The truth about a folder of recordings, and the settings that made it."""

    settings: Settings
    recordings: tuple[Recording, ...]


def make(out: Path, truth_file: Path, settings: Settings, voice: speaker.Speaker) -> Truth:
    """Makes the folder, or returns at once when it is there with the same settings.

    The truth is written last: where it exists, the recordings are complete. Raises RecordingsRefused.
    """
    if not settings.minutes > 0:
        raise RecordingsRefused(f"Cannot record {settings.minutes:g} minutes; ask for more than 0.")
    found = _finished(out, truth_file, settings)
    if found is not None:
        return found
    truth_file.unlink(missing_ok=True)
    _clear(out)
    truth = Truth(settings=settings, recordings=tuple(_record(out, settings, voice)))
    write_truth(truth_file, truth)
    return truth


def write_truth(path: Path, truth: Truth) -> None:
    """As JSON."""
    path.write_text(json.dumps(dataclasses.asdict(truth), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_truth(path: Path) -> Truth:
    """What `make` wrote beside a folder of recordings."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    recordings = tuple(
        Recording(
            file=recording["file"],
            duration_s=recording["duration_s"],
            sentences=tuple(Sentence(**sentence) for sentence in recording["sentences"]),
            breaths=tuple(Breath(**breath) for breath in recording["breaths"]),
        )
        for recording in stored["recordings"]
    )
    stored_settings = stored["settings"]
    settings = Settings(**{**stored_settings, "texts": tuple(stored_settings.get("texts", ()))})
    return Truth(settings=settings, recordings=recordings)


def sentences() -> tuple[str, ...]:
    """The sentences that the stand-in says."""
    text = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8")
    return tuple(text.split())


def _finished(out: Path, truth_file: Path, settings: Settings) -> Truth | None:
    if not truth_file.exists():
        return None
    truth = read_truth(truth_file)
    present = all((out / recording.file).exists() for recording in truth.recordings)
    return truth if present and truth.settings == settings else None


def _clear(out: Path) -> None:
    """An empty folder; only files that this module could have written are removed."""
    out.mkdir(parents=True, exist_ok=True)
    for found in sorted(out.iterdir()):
        if not OWN_NAME.fullmatch(found.name):
            raise RecordingsRefused(
                f"{out} holds {found.name}, which is not a stand-in recording; name another folder."
            )
        found.unlink()


def _record(out: Path, settings: Settings, voice: speaker.Speaker) -> Iterator[Recording]:
    random = np.random.default_rng(settings.seed)
    texts = _endless_sentences(settings.texts or sentences(), random)
    left_s = settings.minutes * 60
    with tqdm(total=round(left_s), unit="s", desc="Recording the stand-in speaker", mininterval=1) as progress:
        number = 0
        while left_s > 0:
            number += 1
            name = f"{number:02d}{SUFFIXES[(number - 1) % len(SUFFIXES)]}"
            session = _Session(voice, random, settings.breaths)
            while session.length_s < min(settings.file_length_s, left_s):
                before_s = session.length_s
                session.say(next(texts))
                progress.update(round(session.length_s) - round(before_s))
            sound = session.sound()
            files.write(out / name, sound)
            left_s -= sound.duration_s
            yield Recording(
                file=name,
                duration_s=round(sound.duration_s, 4),
                sentences=tuple(session.sentences),
                breaths=tuple(session.breaths),
            )


def _endless_sentences(known: Sequence[str], random: np.random.Generator) -> Iterator[str]:
    """Every sentence once in a drawn order, then again in another."""
    while True:
        yield from (known[index] for index in random.permutation(len(known)))


class _Session:
    """One recording as it grows: a pause, a sentence, a pause, a sentence."""

    def __init__(self, voice: speaker.Speaker, random: np.random.Generator, with_breaths: bool) -> None:
        self.sentences: list[Sentence] = []
        self.breaths: list[Breath] = []
        self._voice = voice
        self._random = random
        self._with_breaths = with_breaths
        self._parts: list[Samples] = []
        self._samples = 0
        self._pause()

    @property
    def length_s(self) -> float:
        return self._samples / speaker.SAMPLE_RATE_HZ

    def say(self, text: str) -> None:
        start_s = self.length_s
        self._append(at_level(trimmed(self._voice.speak(text).samples), SPEECH_DBFS))
        self.sentences.append(Sentence(text=text, start_s=round(start_s, 4), end_s=round(self.length_s, 4)))
        self._pause()

    def sound(self) -> speaker.Sound:
        """All of it with the room's noise under it."""
        dry = np.concatenate(self._parts)
        room = at_level(self._random.standard_normal(len(dry)).astype(np.float32), ROOM_DBFS)
        return speaker.Sound(samples=dry + room, sample_rate_hz=speaker.SAMPLE_RATE_HZ)

    def _pause(self) -> None:
        pause_s = self._random.uniform(*PAUSE_S)
        pause = np.zeros(round(pause_s * speaker.SAMPLE_RATE_HZ), np.float32)
        if self._with_breaths and pause_s >= BREATH_PAUSE_S:
            breath = at_level(breath_noise(self._random), BREATH_DBFS)
            offset = (len(pause) - len(breath)) // 2
            pause[offset : offset + len(breath)] = breath
            start = self._samples + offset
            self.breaths.append(
                Breath(
                    start_s=round(start / speaker.SAMPLE_RATE_HZ, 4),
                    end_s=round((start + len(breath)) / speaker.SAMPLE_RATE_HZ, 4),
                )
            )
        self._append(pause)

    def _append(self, part: Samples) -> None:
        self._parts.append(part)
        self._samples += len(part)


def trimmed(samples: Samples) -> Samples:
    """The part between the first and the last audible frame."""
    frame = round(EDGE_FRAME_S * speaker.SAMPLE_RATE_HZ)
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    levels = np.sqrt((whole**2).mean(axis=1))
    audible = np.flatnonzero(levels >= levels.max() * 10 ** (EDGE_DB / 20))
    return samples[audible[0] * frame : (audible[-1] + 1) * frame]


def at_level(samples: Samples, level_dbfs: float) -> Samples:
    """The same sound at this root mean square level."""
    rms = float(np.sqrt((samples.astype(np.float64) ** 2).mean()))
    return samples * np.float32(10 ** (level_dbfs / 20) / rms)


def breath_noise(random: np.random.Generator) -> Samples:
    """Noise in the band of an inhale, swelling and fading, of a drawn length."""
    count = round(random.uniform(*BREATH_LENGTH_S) * speaker.SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies_hz = np.fft.rfftfreq(count, 1 / speaker.SAMPLE_RATE_HZ)
    spectrum[(frequencies_hz < BREATH_BAND_HZ[0]) | (frequencies_hz > BREATH_BAND_HZ[1])] = 0
    noise: Samples = (np.fft.irfft(spectrum, count) * np.hanning(count)).astype(np.float32)
    return noise


def _texts(also_say: Path | None) -> tuple[str, ...]:
    """The demo's sentences and the file's, or none for the demo's alone; raises RecordingsRefused."""
    if also_say is None:
        return ()
    try:
        more = also_say.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingsRefused(f"Cannot read the sentences in {also_say}: {error}; name a file in UTF-8.") from None
    return (*sentences(), *more)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kelong_demo.recordings", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to make; older stand-in recordings in it are replaced"
    )
    parser.add_argument("--truth", type=Path, help="where what was said goes (default: beside the folder, -truth.json)")
    parser.add_argument("--minutes", type=float, default=Settings.minutes)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument(
        "--also-say", type=Path, help="file of further sentences, one a line; each is said once before any is repeated"
    )
    parser.add_argument("--breaths", action="store_true", help="plant breaths in the longer pauses")
    parser.add_argument("--cache", type=Path, default=assets.cache_folder(), help="keeps the speaker's prepared files")
    given = parser.parse_args(arguments)
    truth_file = given.truth or given.out.with_name(f"{given.out.name}-truth.json")
    try:
        settings = Settings(minutes=given.minutes, seed=given.seed, breaths=given.breaths, texts=_texts(given.also_say))
        truth = make(given.out, truth_file, settings, speaker.Speaker.load(given.cache))
    except (assets.AssetsMissing, RecordingsRefused) as refused:
        print(refused, file=sys.stderr)
        return 1
    total_s = sum(recording.duration_s for recording in truth.recordings)
    print(f"{len(truth.recordings)} files, {total_s:.0f} s of speech in {given.out}; what was said is in {truth_file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
