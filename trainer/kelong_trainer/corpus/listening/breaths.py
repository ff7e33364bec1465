"""Finds inhales between words by a rule: numpy only, no model. Called while a recording is listened to.

An inhale is noise of 80 to 800 ms that swells and fades, has no pitch, has its weight between 1 and 6 kHz, stands
between silences, and is followed by speech. How far a sound is from each border of the rule becomes a confidence; the
weakest part decides.

F frames of 10 ms each 5 ms, N frequencies 100 Hz apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from kelong_contract.corpora import Breath, Stretch

from kelong_trainer.corpus.listening.voice_activity import SAMPLE_RATE_HZ
from kelong_trainer.corpus.sound import flagged, noise

VERSION = 1  # raise when the same sound would give other breaths than before
LEAST_CONFIDENCE = 0.5

# Frames are as short as the shortest silence that parts a breath from its word: 20 ms.
WINDOW_SAMPLES: Final = 160
HOP_SAMPLES: Final = 80
HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE_HZ
LOWEST_HZ: Final = 300.0  # hum lies below
# No room is quieter than this to the ear: a quieter floor would make a breath of every word's last decay.
LEAST_ROOM_DBFS: Final = -68.0
ROOM_SHARE: Final = 0.5  # of the frames between words, the quieter ones
LEAST_ROOM_FRAMES: Final = 20
# A sound ends where it falls to the first of these above the room. Where it does not, since the room still rings with
# the word before, a higher one may part them.
THRESHOLDS_DB: Final = (2.0, 5.0, 9.0, 14.0)
LEAST_RISE_DB: Final = 6.0
# What is weaker is looked for between words alone, with levels over 50 ms.
WEAK_FRAMES: Final = 9
WEAK_DB: Final = 1.0
CLEARLY_SPEECH_DB: Final = 6.0
WEAK_SOUND_DB: Final = 12.0  # the ends of a sound with a lower peak are looked for likewise
CHANCE: Final = 2.0
LEAST_FRAMES: Final = 10
JOINED_FRAMES: Final = 8  # sounds that are nearer than 40 ms to one another are one, but for words
BLIP_FRAMES: Final = 3  # shorter ones are not there
# Inside of what the VAD takes for speech a sound must last so long to be looked at, in a room so much quieter than the
# voice: in a loud one every weak consonant is parted from its word.
LEAST_INSIDE_S: Final = 0.12
LEAST_INSIDE_DB: Final = 22.0
PITCH_WINDOW: Final = 640
PITCH_LAGS: Final = (40, 229)  # 400 down to 70 Hz

_WINDOW: Final = np.hanning(WINDOW_SAMPLES + 1)[:-1]
_ALL_HZ: Final = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ)
_USED: Final = _ALL_HZ >= LOWEST_HZ
_HZ: Final = _ALL_HZ[_USED]
_LEAST_POWER: Final = 10 ** (LEAST_ROOM_DBFS / 10) / len(_HZ)

Samples = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What is asked of a sound between silences."""

    start_s: float
    end_s: float
    level_db: float  # above the room's, the mean over frequencies
    below_speech_db: float
    periodicity: float  # 0 to 1
    crossings_per_s: float
    centroid_hz: float
    spread_hz: float
    roughness_db: float  # how far its level jumps about its own slow swell
    rise_s: float  # from its beginning to within 3 dB of its loudest
    balance: float  # where the middle of its energy lies, 0 at its beginning, 1 at its end
    silence_before_s: float
    silence_after_s: float
    to_speech_s: float


