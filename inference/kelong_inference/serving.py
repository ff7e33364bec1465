"""The server's process: listen, load the voice beside, drain on SIGTERM.

Listening comes first, so that probes and metrics answer while the weights are fetched. On SIGTERM readiness is false
at once; requests are served on for the order's `drain_s`, in which the cluster takes this pod out of its endpoints;
then no connection is accepted, what is being spoken is finished, and the process ends with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from kelong_contract import conditions
from kelong_contract.environment import Environment
from kelong_contract.orders import ServingOrder

from kelong_inference import app, loading
from kelong_inference.endings import BadOrder, Stopped

log = logging.getLogger(__name__)

BACKLOG = 2048
KEEP_ALIVE_S = 75  # longer than clients keep an idle connection: it is they who should close it, not we under them


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the process decides when to stop accepting."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_Process`."""
        yield


class _Process:
    """One run of the server."""

    def __init__(self, order: ServingOrder, environment: Environment) -> None:
        self._order = order
        self._environment = environment
        self._stopping = threading.Event()
        self._problem: Exception | None = None
        self.service = app.new_service(order)
        self._server = _Server(
            uvicorn.Config(
                app.build(self.service),
                http="h11",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )

    async def run(self, listening: socket.socket) -> None:
        """Serve until told to stop; raises what made loading impossible."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain, loop, self._order.drain_s)
        loop.add_signal_handler(signal.SIGINT, self._drain, loop, 0.0)
        # A daemon thread: an unreachable store must not keep the process from ending.
        threading.Thread(target=self._load, args=(loop,), name="loading", daemon=True).start()
        await self._server.serve(sockets=[listening])
        self.service.desk.close()
        if self._problem is not None and not isinstance(self._problem, Stopped):
            raise self._problem

    def _drain(self, loop: asyncio.AbstractEventLoop, drain_s: float) -> None:
        if self.service.draining:
            return
        self.service.draining = True
        self._stopping.set()
        wait_s = drain_s if self.service.serving is not None else 0.0
        log.info("asked to stop: serving on for %g s", wait_s)
        loop.call_later(wait_s, self._end)

    def _end(self) -> None:
        self._server.should_exit = True

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load and warm up, then open the doors. Runs in a thread of its own."""
        try:
            ready = loading.load(self._order, self._environment, self._stopping)
        except Exception as error:  # handed to `run`, which raises it: no error ends in this thread
            self._problem = error
            loop.call_soon_threadsafe(self._end)
            return
        loop.call_soon_threadsafe(self._open, ready)

    def _open(self, ready: loading.Ready) -> None:
        self.service.telemetry.ready(ready.manifest.step, ready.speaker.precision, ready.warm_up_real_time_factor)
        self.service.serving = app.Serving(speaker=ready.speaker, manifest=ready.manifest)
        log.info("ready: step %d, warm-up at %.2f x real time", ready.manifest.step, ready.warm_up_real_time_factor)


def run(order: ServingOrder, environment: Environment, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; raises BadOrder if nothing can listen there, and what `loading.load` raises."""
    try:
        listening = socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise BadOrder(
            conditions.BAD_ORDER, f"cannot listen on {host}:{port} ({error.strerror}); choose another --port"
        ) from None
    # Connections inherit it. asyncio would leave it off here, and each answer would wait 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listening:
        address, bound = listening.getsockname()[:2]
        log.info("listening on http://%s:%d as %s", address, bound, order.model_name)
        asyncio.run(_Process(order, environment).run(listening))
