"""Recordings as people bring them: every kind of file, and much in it that nobody should train on.

What is said comes from the stand-in speaker, English from flite; everything else is drawn. A file's name says what is
wrong with it. There is a folder for the store, an archive with the original's list, and a volume with a list of parts.
"""

from __future__ import annotations

import io
import json
import pathlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
from corpus import sounds
from kelong_cluster import commands, host
from kelong_demo import files, recordings, speaker

Samples = npt.NDArray[np.float32]

# Nineteen takes of 12 to 16 s are used, and none that the end of the material cuts short.
MINUTES, FILE_LENGTH_S, SEED = 4.5, 12.0, 23
RATE_HZ = speaker.SAMPLE_RATE_HZ
SILENT_S, MUSIC_S = 6.0, 9.0
# A voice that is no man's: the same sentences a third faster and higher.
OTHER_VOICE = 4 / 3
# Around a cut sentence; the shortest pause is twice as long.
EDGE_S = 0.1
LEAST_CLIP_S = 2.5
ENGLISH = (
    "Yesterday we walked along the river until the evening, and then we sat down and talked about the old house. "
    "My brother bought it twenty years ago, when nobody else wanted to live there. "
    "Now the garden is full of flowers, and the children play in it every day."
)
# What must be trained on, and what must be understood at least: a telephone's band is a strange voice to some judges.
USABLE = (
    *(f"plain.{kind}" for kind in ("wav", "flac", "m4a", "mp3", "ogg")),
    *("film.mp4", "film.mkv", "studio_192_khz.wav", "stereo.wav", "out_of_phase.wav", "cut_off.flac"),
    *("clips/with_text.wav", "clips/without_text.wav"),
)
DECODED = (*USABLE, "talk.opus", "phone_8_khz.wav", "interview.wav", "noisy.wav", "clipped.wav")
UNREADABLE = ("broken.mp3", "empty.wav", "page.mp3")
SPEECHLESS = ("silent.wav", "music.wav")
NO_RECORDINGS = ("readme.txt", "clips/with_text.txt")


@dataclass(frozen=True, kw_only=True)
class Take:
    """What was said in one go."""

    samples: Samples
    sentences: tuple[recordings.Sentence, ...]

    def clips(self) -> Iterator[tuple[float, float, str]]:
        """Whole sentences that last a few seconds together: from where, to where, and what is said."""
        begun: list[recordings.Sentence] = []
        for sentence in self.sentences:
            begun.append(sentence)
            if sentence.end_s - begun[0].start_s >= LEAST_CLIP_S:
                start_s, end_s = begun[0].start_s - EDGE_S, sentence.end_s + EDGE_S
                yield round(start_s, 3), round(end_s, 3), "".join(item.text for item in begun)
                begun = []

    def between(self, start_s: float, end_s: float) -> Samples:
        """Its sound there."""
        return self.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Where everything lies, and the texts of the lists by what they are about."""

    folder: pathlib.Path
    archive: pathlib.Path
    volume: pathlib.Path
    in_archive: dict[str, str]
    on_volume: dict[str, str]

    def names(self) -> set[str]:
        """The files of the folder, by their path in it."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix() for path in found}


def make(place: pathlib.Path, voice: speaker.Speaker) -> Material:
    """Makes everything: some four minutes in the folder, half a minute each in the archive and on the volume."""
    said = place / "said"
    settings = recordings.Settings(minutes=MINUTES, file_length_s=FILE_LENGTH_S, seed=SEED)
    truth = recordings.make(said, place / "said.json", settings, voice)
    takes = iter([Take(samples=files.read(said / told.file).samples, sentences=told.sentences)
                  for told in truth.recordings])  # fmt: skip
    random = np.random.default_rng(SEED)
    folder, archive, volume = place / "messy", place / "archive.zip", place / "volume"
    (folder / "clips").mkdir(parents=True)
    _kinds_of_files(folder, takes)
    _spoilt(folder, takes, random)
    _useless(folder, random)
    _cut_clips(folder / "clips", next(takes))
    english = _english(folder / "english.wav")
    in_archive = _archive(archive, [next(takes), next(takes)], english)
    on_volume = _volume(volume, [next(takes), next(takes)])
    return Material(folder=folder, archive=archive, volume=volume, in_archive=in_archive, on_volume=on_volume)


