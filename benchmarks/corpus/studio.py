"""Puts recordings together and writes down the truth about each: sentences, pauses, what is planted, the room.

One Tape is one recording as it grows. It knows nothing of which recordings are wanted: that is `sessions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from corpus import sounds, truth, voices
from corpus.voices import RATE_HZ, Samples
from kelong_contract import codec

SPEECH_DBFS = -21.0
# Silence that is left on both sides of a sound planted in a pause.
AROUND_PLANTED_S = 0.08
CLIPPED_GAIN_DB = 20.0


@dataclass(frozen=True, kw_only=True)
class Made:
    """A recording and the truth about it: samples [S] at RATE_HZ."""

    samples: Samples
    take: truth.Take


class Tape:
    """One recording as it grows; `random` owns all that is drawn."""

    def __init__(self, voice: voices.Voice, random: np.random.Generator) -> None:
        self._voice, self._random = voice, random
        self._parts: list[Samples] = []
        self._samples = 0
        self._said: list[truth.Said] = []
        self._planted: list[truth.Planted] = []

    @property
    def length_s(self) -> float:
        """How long it is so far."""
        return self._samples / RATE_HZ

    def pause(
        self,
        seconds: float,
        kind: truth.Kind | None = None,
        level_dbfs: float = SPEECH_DBFS,
        *,
        centred: bool = False,
    ) -> bool:
        """Nobody speaks; a breath or something else may be planted, somewhere or in the middle. Whether it fitted."""
        count = round(seconds * RATE_HZ)
        pause = np.zeros(count, np.float32)
        planted = None
        if kind is not None:
            longest_s = seconds - 2 * AROUND_PLANTED_S
            breathes = kind == "breath"
            sound = sounds.breath(self._random, longest_s) if breathes else sounds.NO_BREATHS[kind](self._random)
            planted = self._plant(pause, kind, sounds.at_level(sound, level_dbfs), centred)
        self._append(pause)
        return kind is None or planted is not None

    def say(self, text: str, *, other: bool = False, level_dbfs: float = SPEECH_DBFS) -> None:
        """A sentence in the speaker's own voice or in the other one."""
        made = self._voice.say(text, voices.OTHER_MANNER if other else voices.OWN_MANNER)
        start_s = self.length_s
        moved = tuple(
            truth.Character(text=one.text, start_s=start_s + one.start_s, end_s=start_s + one.end_s)
            for one in made.characters
        )
        self._append(sounds.at_level(made.samples, level_dbfs))
        self._said.append(truth.Said(text=text, speaker=truth.OTHER if other else truth.OWN, characters=moved))

    def burst(self, seconds: float, level_dbfs: float) -> None:
        """White noise in the place of speech, as slicers are tried with; it counts as one character."""
        start_s = self.length_s
        self._append(sounds.at_level(sounds.white(self._random, round(seconds * RATE_HZ)), level_dbfs))
        character = truth.Character(text="噪", start_s=start_s, end_s=self.length_s)
        self._said.append(truth.Said(text="噪。", speaker=truth.OWN, characters=(character,)))

    def play(self, seconds: float, level_dbfs: float, *, drums: bool = True) -> None:
        """Music that nobody speaks over."""
        start_s = self.length_s
        self._append(sounds.at_level(sounds.music(self._random, round(seconds * RATE_HZ), drums=drums), level_dbfs))
        self._mark("music", start_s, self.length_s, level_dbfs)

    def spoil(self, kind: truth.Kind, start_s: float, end_s: float, level_dbfs: float = 0.0) -> None:
        """Hum or music under what is there, or clipping of it, between two times."""
        whole = self._whole()
        first, last = round(start_s * RATE_HZ), min(round(end_s * RATE_HZ), len(whole))
        if kind == "clipping":
            gain = np.float32(10 ** (CLIPPED_GAIN_DB / 20))
            whole[first:last] = np.clip(gain * whole[first:last], -1.0, 1.0)
        else:
            maker = sounds.hum if kind == "hum" else sounds.music
            whole[first:last] += sounds.at_level(maker(self._random, last - first), level_dbfs)
        self._mark(kind, start_s, last / RATE_HZ, level_dbfs)

    def finish(self, name: str, noise_dbfs: float, supplied: str = "", *, white: bool = False) -> Made:
        """The recording with the room's noise under it, and the truth."""
        dry = self._whole()
        noise = (sounds.white if white else sounds.room)(self._random, len(dry))
        take = truth.Take(
            name=name,
            duration_s=len(dry) / RATE_HZ,
            noise_dbfs=noise_dbfs,
            said=tuple(self._said),
            planted=tuple(self._planted),
            supplied=supplied,
        )
        return Made(samples=np.clip(dry + sounds.at_level(noise, noise_dbfs), -1.0, 1.0), take=take)

    def _plant(self, pause: Samples, kind: truth.Kind, sound: Samples, centred: bool) -> truth.Planted | None:
        """Into a pause: a fricative at its very start, anything else with silence on both sides."""
        room = 0 if kind == "fricative" else round(AROUND_PLANTED_S * RATE_HZ)
        latest = len(pause) - len(sound) - room
        if latest < room:
            return None
        offset = 0 if kind == "fricative" else int(self._random.integers(room, latest + 1))
        offset = (len(pause) - len(sound)) // 2 if centred else offset
        pause[offset : offset + len(sound)] += sound
        first, end = sounds.audible(sound)
        heard = sound[first:end].astype(np.float64)
        level_dbfs = 10 * np.log10(float((heard**2).mean()))
        begun_s = self.length_s + offset / RATE_HZ
        return self._mark(kind, begun_s + first / RATE_HZ, begun_s + end / RATE_HZ, level_dbfs)

    def _mark(self, kind: truth.Kind, start_s: float, end_s: float, level_dbfs: float) -> truth.Planted:
        marked = truth.Planted(kind=kind, start_s=start_s, end_s=end_s, level_dbfs=round(level_dbfs, 2))
        self._planted.append(marked)
        return marked

    def _append(self, part: Samples) -> None:
        self._parts.append(part)
        self._samples += len(part)

    def _whole(self) -> Samples:
        self._parts = [np.concatenate([*self._parts, np.zeros(0, np.float32)])]
        return self._parts[0]


def write(made: Made, folder: Path) -> None:
    """The recording as FLAC, and the truth beside it as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{made.take.name}.flac", made.samples, RATE_HZ, subtype="PCM_16")
    (folder / f"{made.take.name}.truth.json").write_bytes(codec.dumps(made.take))
