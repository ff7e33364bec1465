"""A folder as people bring them: every kind of file, and much in it that nobody should train on.

What is said comes from the stand-in speaker; everything else is drawn. Each file's name says what is wrong with it.
"""

from __future__ import annotations

import pathlib
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
from corpus import sounds
from kelong_demo import files, recordings, speaker

Samples = npt.NDArray[np.float32]

# Ten takes of 16 to 20 s are used, and none that the end of the material cuts short.
MINUTES, FILE_LENGTH_S, SEED = 3.5, 16.0, 23
RATE_HZ = speaker.SAMPLE_RATE_HZ
SILENT_S, MUSIC_S = 6.0, 9.0
# A voice that is no man's: the same sentences a third faster and higher.
OTHER_VOICE = 4 / 3
# What must be trained on, and what must be understood at least: a telephone's band is a strange voice to some judges.
USABLE = ("plain.wav", "plain.flac", "plain.m4a", "plain.mp3", "film.mp4", "stereo.wav", "cut_off.flac")
DECODED = (*USABLE, "talk.opus", "phone.wav", "interview.wav", "noisy.wav", "clipped.wav")
UNREADABLE = ("broken.mp3", "empty.wav", "page.mp3")


def make(folder: pathlib.Path, voice: speaker.Speaker) -> None:
    """Makes the folder: some four minutes, about two of them fit to train on."""
    said = folder.with_name(f"{folder.name}-said")
    settings = recordings.Settings(minutes=MINUTES, file_length_s=FILE_LENGTH_S, seed=SEED)
    recordings.make(said, folder.with_name(f"{folder.name}-truth.json"), settings, voice)
    takes = iter([files.read(path).samples for path in sorted(said.iterdir())])
    random = np.random.default_rng(SEED)
    folder.mkdir()
    for name in ("plain.wav", "plain.flac", "plain.m4a", "plain.mp3"):
        files.write(folder / name, speaker.Sound(samples=next(takes), sample_rate_hz=RATE_HZ))
    soundfile.write(folder / "talk.opus", next(takes), RATE_HZ, format="OGG", subtype="OPUS")
    _write_film(folder / "film.mp4", next(takes))
    soundfile.write(folder / "phone.wav", _at_rate(next(takes), 8000), 8000)
    take = next(takes)
    soundfile.write(folder / "stereo.wav", np.stack([take, -take], axis=1), RATE_HZ)
    whole = (folder / "plain.flac").read_bytes()
    (folder / "cut_off.flac").write_bytes(whole[: len(whole) * 2 // 3])
    first, second = next(takes), next(takes)
    soundfile.write(folder / "interview.wav", np.concatenate([first, _at_rate(second, RATE_HZ / OTHER_VOICE)]), RATE_HZ)
    soundfile.write(folder / "clipped.wav", np.clip(30 * second, -1, 1), RATE_HZ)
    noise = sounds.at_level(sounds.white(random, len(first)), -24.0)
    soundfile.write(folder / "noisy.wav", np.clip(first + noise, -1, 1), RATE_HZ)
    played = sounds.at_level(sounds.music(random, round(MUSIC_S * RATE_HZ)), -20.0)
    soundfile.write(folder / "music.wav", played, RATE_HZ)
    soundfile.write(folder / "silent.wav", np.zeros(round(SILENT_S * RATE_HZ), np.float32), RATE_HZ)
    (folder / "broken.mp3").write_bytes(random.bytes(30_000))
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.mp3").write_text("<!doctype html><title>404 Not Found</title>")
    (folder / "readme.txt").write_text("录音说明")


def _at_rate(samples: Samples, rate_hz: float) -> Samples:
    """Resampled by interpolation; played at the old rate it is faster and higher, or slower and lower."""
    count = round(len(samples) * rate_hz / RATE_HZ)
    resampled = np.interp(np.linspace(0, len(samples) - 1, count), np.arange(len(samples)), samples)
    return resampled.astype(np.float32)


def _write_film(path: pathlib.Path, samples: Samples) -> None:
    """A black picture track and the sound."""
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound: Any = container.add_stream("aac", rate=RATE_HZ)
        sound.layout = "mono"
        for _ in range(5 * len(samples) // RATE_HZ):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        spoken = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        spoken.sample_rate, spoken.pts, spoken.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        container.mux([*sound.encode(spoken), *sound.encode(None)])
