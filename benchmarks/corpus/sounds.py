"""What can be heard besides speech, made of drawn numbers: breaths, things that are no breaths, rooms, music, hum.

Each maker takes the generator that owns the randomness and gives samples [S] at voices.RATE_HZ at no certain level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from corpus.truth import Kind
from corpus.voices import RATE_HZ, Samples

VERSION: Final = 1

BREATH_S, BREATH_LOW_HZ, BREATH_HIGH_HZ = (0.12, 0.65), (180.0, 900.0), (2300.0, 7600.0)
BREATH_TILT_DB = (-7.0, 1.0)  # per octave, around 1 kHz
BREATH_PEAK_AT = (0.2, 0.85)  # where in it an inhale is loudest
BREATH_STEEPNESS = (0.6, 2.2)
# A planted sound lasts from where it comes within this of its loudest moment to where it leaves it.
AUDIBLE_SHARE = 0.1
FILTERED_SAMPLES: Final = 1 << 20

Random = np.random.Generator
Envelope = npt.NDArray[np.float64]


def breath(random: Random, longest_s: float = BREATH_S[1]) -> Samples:
    """An inhale: noise in a band that tilts, rising to a peak and falling, all drawn."""
    count = _count(random, BREATH_S[0], min(max(longest_s, BREATH_S[0]), BREATH_S[1]))
    noise = _band(random, count, random.uniform(*BREATH_LOW_HZ), random.uniform(*BREATH_HIGH_HZ))
    shaped = _tilted(noise, random.uniform(*BREATH_TILT_DB))
    peak, steepness = random.uniform(*BREATH_PEAK_AT), random.uniform(*BREATH_STEEPNESS)
    position = np.linspace(0.0, 1.0, count)
    rise = np.minimum(position / peak, (1 - position) / (1 - peak))
    return (shaped * np.sin(np.pi / 2 * rise) ** steepness).astype(np.float32)


def click(random: Random) -> Samples:
    """A few milliseconds of anything: a key, a mouse, a switch."""
    count = _count(random, 0.002, 0.012)
    return (random.standard_normal(count) * _decay(count, 0.3)).astype(np.float32)


def smack(random: Random) -> Samples:
    """Lips that part: one to three short resonances, some tens of milliseconds apart."""
    parts = []
    for _ in range(random.integers(1, 4)):
        count = _count(random, 0.012, 0.03)
        tone = np.sin(2 * np.pi * random.uniform(1100, 3600) * np.arange(count) / RATE_HZ)
        parts += [tone * _decay(count, 0.25) * random.uniform(0.4, 1.0), np.zeros(_count(random, 0.015, 0.06))]
    return np.concatenate(parts[:-1]).astype(np.float32)


def rustle(random: Random) -> Samples:
    """Cloth or paper at the microphone: broad noise that crackles."""
    count = _count(random, 0.25, 0.8)
    steps = max(2, round(count / RATE_HZ * random.uniform(25, 70)))
    crackle = np.interp(np.linspace(0, steps - 1, count), np.arange(steps), random.exponential(1.0, steps))
    return (_band(random, count, 80.0, 11_000.0) * crackle).astype(np.float32)


def fricative(random: Random) -> Samples:
    """The tail of an s or sh that a speaker lets run out: it follows speech without a gap."""
    count = _count(random, 0.06, 0.2)
    noise = _band(random, count, random.uniform(2200, 4500), random.uniform(7500, 11_500))
    return (noise * _decay(count, random.uniform(0.4, 0.9))).astype(np.float32)


def knock(random: Random) -> Samples:
    """Something that hits the table."""
    count = _count(random, 0.07, 0.18)
    tone = np.sin(2 * np.pi * random.uniform(70, 220) * np.arange(count) / RATE_HZ)
    return ((tone + 0.2 * random.standard_normal(count)) * _decay(count, 0.3)).astype(np.float32)


NO_BREATHS: Final[dict[Kind, Callable[[Random], Samples]]] = {
    "click": click,
    "smack": smack,
    "rustle": rustle,
    "fricative": fricative,
    "knock": knock,
}


def room(random: Random, count: int) -> Samples:
    """A room's own noise: flat up to a few hundred hertz, falling by 3 dB an octave above."""
    return _tilted(random.standard_normal(count), -3.0).astype(np.float32)


def white(random: Random, count: int) -> Samples:
    """Noise as of an amplifier."""
    return random.standard_normal(count).astype(np.float32)


