"""What a client is told when a request is refused: OpenAI's error form, with the position in the text where we know it.

Everything below the doors raises `Refused`; only `answer` knows what it looks like over HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starlette.responses import JSONResponse

Reason = Literal[
    "Empty", "TooLong", "Unspeakable", "SpeechTooLong", "UnknownModel", "UnknownSpeaker", "BadRequest",
    "UnsupportedMediaType", "TooLarge", "TooSlow", "Busy", "NotReady", "NotFound", "MethodNotAllowed", "Gone",
    "Internal",
]  # fmt: skip


@dataclass(frozen=True)
class _Form:
    """How a reason looks over HTTP."""

    status: int
    type: str
    code: str


_INVALID = "invalid_request_error"
_FORMS: dict[Reason, _Form] = {
    "Empty": _Form(400, _INVALID, "empty_input"),
    "TooLong": _Form(400, _INVALID, "string_above_max_length"),
    "Unspeakable": _Form(400, _INVALID, "unspeakable_input"),
    "SpeechTooLong": _Form(400, _INVALID, "speech_too_long"),
    "BadRequest": _Form(400, _INVALID, "invalid_value"),
    "UnknownModel": _Form(404, _INVALID, "model_not_found"),
    "UnknownSpeaker": _Form(404, _INVALID, "model_not_found"),
    "NotFound": _Form(404, _INVALID, "not_found"),
    "MethodNotAllowed": _Form(405, _INVALID, "method_not_allowed"),
    "TooSlow": _Form(408, _INVALID, "request_timeout"),
    "TooLarge": _Form(413, _INVALID, "request_too_large"),
    "UnsupportedMediaType": _Form(415, _INVALID, "unsupported_media_type"),
    "Busy": _Form(429, "rate_limit_error", "queue_full"),
    "Gone": _Form(499, _INVALID, "client_closed_request"),  # never seen by a client, only in the metrics
    "Internal": _Form(500, "server_error", "internal_error"),
    "NotReady": _Form(503, "server_error", "not_ready"),
}


class Refused(Exception):
    """A text or a request that is not spoken.

    `reason` is one word; `message` a sentence for whoever can act; `param` names the field of the request;
    `position` is the character of the input, from 0, where it went wrong; `code` overrides the reason's usual code.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        param: str | None = None,
        position: int | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.param = param
        self.position = position
        self.code = code
        self.retry_after_s = retry_after_s


def answer(refused: Refused) -> JSONResponse:
    """The refusal as OpenAI's clients expect it."""
    form = _FORMS[refused.reason]
    body = {
        "message": refused.message,
        "type": form.type,
        "param": refused.param,
        "code": refused.code or form.code,
        "position": refused.position,
    }
    headers = {} if refused.retry_after_s is None else {"Retry-After": str(refused.retry_after_s)}
    return JSONResponse({"error": body}, status_code=form.status, headers=headers)
