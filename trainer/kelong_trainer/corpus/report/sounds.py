"""Clips as Opus, small enough to lie inside of a page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import av
import numpy as np
import soundfile
import soxr
from kelong_contract import corpora

RATE_HZ = 48_000  # what Opus works at
BIT_RATE = 24_000  # a voice alone is clear at this, and an hour of the worst clips is 11 MB
MOST_BYTES = 15_000_000  # in base64 20 MB


def opus(data: bytes) -> bytes:
    """A clip's FLAC as mono Opus in Ogg."""
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    sound = soxr.resample(samples, rate_hz, RATE_HZ, "HQ")
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        stream.bit_rate = BIT_RATE
        block = RATE_HZ
        for start in range(0, len(sound), block):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + block].astype(np.float32), "fltp", "mono")
            frame.sample_rate = RATE_HZ
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def embed(
    clips: Iterable[corpora.Clip], fetch: Callable[[str], bytes | None], advance: Callable[[], None]
) -> dict[str, bytes]:
    """The clips' sound by digest, the first ones as long as there is room; without those that `fetch` does not find.

    `advance` is told of each.
    """
    embedded: dict[str, bytes] = {}
    size_bytes = 0
    for clip in clips:
        advance()
        data = None if clip.sha256 in embedded else fetch(clip.sha256)
        if data is None:
            continue
        made = opus(data)
        size_bytes += len(made)
        if size_bytes > MOST_BYTES:
            break
        embedded[clip.sha256] = made
    return embedded
