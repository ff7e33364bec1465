"""The first process of the node's process namespace: it waits, and buries orphans; when it dies, all others do.

Started by `namespaces.py` through unshare(1); the arguments only mark it for whoever looks for it later.
"""

import contextlib
import os
import signal


def main() -> None:
    """Wait for ever; SIGCHLD interrupts the pause."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.pause()


if __name__ == "__main__":
    main()
