"""The first process of a pod whose order asks for several ranks: it starts them, and ends as they end.

`torchrun` would do as much, but turns every exit code into 1, and the codes are what the Job's failure policy is built
from. Nothing here needs torch: a signal is answered at once.
"""

from __future__ import annotations

import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kelong_contract import conditions, names, orders

from kelong_trainer.context import BadOrder

log = logging.getLogger(__name__)

# How long the other ranks may take to save and leave once one has failed. One that waits for the failed one inside of a
# GPU operation never would.
LEAVING_S = 120.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Which rank a process is, of how many, and where all of them meet. In each pod are `local_size` of them."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    host: str = LOOPBACK
    port: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the rank that prepares, saves and reports."""
        return self.rank == 0

    @property
    def local_rank(self) -> int:
        """Which of its pod's ranks it is: the number of its GPU."""
        return self.rank % self.local_size


def local_size(order: orders.TrainingOrder) -> int:
    """How many ranks a pod runs: what the order says, else one for each GPU, or one without any."""
    return order.device.ranks or max(1, order.device.gpus)


def seat(order: orders.TrainingOrder, variables: Mapping[str, str]) -> Seat | None:
    """The seat of a process, None for the first process of a pod that must start its ranks.

    Raises BadOrder where the order asks for what the pod has not.
    """
    count, workers = local_size(order), order.training.workers
    if order.device.gpus and not order.device.allow_cpu and count > order.device.gpus:
        raise _wrong(
            f"device.ranks is {count}, but the pod has {order.device.gpus} GPU(s): a rank needs one of its own"
        )
    if count * workers == 1:
        return Seat()
    rank = variables.get(names.ENV_RANK)
    if rank is None:
        return None
    host, port = _rendezvous(variables)
    return Seat(rank=int(rank), size=count * workers, local_size=count, host=host, port=port)


def run(
    order_file: pathlib.Path, order: orders.TrainingOrder, variables: Mapping[str, str], *, is_reviewed: bool = True
) -> int:
    """Start this pod's ranks and wait for all of them; returns the code of the one that failed first.

    Without a failure it is that of a stop, or 0. As long as a person has not reviewed the corpus only the rank that
    prepares it is started: nothing is trained before the next attempt.
    Raises BadOrder where the environment does not say where to meet.
    """
    count, index = local_size(order), _worker_index(order, variables)
    meeting = dict(variables)
    if order.training.workers > 1:
        _rendezvous(variables)  # to refuse here, once
    else:
        meeting[names.ENV_RENDEZVOUS] = f"{LOOPBACK}:{_free_port()}"
        meeting.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a host's name need not lead anywhere
    command = [sys.executable, "-m", "kelong_trainer", "train", "--order", str(order_file)]
    if not is_reviewed and index:
        log.info("the first pod prepares a corpus for a review: this one waits to be stopped")
        return _wait_for_stop()
    ranks = range(count if is_reviewed else 1)
    return supervise(command, (meeting | {names.ENV_RANK: str(index * count + number)} for number in ranks))


def supervise(command: Sequence[str], environments: Iterable[Mapping[str, str]]) -> int:
    """Start a rank with each environment and wait for all; returns the code of the pod, as `run` does.

    SIGTERM and SIGINT are passed on, also to ranks that are only being started. Once one has come no more are started.
    """
    pod = _Pod()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: pod.ask_to_stop())
    for environment in environments:
        if pod.asked:
            break
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,  # it ends with us: a rank whose standard input is closed stops
            start_new_session=True,  # Ctrl-C at a terminal is for us
        )
        pod.ranks[child.pid] = child
        if pod.asked:  # while it was being started: it was not among those that were told
            _signal(child.pid, signal.SIGTERM)
    return _wait(pod)


def _wait_for_stop() -> int:
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
    return names.EXIT_SAVED


@dataclass(kw_only=True)
class _Pod:
    """The ranks that run, by process id, and whether they were asked to stop."""

    ranks: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    asked: bool = False

    def ask_to_stop(self) -> None:
        self.asked = True
        for pid in list(self.ranks):
            _signal(pid, signal.SIGTERM)


def leave_with_the_launcher() -> None:
    """In a rank: stop as on SIGTERM once the process that started it is gone, however that went."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin, which a thread may not hold at the end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


def _wait(pod: _Pod) -> int:
    """Wait for every rank, and for whatever else a container's first process is left with."""
    codes: list[int] = []
    ending: threading.Timer | None = None
    while pod.ranks:
        pid, status = os.waitpid(-1, 0)
        child = pod.ranks.pop(pid, None)
        if child is None:
            continue
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.stdin is not None:
            child.stdin.close()
        code = _code(child.returncode, pod)
        codes.append(code)
        if code != names.EXIT_DONE and not pod.asked:
            log.warning("a rank ended with exit code %d: the others are asked to stop", code)
            pod.ask_to_stop()
        # Who ends with a stop that all agreed on says nothing against the first rank, which may still be saving.
        if code not in (names.EXIT_DONE, names.EXIT_SAVED) and ending is None:
            ending = threading.Timer(LEAVING_S, _kill, [pod.ranks])
            ending.daemon = True
            ending.start()
    if ending is not None:
        ending.cancel()
    failures = [code for code in codes if code not in (names.EXIT_DONE, names.EXIT_SAVED)]
    return (failures or [max(codes, default=names.EXIT_SAVED)])[0]


def _code(returned: int, pod: _Pod) -> int:
    """A rank's exit code. One that was told to stop before it could listen had not begun: there is nothing to save."""
    if returned == -signal.SIGTERM and pod.asked:
        return names.EXIT_SAVED
    return returned if returned >= 0 else 128 - returned


def _kill(ranks: Mapping[int, subprocess.Popen[bytes]]) -> None:
    for pid in list(ranks):
        log.warning("a rank did not stop within %.0f s and is killed", LEAVING_S)
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        log.debug("process %d is gone already", pid)


def _worker_index(order: orders.TrainingOrder, variables: Mapping[str, str]) -> int:
    text, workers = variables.get(names.ENV_WORKER_INDEX, "0"), order.training.workers
    if not text.isdecimal() or int(text) >= workers:
        raise _wrong(f"{names.ENV_WORKER_INDEX} is '{text}', expected a number below training.workers ({workers})")
    return int(text)


def _rendezvous(variables: Mapping[str, str]) -> tuple[str, int]:
    text = variables.get(names.ENV_RENDEZVOUS, "")
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdecimal():
        raise _wrong(f"{names.ENV_RENDEZVOUS} is '{text}', expected HOST:PORT of the first of several pods")
    return host.strip("[]"), int(port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wrong(message: str) -> BadOrder:
    return BadOrder(conditions.BAD_ORDER, message)
