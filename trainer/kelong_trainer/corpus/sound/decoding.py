"""Any recording that PyAV can read to one mono FLAC at the training rate, in memory that does not grow with its length.

Called by the ingest stage; the stages after it read the FLAC that it leaves in the work folder.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from kelong_contract import corpora
from kelong_contract import store as stores

from kelong_trainer.corpus.sound import channels, clipping, levels, media

VERSION = 3  # raise when the same file would give other samples or figures than before
SAMPLE_RATE_HZ = 44100
# What would exceed full scale is turned down to here, whole files at a time: float recordings, and lossy coders'
# overshoot, hold more than full scale without being clipped.
HIGHEST_PEAK = 0.999


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a file gave: its length, the level of its loudest tenth of a second, what its sound is, where it clips."""

    samples: int
    loudest_dbfs: float
    sound: corpora.Sound
    clipped: tuple[corpora.ClippedStretch, ...]

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.samples / SAMPLE_RATE_HZ


def decode(
    path: pathlib.Path,
    target: pathlib.Path,
    check: Callable[[], None] = lambda: None,
    read: Callable[[pathlib.Path, Callable[[], None]], media.Readable] = media.Reader,
) -> Decoded:
    """Write the sound of `path` to `target` as mono 16-bit FLAC at 44.1 kHz; raises Undecodable.

    `check` is called now and then and may raise to leave off. `read` gives a file's sound: for files of which nobody
    knows where they come from `contained.Decoder().read`, and then it raises Unstartable too.
    """
    reader = read(path, check)
    choice, ear = channels.guess(reader), channels.Ear()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        decoded, peak = _write(reader, choice, part, gain=1.0, heard=ear.add)
        if (final := ear.choice(reader.places)) != choice:
            choice = final
            decoded, peak = _write(reader, choice, part, gain=1.0)
        if peak > 1.0:
            decoded, _ = _write(reader, choice, part, gain=HIGHEST_PEAK / peak)
        part.replace(target)
    except soundfile.LibsndfileError as error:
        raise stores.LocalDiskError(f"the sound of a recording cannot be written to {target.parent}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return decoded


def cut(source: pathlib.Path, target: pathlib.Path, start_s: float, end_s: float) -> None:
    """Write a stretch of what `decode` wrote to a file like it."""
    part = target.with_name(target.name + ".part")
    left = round(end_s * SAMPLE_RATE_HZ) - round(start_s * SAMPLE_RATE_HZ)
    with (
        soundfile.SoundFile(source) as whole,
        soundfile.SoundFile(part, "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16") as file,
    ):
        whole.seek(round(start_s * SAMPLE_RATE_HZ))
        while left > 0 and (samples := whole.read(min(left, media.BLOCK_SAMPLES), dtype="int16")).size:
            file.write(samples)
            left -= len(samples)
    part.replace(target)


def _write(
    reader: media.Readable,
    choice: channels.Choice,
    target: pathlib.Path,
    gain: float,
    heard: Callable[[media.Block], None] = lambda block: None,
) -> tuple[Decoded, float]:
    """What the file gave, and its greatest sample; figures are of the sound before `gain`, `heard` is told it all."""
    meter, clipped = levels.Meter(SAMPLE_RATE_HZ), clipping.Meter()
    format_: list[tuple[int, int]] = []

    def passing() -> Iterator[media.Block]:
        for block in reader.blocks():
            format_[:] = format_ or [(block.rate_hz, len(block.samples))]
            heard(block)
            there = [index for index in choice.channels if index < len(block.samples)]
            clipped.add(block._replace(samples=block.samples[there or slice(None)]))
            yield block

    with soundfile.SoundFile(target, "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16") as file:
        for samples in _at_training_rate(passing(), choice):
            turned = samples * np.float32(gain)
            meter.add(turned)
            file.write(np.clip(turned, -1.0, 1.0))
        written = file.frames
    if not written:
        raise media.Undecodable("it holds no sound")
    meter.finish()
    clipped.finish()
    gain_db = 20 * math.log10(gain)
    [(rate_hz, count)] = format_
    sound = corpora.Sound(
        codec=reader.codec,
        rate_hz=rate_hz,
        channels=count,
        channel=choice.name,
        loudness_lufs=None if meter.loudness_lufs is None else round(meter.loudness_lufs - gain_db, 2),
        true_peak_dbfs=round(meter.true_peak_dbfs - gain_db, 2),
        clipped_share=clipped.share,
        damaged_packets=reader.damaged,
        gain_db=round(gain_db, 2),
    )
    decoded = Decoded(
        samples=written, loudest_dbfs=meter.loudest_dbfs - gain_db, sound=sound, clipped=clipped.stretches
    )
    return decoded, meter.peak / gain


def _at_training_rate(blocks: Iterator[media.Block], choice: channels.Choice) -> Iterator[media.Samples]:
    """Mono at 44.1 kHz. A file may change its rate or channels on the way (joined streams do)."""
    resampler: soxr.ResampleStream | None = None
    rate_hz = SAMPLE_RATE_HZ
    for block in blocks:
        if block.rate_hz != rate_hz:
            if resampler is not None:
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            rate_hz = block.rate_hz
            resampler = _resampler(rate_hz)
        mono = choice.mono(block.samples)
        yield mono if resampler is None else resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _resampler(rate_hz: int) -> soxr.ResampleStream | None:
    if rate_hz == SAMPLE_RATE_HZ:
        return None
    return soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="VHQ")
