"""A process for test_launch: a pod's first process, with ranks that are told how to behave instead of training.

python one_pod.py LEAVING_S ASKED_AT BEHAVIOUR... - each behaviour is one rank's program. ASKED_AT `before` or `during`
sends the pod SIGTERM before its first rank is started, or while it is; `never` does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from kelong_trainer import launch


class Popen(subprocess.Popen[bytes]):
    """A process whose parent is asked to stop before it knows of it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        os.kill(os.getpid(), signal.SIGTERM)


def environments(asked_at: str, behaviours: list[str]) -> Iterator[dict[str, str]]:
    """One for each rank."""
    for behaviour in behaviours:
        if asked_at == "before":
            os.kill(os.getpid(), signal.SIGTERM)
        yield {**os.environ, "BEHAVIOUR": behaviour}


if __name__ == "__main__":
    launch.LEAVING_S = float(sys.argv[1])
    if sys.argv[2] == "during":
        subprocess.Popen = Popen  # type: ignore[misc]
    program = "import os; exec(os.environ['BEHAVIOUR'])"
    sys.exit(launch.supervise([sys.executable, "-c", program], environments(sys.argv[2], sys.argv[3:])))
