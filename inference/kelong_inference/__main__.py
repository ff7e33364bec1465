"""The front door: `python -m kelong_inference` serves a voice, `python -m kelong_inference batch` speaks a list.

Order and environment are read here, once, and every fault of both is said in one sentence.
"""

from __future__ import annotations

import argparse
import logging
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from kelong_contract import codec, conditions, environment, farewell, names
from kelong_contract.environment import BadEnvironment, Environment
from kelong_contract.orders import ServingOrder, SynthesisOrder
from kelong_contract.store import LocalDiskError, StoreError

from kelong_inference.endings import BadOrder, Ending

Order = TypeVar("Order", ServingOrder, SynthesisOrder)
PROGRAM = "kelong_inference"
EXIT_FAILED = 1


def main(arguments: list[str], variables: Mapping[str, str]) -> int:
    """Run the program; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    batch = options.door == "batch"
    _on_stop(lambda *_: _leave(names.EXIT_SAVED if batch else names.EXIT_DONE))
    try:
        if batch:
            synthesis, settings = _start(SynthesisOrder, options.order, variables)
            _speak_list(synthesis, settings)
            return names.EXIT_DONE
        serving, settings = _start(ServingOrder, options.order, variables)
        _serve(serving, settings, options.host, _port(options.port, variables))
        return names.EXIT_DONE
    except Ending as ending:
        farewell.say(PROGRAM, ending.message, reason=ending.reason)
        return ending.exit_code
    except LocalDiskError as error:
        farewell.say(PROGRAM, str(error))
        return EXIT_FAILED
    except StoreError as error:
        farewell.say(PROGRAM, f"the store failed: {error}")
        return EXIT_FAILED


def _on_stop(handler: Callable[..., None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _leave(exit_code: int) -> None:
    """Go at once, whatever is being imported: nothing has begun that could be saved or drained.

    Without a handler a container's first process would not even be ended by SIGTERM.
    """
    farewell.say(PROGRAM, "stopped: asked to stop before anything began")
    os._exit(exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Speak with a voice that Kelong trained.",
        epilog=f"The environment names the store: {names.ENV_STORE_URL} (s3://BUCKET with {names.ENV_STORE_ENDPOINT}, "
        f"{names.ENV_STORE_ACCESS_KEY} and {names.ENV_STORE_SECRET_KEY}, or file:///FOLDER), {names.ENV_WORK_DIR} "
        f"(where weights are kept) and {names.ENV_THREADS} (how many may compute). Exit codes: {names.EXIT_DONE} done, "
        f"{names.EXIT_BAD_ORDER} wrong order or environment, {names.EXIT_BAD_DATA} data that cannot be used, "
        f"{names.EXIT_SAVED} stopped with all saved (batch only), {EXIT_FAILED} anything else.",
    )
    parser.add_argument(
        "--order",
        type=pathlib.Path,
        metavar="FILE",
        help=f"the ServingOrder, as JSON; without it the environment's {names.ENV_SERVING_ORDER} is the order itself",
    )
    parser.add_argument("--host", default="0.0.0.0", help="the address to listen on (default: every one)")
    parser.add_argument(
        "--port",
        type=int,
        metavar="NUMBER",
        help=f"the port (default: {names.ENV_SERVER_PORT} of the environment, else {names.PORT_SERVER})",
    )
    doors = parser.add_subparsers(
        dest="door", metavar="batch", description="Without a word the voice is served over HTTP."
    )
    batch = doors.add_parser("batch", help="speak every line of a list into files of the store")
    batch.add_argument("--order", type=pathlib.Path, required=True, metavar="FILE", help="the SynthesisOrder, as JSON")
    return parser


def _start(kind: type[Order], path: pathlib.Path | None, variables: Mapping[str, str]) -> tuple[Order, Environment]:
    """Order and environment, or one error with the faults of both."""
    faults: list[str] = []
    order: Order | None = None
    settings: Environment | None = None
    try:
        order = _read_order(kind, path, variables)
    except (codec.Malformed, OSError, BadOrder) as error:
        faults.append(str(error))
    try:
        settings = environment.read(variables)
    except BadEnvironment as error:
        faults.append(str(error))
    if order is None or settings is None:
        raise BadOrder(conditions.BAD_ORDER, "; ".join(faults))
    return order, settings


def _read_order(kind: type[Order], path: pathlib.Path | None, variables: Mapping[str, str]) -> Order:
    if path is not None:
        return codec.loads(kind, path.read_bytes(), f"the order {path}")
    text = variables.get(names.ENV_SERVING_ORDER)
    if not text:
        raise BadOrder(conditions.BAD_ORDER, f"there is no order: give --order FILE or set {names.ENV_SERVING_ORDER}")
    return codec.loads(kind, text.encode(), f"the order in {names.ENV_SERVING_ORDER}")


def _port(given: int | None, variables: Mapping[str, str]) -> int:
    """The port to listen on; 0 lets the system choose."""
    text = str(given) if given is not None else variables.get(names.ENV_SERVER_PORT) or str(names.PORT_SERVER)
    if not text.isdecimal() or int(text) > 65535:
        raise BadOrder(conditions.BAD_ORDER, f"the port is '{text}', expected a number from 0 to 65535")
    return int(text)


def _serve(order: ServingOrder, settings: Environment, host: str, port: int) -> None:
    from kelong_inference import serving  # with torch behind it: --help and a wrong order need not wait for that

    serving.run(order, settings, host, port)


def _speak_list(order: SynthesisOrder, settings: Environment) -> None:
    from kelong_inference import batch

    stopping = threading.Event()
    _on_stop(lambda *_: stopping.set())
    batch.run(order, settings, stopping)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
