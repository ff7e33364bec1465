"""A local port whose connections go on to an address that only another network can reach."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

_CHUNK_BYTES = 1 << 16


@contextlib.contextmanager
def to(connect: Callable[[], socket.socket]) -> Iterator[str]:
    """Listen on a free local port; each connection is one that `connect` makes. Yields `127.0.0.1:PORT`."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        relay = _Relay(listener, connect)
        thread = threading.Thread(target=relay.accept, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # Closing alone does not wake a thread that waits in accept.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            relay.close()


class _Relay:
    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._connect = connect
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def close(self) -> None:
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _join(self, near: socket.socket) -> None:
        """Carry bytes both ways; a far end that cannot be reached closes the near one, as a refusal would."""
        with near:
            try:
                far = self._connect()
            except OSError:
                return
            with far:
                with self._lock:
                    self._open |= {near, far}
                back = threading.Thread(target=_carry, args=(far, near), daemon=True)
                back.start()
                _carry(near, far)
                back.join()
                with self._lock:
                    self._open -= {near, far}


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # an end that breaks ends both directions
        while chunk := source.recv(_CHUNK_BYTES):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
