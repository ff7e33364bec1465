"""The form of a speech request: OpenAI's `POST /v1/audio/speech`, and our four extra fields.

A field we do not know, or know and cannot honour, is refused by name. The one exception is `instructions`: clients
send it to every model, voices without instructions ignore it, and the answer says so in a header.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

import pydantic
from kelong_contract import orders, presets
from kelong_contract.orders import SynthesisSettings

from kelong_inference.errors import Refused

SLOWEST_SPEED, FASTEST_SPEED = 0.25, 4.0
_FEWEST_BYTES = 64 * 1024
_BYTES_PER_CHARACTER = 12  # a character outside the basic plane, escaped: \ud83d\ude00

Format = Literal["mp3", "wav", "flac", "pcm"]


def _between(name: str) -> Any:
    lowest, highest = orders.SETTING_RANGES[name]
    return pydantic.Field(ge=lowest, le=highest)


def _speaker_name(value: object) -> object:
    """OpenAI gives a voice as its name, or as an object with the id of a voice."""
    return value["id"] if isinstance(value, dict) and set(value) == {"id"} else value


class SpeechRequest(pydantic.BaseModel):
    """One request. `null` means the default, as if the field were not there."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    model: str
    input: str
    voice: Annotated[str, pydantic.BeforeValidator(_speaker_name)]
    response_format: Format = "mp3"
    speed: float = pydantic.Field(1.0, ge=SLOWEST_SPEED, le=FASTEST_SPEED)
    stream_format: Literal["audio"] = "audio"
    instructions: str | None = None
    seed: Annotated[int, _between("seed")] | None = None
    sdp_ratio: Annotated[float, _between("sdp_ratio")] | None = None
    noise: Annotated[float, _between("noise")] | None = None
    noise_w: Annotated[float, _between("noise_w")] = SynthesisSettings.noise_w

    def settings(self, preset: str) -> SynthesisSettings:
        """How a voice of the preset speaks. Without a seed one is drawn, and the answer names it.

        Length is the inverse of speed, to nine decimals: so a length that was sent as its inverse comes back exactly.
        """
        return presets.settings(
            preset,
            length=round(1.0 / self.speed, 9),
            sdp_ratio=self.sdp_ratio,
            noise=self.noise,
            noise_w=self.noise_w,
            seed=secrets.randbelow(2**32) if self.seed is None else self.seed,
            speaker=self.voice,
        )


def most_bytes(max_characters: int) -> int:
    """The largest body that can hold a permitted request, however its text is escaped."""
    return max(_FEWEST_BYTES, max_characters * _BYTES_PER_CHARACTER + 4096)


def parse(body: bytes) -> SpeechRequest:
    """The request in a JSON body; raises Refused, naming every fault and, as `param`, the first field at fault."""
    try:
        document = pydantic.TypeAdapter(dict[str, Any]).validate_json(body)
    except pydantic.ValidationError as error:
        detail = error.errors()[0]["msg"]
        message = f"the body is not a JSON object ({detail})"
        raise Refused("BadRequest", message, code="invalid_json") from None
    try:
        return SpeechRequest.model_validate({name: value for name, value in document.items() if value is not None})
    except pydantic.ValidationError as error:
        faults = error.errors()
    first = faults[0]
    codes = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
    raise Refused(
        "BadRequest",
        "; ".join(_sentence(fault) for fault in faults),
        param=str(first["loc"][0]) if first["loc"] else None,
        code=codes.get(first["type"]),
    )


def _sentence(fault: Any) -> str:
    name = str(fault["loc"][0])
    if fault["type"] == "missing":
        return f"'{name}' is missing"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(SpeechRequest.model_fields)
        return f"'{name}' is not a field of a speech request; there are {known}"
    shown = repr(fault["input"])
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    what = str(fault["msg"])
    return f"'{name}' is {shown}: {what[:1].lower()}{what[1:]}"
