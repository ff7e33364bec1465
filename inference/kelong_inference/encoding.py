"""What a client or a file gets: which formats there are, their media types and rates. The bytes are made by `audio`."""

from __future__ import annotations

from typing import Literal

from kelong_speech import audio
from kelong_speech.audio import Format, Speech

MEDIA_TYPES: dict[Format, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "pcm": "audio/pcm",
}
PCM_RATE_HZ = 24000  # bare samples name no rate: this is the one OpenAI's clients play them at
BATCH_FORMATS: dict[Literal["WAV", "FLAC", "MP3"], Format] = {"WAV": "wav", "FLAC": "flac", "MP3": "mp3"}


def encode(speech: Speech, form: Format) -> bytes:
    """The bytes of an answer: at the voice's own rate, but for `pcm`."""
    return audio.encode(audio.resample(speech, PCM_RATE_HZ) if form == "pcm" else speech, form)
