"""The last sentence of a program that stops: on standard error for whoever looks, and where the kubelet picks it up.

The operator repeats it in a condition, so it must say what is wrong, what was expected and what to do.
"""

from __future__ import annotations

import pathlib
import sys

from kelong_contract import names

MOST_BYTES = 4096  # what the kubelet keeps of a termination message


def say(program: str, sentence: str, log: pathlib.Path = pathlib.Path(names.TERMINATION_LOG)) -> None:
    """Write why the program stops. Outside a pod there is no termination log, and standard error is enough."""
    print(f"{program}: {sentence}", file=sys.stderr, flush=True)
    if not log.exists():
        return
    try:
        log.write_bytes(sentence.encode()[:MOST_BYTES])
    except OSError as error:
        print(f"{program}: {log} cannot be written ({error})", file=sys.stderr, flush=True)
