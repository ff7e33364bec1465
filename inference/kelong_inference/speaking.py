"""The one owner of the voice: a text and its settings in, samples out. Server and batch both speak through it.

A text goes through exactly the functions that auditions use, so the same text, settings and seed give the same samples.
"""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
from kelong_contract.orders import Precision, SynthesisSettings
from kelong_speech import script
from kelong_speech.audio import Speech
from kelong_speech.features import TextTooLong
from kelong_speech.synthesiser import SpeechTooLong
from kelong_speech.text.frontend import UnspeakableText
from kelong_speech.voice import Style, Voice

from kelong_inference.errors import Refused


class Abandoned(Exception):
    """Nobody waits for this speech any more."""


class UnusableVoice(Exception):
    """The voice gives something that is no sound: its weights are damaged or its training went wrong."""


class Speaker:
    """Speaks texts with one voice."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        ids = voice.config.speaker_ids
        self.names = tuple(sorted(ids, key=ids.__getitem__))

    @property
    def precision(self) -> Precision:
        """What the voice computes its sound in."""
        return self._voice.precision

    def prepare(self) -> None:
        """Read the front end's dictionaries now, so that no request has to wait for them."""
        self._voice.warm_up()

    def check(self, text: str, settings: SynthesisSettings, max_characters: int) -> None:
        """Raise Refused for what can be told without speaking: no text, too much of it, a speaker we do not have."""
        if not text.strip():
            raise Refused("Empty", "there is no text to say", param="input", position=0)
        if len(text) > max_characters:
            message = f"the text has {len(text)} characters, the limit is {max_characters}; split it"
            raise Refused("TooLong", message, param="input", position=max_characters)
        if settings.speaker is not None and settings.speaker not in self.names:
            message = f"there is no voice '{settings.speaker}' here; there is {', '.join(self.names)}"
            raise Refused("UnknownSpeaker", message, param="voice")

    def say(self, text: str, settings: SynthesisSettings, abandoned: threading.Event | None = None) -> Speech:
        """The text as samples, by the first speaker if none is named.

        Raises Refused when it cannot be said, Abandoned once `abandoned` is set, and UnusableVoice.
        """
        style = Style(
            speaker=settings.speaker or self.names[0],
            length=settings.length,
            sdp_ratio=settings.sdp_ratio,
            noise=settings.noise,
            noise_w=settings.noise_w,
            seed=settings.seed,
        )
        try:
            spoken = self._say_pieces(self._voice.read(text), style, abandoned)
        except UnspeakableText as error:
            raise Refused("Unspeakable", error.message, param="input", position=error.position) from None
        except (SpeechTooLong, TextTooLong) as error:
            raise Refused("SpeechTooLong", str(error), param="input") from None
        if not np.isfinite(spoken.samples).all():
            raise UnusableVoice("the voice gives samples that are not numbers; promote another step")
        return spoken

    def _say_pieces(self, lines: script.Script, style: Style, abandoned: threading.Event | None) -> Speech:
        """What `Voice.say_script` gives, piece by piece, so that a long text can be dropped between two of them."""
        parts: list[Speech] = []
        for index, piece in enumerate(lines.pieces):
            if abandoned is not None and abandoned.is_set():
                raise Abandoned("nobody waits for this speech any more")
            alone = script.Script(pieces=(piece,))
            parts.append(self._voice.say_script(alone, dataclasses.replace(style, seed=style.seed + index)))
        samples = np.concatenate([part.samples for part in parts])
        return Speech(samples=samples, sample_rate_hz=parts[0].sample_rate_hz)