def hum(random: Random, count: int) -> Samples:
    """The mains: 50 Hz and its odd harmonics."""
    time_s = np.arange(count) / RATE_HZ
    waves = [np.sin(2 * np.pi * (50 * n * time_s + random.uniform())) / n for n in (1, 2, 3, 5, 7, 9, 11)]
    humming: Samples = np.sum(waves, axis=0).astype(np.float32)
    return humming


def music(random: Random, count: int, *, drums: bool = True) -> Samples:
    """Chords of four voices with harmonics, one a bar, and drums on the beats."""
    beat = round(RATE_HZ * 60 / random.uniform(90, 130))
    sound = np.zeros(count)
    root_hz = random.uniform(110, 160)
    for number, start in enumerate(range(0, count, beat)):
        if number % 4 == 0:
            chord = _chord(random, root_hz, min(4 * beat, count - start))
            sound[start : start + len(chord)] += chord
        if drums:
            hit = _drum(random, number, min(beat, count - start))
            sound[start : start + len(hit)] += hit
    played: Samples = sound.astype(np.float32)
    return played


def at_level(samples: Samples, level_dbfs: float) -> Samples:
    """The same sound at this root mean square level."""
    rms = float(np.sqrt((samples.astype(np.float64) ** 2).mean()))
    louder: Samples = samples * np.float32(10 ** (level_dbfs / 20) / rms)
    return louder


def audible(samples: Samples) -> tuple[int, int]:
    """Where a planted sound can be heard: from its first to behind its last 5 ms within AUDIBLE_SHARE of its peak."""
    block = RATE_HZ // 200
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % block))
    levels = np.sqrt((padded.reshape(-1, block) ** 2).mean(axis=1))
    heard = np.flatnonzero(levels >= AUDIBLE_SHARE * levels.max())
    return int(heard[0]) * block, min((int(heard[-1]) + 1) * block, len(samples))


def _count(random: Random, least_s: float, most_s: float) -> int:
    return round(random.uniform(least_s, most_s) * RATE_HZ)


def _decay(count: int, share: float) -> Envelope:
    """Falls to 1/e after this share of its length, to nothing at its end."""
    position = np.arange(count) / count
    decay: Envelope = np.exp(-position / share) * (1 - position)
    return decay


def _band(random: Random, count: int, low_hz: float, high_hz: float) -> Envelope:
    spectrum = np.fft.rfft(random.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    noise: Envelope = np.fft.irfft(spectrum, count)
    return noise


def _tilted(samples: npt.NDArray[np.floating], decibels_per_octave: float) -> Envelope:
    """The same sound with a spectrum that falls or rises above 300 Hz, filtered in blocks."""
    parts = []
    for start in range(0, len(samples), FILTERED_SAMPLES):
        part = samples[start : start + FILTERED_SAMPLES]
        points = 1 << (len(part) - 1).bit_length()
        octaves = np.log2(np.maximum(np.fft.rfftfreq(points, 1 / RATE_HZ), 300.0) / 300.0)
        gains = 10 ** (decibels_per_octave * octaves / 20)
        parts.append(np.fft.irfft(np.fft.rfft(part, points) * gains, points)[: len(part)])
    tilted: Envelope = np.concatenate(parts)
    return tilted


def _chord(random: Random, root_hz: float, count: int) -> Envelope:
    time_s = np.arange(count) / RATE_HZ
    step = random.choice([0, 5, 7, 9])
    sound = np.zeros(count)
    for semitones in (0, 4, 7, 12):
        hz = root_hz * 2 ** ((step + semitones) / 12)
        for harmonic in range(1, 7):
            sound += np.sin(2 * np.pi * (harmonic * hz * time_s + random.uniform())) / harmonic**1.3
    envelope: Envelope = sound * (0.25 + 0.75 * np.exp(-time_s / 0.9))
    return envelope


def _drum(random: Random, number: int, count: int) -> Envelope:
    """A bass drum on the first and third beat, a snare on the others."""
    time_s = np.arange(count) / RATE_HZ
    if number % 2:
        snare: Envelope = 1.5 * random.standard_normal(count) * np.exp(-time_s / 0.06)
        return snare
    kick: Envelope = 6 * np.sin(2 * np.pi * (90 * time_s - 40 * time_s**2)) * np.exp(-time_s / 0.12)
    return kick