def _kinds_of_files(folder: pathlib.Path, takes: Iterator[Take]) -> None:
    """The same good speech in every container, at every rate, with one channel and with two."""
    for kind in ("wav", "flac", "m4a", "mp3"):
        files.write(folder / f"plain.{kind}", speaker.Sound(samples=next(takes).samples, sample_rate_hz=RATE_HZ))
    soundfile.write(folder / "plain.ogg", next(takes).samples, RATE_HZ, format="OGG", subtype="VORBIS")
    soundfile.write(folder / "talk.opus", next(takes).samples, RATE_HZ, format="OGG", subtype="OPUS")
    _write_film(folder / "film.mp4", next(takes).samples, "aac")
    _write_film(folder / "film.mkv", next(takes).samples, "libopus")
    soundfile.write(folder / "phone_8_khz.wav", _at_rate(next(takes).samples, 8000), 8000)
    high = _at_rate(next(takes).samples, 192_000)
    soundfile.write(folder / "studio_192_khz.wav", high, 192_000, subtype="PCM_24")
    take = next(takes).samples
    soundfile.write(folder / "stereo.wav", np.stack([take, take / 2], axis=1), RATE_HZ)
    take = next(takes).samples
    soundfile.write(folder / "out_of_phase.wav", np.stack([take, -take], axis=1), RATE_HZ)
    whole = (folder / "plain.flac").read_bytes()
    (folder / "cut_off.flac").write_bytes(whole[: len(whole) * 2 // 3])


def _spoilt(folder: pathlib.Path, takes: Iterator[Take], random: np.random.Generator) -> None:
    """Speech with something else over it or after it."""
    first, second = next(takes).samples, next(takes).samples
    soundfile.write(folder / "interview.wav", np.concatenate([first, _at_rate(second, RATE_HZ / OTHER_VOICE)]), RATE_HZ)
    soundfile.write(folder / "clipped.wav", np.clip(30 * second, -1, 1), RATE_HZ)
    noise = sounds.at_level(sounds.white(random, len(first)), -24.0)
    soundfile.write(folder / "noisy.wav", np.clip(first + noise, -1, 1), RATE_HZ)


def _useless(folder: pathlib.Path, random: np.random.Generator) -> None:
    """Nobody's speech, and what is no sound at all."""
    played = sounds.at_level(sounds.music(random, round(MUSIC_S * RATE_HZ)), -20.0)
    soundfile.write(folder / "music.wav", played, RATE_HZ)
    soundfile.write(folder / "silent.wav", np.zeros(round(SILENT_S * RATE_HZ), np.float32), RATE_HZ)
    (folder / "broken.mp3").write_bytes(random.bytes(30_000))
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.mp3").write_text("<!doctype html><title>404 Not Found</title>")
    (folder / "readme.txt").write_text("录音说明")


def _cut_clips(folder: pathlib.Path, take: Take) -> None:
    """Clips somebody has cut already, one with what is said in it beside it."""
    for name, (start_s, end_s, text) in zip(("with_text", "without_text"), take.clips(), strict=False):
        soundfile.write(folder / f"{name}.wav", take.between(start_s, end_s), RATE_HZ)
        if name == "with_text":
            (folder / "with_text.txt").write_text(text)


def _english(path: pathlib.Path) -> bytes:
    """Somebody speaks English: Debian's flite, since no package of Python has a voice for it."""
    if host.find("flite") is None:
        host.install(["flite"])
    commands.run([host.program("flite"), "-voice", "slt", "-t", ENGLISH, "-o", str(path)])
    return path.read_bytes()


def _archive(path: pathlib.Path, takes: list[Take], english: bytes) -> dict[str, str]:
    """Cut clips with the original's list, in a folder of a zip; four of its lines are of no use."""
    lines, texts = [], {}
    with zipfile.ZipFile(path, "w") as packed:
        for take in takes:
            for start_s, end_s, text in take.clips():
                name = f"wavs/{len(texts)}.wav"
                sound = io.BytesIO()
                soundfile.write(sound, take.between(start_s, end_s), RATE_HZ, format="WAV")
                packed.writestr(f"set/{name}", sound.getvalue())
                lines.append(f"{name}|Khazix|ZH|{text}")
                texts[name] = text
        packed.writestr("set/wavs/english.wav", english)
        packed.writestr("set/wavs/stranger.wav", english)
        packed.writestr("set/wavs/broken.wav", b"RIFF")
        packed.writestr("elsewhere/0.wav", english)
        lines += [f"wavs/english.wav|Khazix|EN|{ENGLISH}", "wavs/stranger.wav|Teemo|ZH|你好。"]
        lines += ["wavs/broken.wav|Khazix|ZH|你好。", "wavs/gone.wav|Khazix|ZH|你好。"]
        packed.writestr("set/esd.list", "\n".join(lines))
    return texts


def _volume(folder: pathlib.Path, takes: list[Take]) -> dict[str, str]:
    """A folder of long recordings and a list of parts of them; one more recording lies beside that folder."""
    tapes = folder / "tapes"
    tapes.mkdir(parents=True)
    lines, texts = [], {}
    for number, take in enumerate(takes):
        soundfile.write(tapes / f"{number}.flac", take.samples, RATE_HZ)
        for start_s, end_s, text in take.clips():
            lines.append({"audio": f"{number}.flac", "start_s": start_s, "end_s": end_s, "text": text})
            texts[f"{number}.flac#t={start_s:.3f},{end_s:.3f}"] = text
    lines.append({"audio": "gone.flac", "text": "不见了。"})
    (tapes / "list.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    soundfile.write(folder / "outside.wav", takes[0].samples, RATE_HZ)
    return texts


def _at_rate(samples: Samples, rate_hz: float) -> Samples:
    """Resampled by interpolation; played at the old rate it is faster and higher, or slower and lower."""
    count = round(len(samples) * rate_hz / RATE_HZ)
    resampled = np.interp(np.linspace(0, len(samples) - 1, count), np.arange(len(samples)), samples)
    return resampled.astype(np.float32)


def _write_film(path: pathlib.Path, samples: Samples, codec: str) -> None:
    """A black picture track and the sound."""
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound: Any = container.add_stream(codec, rate=RATE_HZ)
        sound.layout = "mono"
        for _ in range(5 * len(samples) // RATE_HZ):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        spoken = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        spoken.sample_rate, spoken.pts, spoken.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        container.mux([*sound.encode(spoken), *sound.encode(None)])
