"""How the ranks come together before the first step, wherever and whenever each of them is started.

The first rank prepares the corpus, then opens a store of torch's own (TCPStore) and says from which step training goes
on. The others wait for that, as long as it takes: the first pod's name may not resolve yet, its node may have to be
found, its recordings transcribed. They get the state ready and come in; with all of them there the process group is
made: NCCL between GPUs, gloo between CPUs.

A meeting is held once. Whoever loses its peers ends with exit code 75, and all meet anew at the last saved step. A
first rank whose meeting came to no step ends with 1, which is counted: those who cannot meet do not try without end.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from kelong_contract import codec, orders
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from kelong_trainer.context import Stopped
from kelong_trainer.launch import LOOPBACK, Seat
from kelong_trainer.training.ranks import ALONE, PeersLost, Ranks, counted_until

log = logging.getLogger(__name__)

LOOK_S = 0.2  # how often the store is asked
CONNECT_S = 5.0
REMIND_S = 60.0  # how often those who wait say so
# A rank that is silent for longer counts as lost. The first rank may be held up by a store that is away; should that
# last longer, all begin again, which loses nothing that was saved.
SILENCE = datetime.timedelta(minutes=10)

_TOLD, _SPOILED, _COMPLETE = "told", "spoiled", "complete"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the first rank tells the others: its attempt, the corpus, and the saved step to go on from (0: none).

    `precision` is what all compute in: not every node's processor is fast with bfloat16.
    """

    attempt: int
    corpus_digest: str
    step: int
    precision: orders.Precision
    format: int = 1


def lead(seat: Seat, told: Told, device: torch.device, stopping: threading.Event) -> Ranks:
    """Open the meeting, tell, wait for all; one process alone needs none. Raises Stopped, PeersLost or Faulty."""
    if seat.size == 1:
        return ALONE
    with _ended_by_network_errors():
        store = _open(seat)
        store.set(_TOLD, codec.dumps(told).decode())
        for _ in _waiting(stopping, lambda: f"ranks {_missing(store, seat)} of {seat.size} to come"):
            if store.add(_SPOILED, 0):
                raise PeersLost("a rank was started twice before all had come")
            if not _missing(store, seat):
                break
        store.set(_COMPLETE, "")
    return _group(store, seat, device)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A rank that has heard what the first one tells and has yet to come in."""

    seat: Seat
    told: Told
    store: TCPStore

    def come_in(self, device: torch.device, stopping: threading.Event) -> Ranks:
        """Say that this rank is ready and wait for all. Raises Stopped, also as PeersLost."""
        with _ended_by_network_errors():
            self.store.set(_here(self.seat.rank), "")
            for _ in _waiting(stopping, lambda: "the other ranks"):
                if self.store.check([_COMPLETE]):
                    break
        return _group(self.store, self.seat, device)


def wait_for_leader(seat: Seat, stopping: threading.Event, finished: Callable[[], bool]) -> Guest | None:
    """Wait until the first rank has prepared everything, None if nothing is left to train. Raises Stopped.

    `finished` is asked now and then: the first rank does not meet anyone then.
    """
    asked_at = -REMIND_S
    for _ in _waiting(stopping, lambda: f"the first rank at {seat.host}:{seat.port} to have everything prepared"):
        if time.monotonic() - asked_at >= REMIND_S:
            asked_at = time.monotonic()
            if finished():
                return None
        try:
            guest = _enter(seat)
        except (OSError, RuntimeError) as error:
            log.debug("the first rank is not there yet: %s", error)
            continue
        if guest is not None:
            return guest
    return None


def _enter(seat: Seat) -> Guest | None:
    """Connect and hear what is told; None at a meeting that an earlier process of this rank was at: it is over soon."""
    with socket.create_connection((seat.host, seat.port), timeout=CONNECT_S):
        pass  # TCPStore writes a warning for each try, so it tries when there is someone to answer
    store = TCPStore(seat.host, seat.port, None, False, datetime.timedelta(seconds=CONNECT_S))
    told = codec.loads(Told, store.get(_TOLD), "what the first rank tells")
    if store.add(f"taken/{seat.rank}", 1) > 1:
        store.add(_SPOILED, 1)
        time.sleep(CONNECT_S)
        return None
    return Guest(seat=seat, told=told, store=store)


def _open(seat: Seat) -> TCPStore:
    """The store of this meeting. Ranks of one pod meet where nobody else can come."""
    if seat.host == LOOPBACK:
        listener = socket.create_server((LOOPBACK, seat.port))
    else:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        listener = socket.create_server(("", seat.port), family=family, dualstack_ipv6=family == socket.AF_INET6)
    return TCPStore(
        LOOPBACK,
        seat.port,
        None,
        True,
        datetime.timedelta(seconds=CONNECT_S),
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )


def _missing(store: TCPStore, seat: Seat) -> list[int]:
    return [rank for rank in range(1, seat.size) if not store.check([_here(rank)])]


def _here(rank: int) -> str:
    return f"here/{rank}"


def _group(store: TCPStore, seat: Seat, device: torch.device) -> Ranks:
    if device.type == "cuda":
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # a lost peer is then an exception, not an abort
    with counted_until(lambda: False, leads=seat.leads):
        try:
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=PrefixStore("group", store),
                rank=seat.rank,
                world_size=seat.size,
                timeout=SILENCE,
            )
        except RuntimeError as error:
            raise PeersLost.by(error) from error
    log.info("all %d ranks are here; this is rank %d", seat.size, seat.rank)
    return Ranks(rank=seat.rank, size=seat.size, group=dist.group.WORLD)


def _waiting(stopping: threading.Event, what: Callable[[], str]) -> Iterator[None]:
    """Turns of waiting without end; says now and then for what. Raises Stopped once asked to stop."""
    said_at = time.monotonic()
    while True:
        if stopping.is_set():
            raise Stopped("asked to stop while waiting for other ranks")
        yield
        if time.monotonic() - said_at >= REMIND_S:
            said_at = time.monotonic()
            log.info("waiting for %s", what())
        stopping.wait(LOOK_S)


@contextmanager
def _ended_by_network_errors() -> Iterator[None]:
    try:
        yield
    except dist.DistError as error:
        raise PeersLost(f"the ranks' meeting was broken off ({str(error).splitlines()[0]})") from error
