"""The ways in which the server and the batch door end early, each with its exit code and one sentence."""

from __future__ import annotations

from kelong_contract import names


class Ending(Exception):
    """The program stops: `reason` is one word, for a condition; `message` says what is wrong and what to do."""

    exit_code = 1

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class BadOrder(Ending):
    """The order or the environment asks for what cannot be done."""

    exit_code = names.EXIT_BAD_ORDER


class BadData(Ending):
    """The checkpoint or the input is missing or not what the order says."""

    exit_code = names.EXIT_BAD_DATA


class Stopped(Ending):
    """Asked to stop, with everything saved that was finished."""

    exit_code = names.EXIT_SAVED