# Where each part of the rule is certainly not met, and where certainly; half way is its border.
_RULE: Final[tuple[tuple[str, Callable[[Features], float], float, float], ...]] = (
    ("least duration", lambda it: it.end_s - it.start_s, 0.055, 0.105),
    ("most duration", lambda it: it.end_s - it.start_s, 0.9, 0.7),
    ("least level", lambda it: it.level_db, 0.6, 1.8),
    ("least below speech", lambda it: it.below_speech_db, 3.0, 7.0),
    ("most below speech", lambda it: it.below_speech_db, 38.0, 32.0),
    ("periodicity", lambda it: it.periodicity, 0.65, 0.4),
    ("crossings", lambda it: it.crossings_per_s, 900.0, 1700.0),
    ("least centroid", lambda it: it.centroid_hz, 750.0, 1150.0),
    ("most centroid", lambda it: it.centroid_hz, 6300.0, 5700.0),
    ("spread", lambda it: it.spread_hz, 250.0, 450.0),
    ("roughness", lambda it: it.roughness_db, 2.4, 1.2),
    ("swell", lambda it: max((it.rise_s - 0.01) / 0.02, (it.balance - 0.22) / 0.1), 0.0, 1.0),
    ("silence before", lambda it: it.silence_before_s, 0.0, 0.02),
    ("least silence after", lambda it: it.silence_after_s, 0.0, 0.02),
    ("speech after", lambda it: it.to_speech_s, 0.8, 0.5),
)


def find(samples: Samples, speech: Sequence[Stretch]) -> tuple[Breath, ...]:
    """The breaths in the pauses between stretches of speech, in order.

    `samples` [S] at 16 kHz, `speech` in seconds from the first of them. A pause with no speech after it has none.
    """
    return tuple(
        Breath(
            start_s=round(features.start_s, 4),
            end_s=round(features.end_s, 4),
            level_db=round(features.level_db, 1),
            confidence=round(confidence(features), 3),
        )
        for features in candidates(samples, speech)
        if confidence(features) >= LEAST_CONFIDENCE
    )


def confidence(features: Features) -> float:
    """How surely a sound is a breath, 0 to 1; the rule's border is at one half."""
    return min(min(max((value(features) - never) / (surely - never), 0.0), 1.0) for _, value, never, surely in _RULE)


