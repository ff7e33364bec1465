"""The last sentence of a program that stops: on standard error for whoever looks, and where the kubelet picks it up.

The operator repeats it in a condition, so it must say what is wrong, what was expected and what to do. Where a program
knows the condition's reason, the termination message is "Reason: sentence".
"""

from __future__ import annotations

import pathlib
import sys

from kelong_contract import conditions, names

MOST_BYTES = 4096  # what the kubelet keeps of a termination message


def say(program: str, sentence: str, reason: str | None = None, *, among_others: bool = False) -> None:
    """Write why the program stops. Outside a pod there is no termination log, and standard error is enough.

    `among_others` is for one of several processes of a container: the first one's sentence stays in the log, since the
    others stop because that one did.
    """
    log = pathlib.Path(names.TERMINATION_LOG)
    print(f"{program}: {sentence}", file=sys.stderr, flush=True)
    if not log.exists() or (among_others and log.stat().st_size > 0):
        return
    try:
        log.write_bytes((f"{reason}: {sentence}" if reason is not None else sentence).encode()[:MOST_BYTES])
    except OSError as error:
        print(f"{program}: {log} cannot be written ({error})", file=sys.stderr, flush=True)


def parse(message: str) -> tuple[str | None, str]:
    """A termination message as its reason and sentence. A reason that no program gives is part of the sentence."""
    reason, colon, sentence = message.partition(": ")
    return (reason, sentence) if colon and reason in conditions.REFUSALS else (None, message)
