"""Writes sound to files in the formats people bring: wav and flac by soundfile, m4a and mp3 by PyAV."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from kelong_demo import speaker

ENCODERS = {".m4a": "aac", ".mp3": "libmp3lame"}
BIT_RATE = 128_000


def write(path: Path, sound: speaker.Sound) -> None:
    """The format follows from the suffix: .wav and .flac hold 16 bits, .m4a and .mp3 are lossy."""
    if path.suffix in ENCODERS:
        _encode(path, sound)
    else:
        soundfile.write(path, sound.samples, sound.sample_rate_hz, subtype="PCM_16")


def read(path: Path) -> speaker.Sound:
    """Any file PyAV decodes, its channels averaged, at its own rate."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono")
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        rate_hz = container.streams.audio[0].rate
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return speaker.Sound(samples=samples.astype(np.float32), sample_rate_hz=rate_hz)


def _encode(path: Path, sound: speaker.Sound) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(ENCODERS[path.suffix], rate=sound.sample_rate_hz)
        stream.bit_rate = BIT_RATE
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(sound.samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate_hz, 0, Fraction(1, sound.sample_rate_hz)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