def candidates(samples: Samples, speech: Sequence[Stretch]) -> Iterator[Features]:
    """Every sound that has silence on both sides and is long enough to be looked at."""
    room = _room(samples, speech)
    if room is None or not speech:
        return
    samples = samples[: len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES]
    spectra = _spectra(samples, hop=HOP_SAMPLES)
    spoken = np.repeat(~noise.is_quiet(speech, len(samples) // WINDOW_SAMPLES, margin_s=0.0), 2)[: len(spectra)]
    speech_power = float(spectra[spoken].sum(axis=1).mean()) if spoken.any() else 1.0
    ratios = (spectra / room).mean(axis=1)  # [F]
    looks_inside = speech_power >= room.sum() * 10 ** (LEAST_INSIDE_DB / 10)
    for run in sorted(_sounds(ratios, spoken, looks_inside)):
        yield _features(run, samples, spectra, room, speech_power)


@dataclass(frozen=True, order=True)
class _Run:
    """Frames from `begin` to before `end`, and how many around it are silent; `to_speech` counts to the next word."""

    begin: int
    end: int
    before: int
    after: int
    to_speech: int


def _sounds(ratios: Frames, spoken: Mask, looks_inside: bool) -> Iterator[_Run]:
    """The sounds that are parted from all others at some level, the weakest level first."""
    over_db = 10 * np.log10(_smoothed(ratios, 3) + 1e-6)
    taken = np.zeros(len(ratios), bool)
    for threshold_db in THRESHOLDS_DB:
        runs = _joined(_runs(over_db > threshold_db), spoken)
        for run in _parted(runs, spoken):
            length, inside = run.end - run.begin, spoken[run.begin : run.end].mean() > 0.5
            if taken[run.begin : run.end].any() or length < LEAST_FRAMES:
                continue
            lowest = threshold_db == THRESHOLDS_DB[0]
            if not lowest and (inside or over_db[run.begin : run.end].max() < threshold_db + LEAST_RISE_DB):
                continue
            if inside and (not looks_inside or length * HOP_S < LEAST_INSIDE_S):
                continue
            if not inside and lowest:
                run = _extended(run, ratios, over_db)
            taken[run.begin : run.end] = True
            yield run
    yield from _weak(ratios, over_db, spoken, taken)


def _weak(ratios: Frames, over_db: Frames, spoken: Mask, taken: Mask) -> Iterator[_Run]:
    """Sounds between words that are hardly louder than the room."""
    words = spoken.copy()
    for begin, end in _runs(over_db > CLEARLY_SPEECH_DB):
        if spoken[begin:end].any():
            words[begin:end] = True
    for begin, end in _runs(~words):
        if end - begin < WEAK_FRAMES + LEAST_FRAMES:
            continue
        above = 10 * np.log10(_smoothed(ratios[begin:end], WEAK_FRAMES) + 1e-6) > WEAK_DB
        inner = [(begin + first, begin + last) for first, last in _runs(above)]
        around = [(max(begin - 1, 0), begin), *inner, (end, min(end + 1, len(words)))]
        for run in _parted(around, words):
            is_new = not taken[run.begin : run.end].any()
            if (run.begin, run.end) in inner and is_new and run.end - run.begin >= 2 * LEAST_FRAMES:
                yield run


def _extended(run: _Run, ratios: Frames, over_db: Frames) -> _Run:
    """A weak sound with the ends that go under in the room, up to its neighbours."""
    if over_db[run.begin : run.end].max() >= WEAK_SOUND_DB:
        return run
    first, last = run.begin - min(run.before, run.begin), min(run.end + run.after, len(ratios))
    smooth = 10 * np.log10(_smoothed(ratios[first:last], WEAK_FRAMES) + 1e-6) > WEAK_DB
    begin, end = run.begin - first, run.end - first
    while begin > WEAK_FRAMES // 2 and smooth[begin - 1]:
        begin -= 1
    while end < len(smooth) - WEAK_FRAMES // 2 and smooth[end]:
        end += 1
    lead, trail = run.begin - first - begin, end - (run.end - first)
    return _Run(first + begin, first + end, run.before - lead, run.after - trail, run.to_speech - trail)


def _joined(runs: Sequence[tuple[int, int]], spoken: Mask) -> list[tuple[int, int]]:
    """Without blips, and with what lies close together as one, unless speech is among it."""
    joined: list[tuple[int, int]] = []
    for begin, end in runs:
        is_speech = bool(spoken[begin:end].any())
        if not is_speech and end - begin < BLIP_FRAMES:
            continue
        near = joined and begin - joined[-1][1] < JOINED_FRAMES
        if near and not is_speech and not spoken[joined[-1][0] : joined[-1][1]].any():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _parted(runs: Sequence[tuple[int, int]], spoken: Mask) -> Iterator[_Run]:
    """Each run with its distance to its neighbours, and to the next that is a word."""
    words = [bool(spoken[begin:end].any()) for begin, end in runs]
    for index, (begin, end) in enumerate(runs):
        before = runs[index - 1][1] if index else -1000
        after = runs[index + 1][0] if index + 1 < len(runs) else len(spoken) + 1000
        word = next((runs[later][0] for later in range(index + 1, len(runs)) if words[later]), len(spoken) + 1000)
        yield _Run(begin, end, begin - before, after - end, word - end)


def _features(run: _Run, samples: Samples, spectra: Frames, room: Frames, speech_power: float) -> Features:
    begin, end = run.begin, run.end
    sound = samples[begin * HOP_SAMPLES : (end - 1) * HOP_SAMPLES + WINDOW_SAMPLES].astype(np.float64)
    clear = _without_hum(sound)
    # What a room's own chance may add is no part of the sound: its power at a frequency varies as much as it is.
    chance = CHANCE / np.sqrt((end - begin) / 2)
    excess = np.maximum(spectra[begin:end].mean(axis=0) - room * (1 + chance), 0.0)  # [N]
    magnitudes = np.sqrt(excess)
    centroid_hz = float((_HZ * magnitudes).sum() / max(magnitudes.sum(), 1e-12))
    spread_hz = float(np.sqrt((((_HZ - centroid_hz) ** 2) * magnitudes).sum() / max(magnitudes.sum(), 1e-12)))
    ratios = (spectra[begin:end] / room).mean(axis=1)
    over_db = 10 * np.log10(ratios + 1e-6)
    smooth = _smoothed(over_db, 3)
    energy = np.maximum(ratios - 1.0, 0.0)
    return Features(
        start_s=(begin + 0.5) * HOP_S,
        end_s=(end + 0.5) * HOP_S,
        level_db=float(over_db.mean()),
        below_speech_db=float(10 * np.log10(speech_power / max(excess.sum(), 1e-12))),
        periodicity=_periodicity(clear),
        crossings_per_s=float(np.mean(np.diff(np.signbit(clear)) != 0) * SAMPLE_RATE_HZ),
        centroid_hz=centroid_hz,
        spread_hz=spread_hz,
        roughness_db=_roughness_db(over_db),
        rise_s=int(np.argmax(smooth >= smooth.max() - 3.0)) * HOP_S,
        balance=float((np.arange(end - begin) * energy).sum() / max(energy.sum() * (end - begin), 1e-9)),
        silence_before_s=run.before * HOP_S,
        silence_after_s=run.after * HOP_S,
        to_speech_s=run.to_speech * HOP_S,
    )


def _room(samples: Samples, speech: Sequence[Stretch]) -> Frames | None:
    """The mean power of the quiet at each frequency [N]; None where there is not enough of it."""
    quiet = np.repeat(noise.is_quiet(speech, len(samples) // WINDOW_SAMPLES), WINDOW_SAMPLES)
    spectra = _spectra(samples[: len(quiet)][quiet], hop=WINDOW_SAMPLES)
    if len(spectra) < LEAST_ROOM_FRAMES:
        return None
    loudness = np.log(spectra + 1e-14).mean(axis=1)
    lower = spectra[loudness <= np.quantile(loudness, ROOM_SHARE)]
    powers: Frames = np.maximum(_smoothed(lower.mean(axis=0), 5), _LEAST_POWER)
    return powers


def _spectra(samples: npt.NDArray[np.floating], hop: int) -> Frames:
    """Power at each frequency [F, N]; over all frequencies it adds up to the mean square of the samples."""
    if len(samples) < WINDOW_SAMPLES:
        return np.zeros((0, len(_HZ)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[::hop]
    spectra = np.fft.rfft(frames * _WINDOW, axis=1)[:, _USED]
    powers: Frames = 2 * np.abs(spectra) ** 2 / (WINDOW_SAMPLES * (_WINDOW**2).sum())
    return powers


def _runs(above: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    starts, ends = flagged.runs(above)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _smoothed(values: Frames, width: int) -> Frames:
    """A running mean of an odd width; the ends are repeated."""
    padded = np.pad(values, width // 2, mode="edge")
    smooth: Frames = np.convolve(padded, np.ones(width) / width, mode="valid")
    return smooth


def _without_hum(sound: Frames) -> Frames:
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ) < LOWEST_HZ] = 0
    clear: Frames = np.fft.irfft(spectrum, len(sound))
    return clear


def _periodicity(sound: Frames) -> float:
    """The highest autocorrelation at a voice's pitch, over windows of 40 ms weighted by their power."""
    window = min(PITCH_WINDOW, len(sound))
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[:: window // 4]
    frames = frames - frames.mean(axis=1, keepdims=True)
    powers = (frames**2).sum(axis=1)
    spectra = np.abs(np.fft.rfft(frames, 2 * window, axis=1)) ** 2
    correlation = np.fft.irfft(spectra, axis=1)[:, : PITCH_LAGS[1]]
    lags = np.arange(correlation.shape[1])
    whole = correlation / np.maximum(powers[:, None] * (1 - lags / window), 1e-12)
    best = whole[:, PITCH_LAGS[0] :].max(axis=1)
    return float(np.clip((best * powers).sum() / max(powers.sum(), 1e-12), 0.0, 1.0))


def _roughness_db(over_db: Frames) -> float:
    """How far the level is from the cubic that it follows best, where the sound is loud."""
    smooth = _smoothed(over_db, 3)
    loud = np.flatnonzero(smooth > smooth.max() - 12.0)
    if len(loud) < 6:
        return 0.0
    place = (loud - loud.mean()) / len(over_db)
    return float((smooth[loud] - np.polyval(np.polyfit(place, smooth[loud], 3), place)).std())
