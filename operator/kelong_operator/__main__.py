"""The front door: `python -m kelong_operator` sees to it that it can be stopped, then does its work (`work`)."""

from __future__ import annotations

import argparse
import logging
import os
import pathlib
import signal
import sys
from collections.abc import Mapping

from kelong_contract import names


def main(arguments: list[str], variables: Mapping[str, str]) -> int:
    """Run the operator until it is asked to stop; returns its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    options = _parser(variables).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # one line per event would drown ours
    from kelong_operator import work  # seconds, in which a stop must end the process too

    return work.run(options.config, variables, health_port=options.health_port)


def _leave(*_: object) -> None:
    """End at once, through every `finally`: until kopf watches nothing has begun that must be waited for.

    Without a handler a container's first process would not even be ended by SIGTERM.
    """
    raise SystemExit(names.EXIT_DONE)


def _parser(variables: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kelong_operator",
        description="Watch VoiceModels and SynthesisJobs and make the cluster agree with them.",
        epilog=f"The store's keys come from {names.ENV_STORE_ACCESS_KEY} and {names.ENV_STORE_SECRET_KEY}. With "
        f"{names.ENV_POD_NAMESPACE} set, a Lease in that namespace lets one operator work at a time.",
    )
    default = variables.get(names.ENV_OPERATOR_CONFIG) or None
    parser.add_argument(
        "--config", type=pathlib.Path, default=default, metavar="FILE", help="the configuration, as YAML"
    )
    parser.add_argument("--health-port", type=int, default=names.PORT_HEALTH, help="where /healthz is (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
