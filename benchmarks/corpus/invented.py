"""A corpus of any size with something of everything in it, of which nothing was recorded: for trials of its report."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import typing

import numpy as np
from kelong_contract import corpora

FOLDER = "recordings/lab/mei/"
RATE_HZ = 44_100
TEXT = "今天我们说三件事，第一件是怎么录音，第二件是怎么听，第三件是怎么改。"
GRADES: tuple[corpora.Grade, ...] = ("A", "B", "A", "A", "C")
CORRECTED: tuple[tuple[typing.Literal["text", "keep", "speaker"], ...], ...] = ((), ("text",), ("keep", "speaker"))
# Why clips are left out, and why whole files are; for every other reason stretches are.
JUDGED: tuple[corpora.Reason, ...] = ("UncertainText", "OtherSpeaker", "Noisy", "Clipped", "LowQuality", "Dropped")
WHOLE: tuple[corpora.Reason, ...] = (
    "Missing",
    "Undecodable",
    "UnknownSpeaker",
    "Duplicate",
    "Silent",
    "NoSpeech",
    "NotListed",
)


def corpus(recordings: int, clips_each: int, seed: int = 1) -> corpora.Corpus:
    """So many recordings that are used, and one more for each reason that a whole file is left out for."""
    made = _Maker(seed)
    for number in range(recordings):
        made.talk(f"{number:04d}.wav", "Mei" if number % 3 else "Ada", clips_each)
    for number, reason in enumerate(WHOLE):
        made.useless(f"useless/{number}.mp3", reason)
    return made.corpus()


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._judged = itertools.cycle(JUDGED)
        self._others = itertools.cycle(
            reason for reason in typing.get_args(corpora.Reason) if reason not in (*JUDGED, *WHOLE)
        )
        self._recordings: list[corpora.Recording] = []
        self._listenings: list[corpora.Listening] = []
        self._clips: list[corpora.Clip] = []
        self._rejections: list[corpora.Rejection] = []

    def corpus(self) -> corpora.Corpus:
        return corpora.Corpus(
            stage="align",
            speakers={"Mei": 0, "Ada": 1},
            recordings=tuple(self._recordings),
            listenings=tuple(self._listenings),
            clips=tuple(self._clips),
            rejections=tuple(self._rejections),
            held_out=tuple(sorted(clip.sha256 for clip in self._clips[5:800:100])),
            notes=("line 3 of list.jsonl is not JSON", f"{FOLDER}song.mp3: not named by the list, and not used"),
        )

    def talk(self, name: str, speaker: str, clips: int) -> None:
        """Clips with pauses between them; every tenth is left out, and something that is no clip follows it."""
        key, at_s = FOLDER + name, 0.0
        for number in range(clips):
            end_s = at_s + round(self._random.uniform(2, 20), 3)
            clip = self._clip(key, speaker, at_s, end_s)
            if number % 10 == 9:
                self._reject(clip, next(self._judged))
                at_s, other = end_s + 1.5, next(self._others)
                self._lose(key, end_s, at_s, other, f"{key} from {end_s:.2f} s to {at_s:.2f} s: {other}")
            else:
                self._clips.append(clip)
                at_s = end_s + 0.25
                self._lose(key, end_s, at_s, "Silence", "a pause between clips")
        self._record(key, speaker, at_s)

    def useless(self, name: str, reason: corpora.Reason) -> None:
        key = FOLDER + name
        length_s = 0.0 if reason in ("Missing", "Undecodable") else 12.5
        self._record(key, "Mei", length_s)
        self._lose(key, 0.0, length_s, reason, f"{key} is {reason}")

    def _record(self, key: str, speaker: str, length_s: float) -> None:
        number = len(self._recordings)
        sound = corpora.Sound(
            codec=("flac", "mp3", "aac")[number % 3],
            rate_hz=(48_000, 44_100, 16_000)[number % 3],
            channels=1 + number % 2,
            channel="1" if number % 4 == 3 else "mix",
            loudness_lufs=None if number % 5 == 4 else self._figure(-40, -14),
            true_peak_dbfs=self._figure(-12, 1),
            clipped_share=0.0,
            damaged_packets=3 * (number % 7 == 6),
        )
        self._recordings.append(
            corpora.Recording(
                key=key,
                speaker=speaker,
                size_bytes=1,
                sha256=_digest(key),
                duration_s=length_s,
                sound=sound if length_s else None,
            )
        )
        if length_s:
            floor_dbfs = self._figure(-70, -35)
            self._listenings.append(corpora.Listening(key=key, noise_floor_dbfs=floor_dbfs, speech=()))

    def _clip(self, key: str, speaker: str, start_s: float, end_s: float) -> corpora.Clip:
        number = len(self._clips)
        findings = (corpora.Finding(reason="Noisy", message="the speech's level above the noise is 14.0 dB"),)
        mark = corpora.Mark(kind="sp2", after=8, start_s=start_s + 1, end_s=start_s + 1.3, confidence=0.9)
        return corpora.Clip(
            sha256=_digest(f"{key} {start_s}"),
            recording=key,
            speaker=speaker,
            start_s=start_s,
            end_s=end_s,
            samples=round((end_s - start_s) * RATE_HZ),
            text=f"{TEXT}第{number}句。",
            confidence=self._figure(0.5, 1),
            grade=GRADES[number % len(GRADES)],
            findings=findings * (number % 3 == 2),
            measures=self._measures(number),
            marks=(mark,) * (number % 4),
            corrected=CORRECTED[number // 7 % len(CORRECTED)] if number % 7 == 0 else (),
        )

    def _measures(self, number: int) -> corpora.Measures:
        """Of every third clip nothing but what the recogniser says."""
        if number % 3 == 1:
            return corpora.Measures()
        return corpora.Measures(
            confidence=self._figure(0.5, 1),
            agreement=self._figure(0.8, 1),
            least_agreement=self._figure(0.4, 1),
            similarity=self._figure(0.6, 1),
            dnsmos=self._figure(1.8, 4),
            snr_db=self._figure(5, 70),
            hum_share=self._figure(0, 1) if number % 2 else 0.0,
            clipped_share=self._figure(0, 0.01) if number % 2 else 0.0,
            music_share=self._figure(0, 0.3) if number % 2 else 0.0,
            syllables_per_s=self._figure(1, 9),
            reading_tone=self._figure(0, 1),
        )

    def _figure(self, low: float, high: float) -> float:
        return round(float(self._random.uniform(low, high)), 4)

    def _lose(self, key: str, start_s: float, end_s: float, reason: corpora.Reason, message: str) -> None:
        self._rejections.append(
            corpora.Rejection(recording=key, start_s=start_s, end_s=end_s, reason=reason, message=message)
        )

    def _reject(self, clip: corpora.Clip, reason: corpora.Reason) -> None:
        told = f"{clip.recording} from {clip.start_s:.2f} s to {clip.end_s:.2f} s: it is {reason}"
        self._lose(clip.recording, clip.start_s, clip.end_s, reason, told)
        self._rejections[-1] = dataclasses.replace(
            self._rejections[-1], sha256=clip.sha256, text=clip.text, measures=clip.measures
        )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
