"""Whether the operator is alive, and its metrics: /healthz for the kubelet, /metrics to be scraped."""

from __future__ import annotations

import http.server
import threading
import time

import prometheus_client

from kelong_operator.telemetry import Telemetry

MOST_SILENCE_S = 60.0  # the event loop beats every 2 s
MOST_WORK_S = 300.0  # one look takes seconds; calls have timeouts of their own


class Pulse:
    """When the event loop turned last, and when the watcher delivered something last."""

    def __init__(self, counted: Telemetry) -> None:
        self._counted = counted
        self._beat_at = time.monotonic()
        self._heard_at = time.monotonic()
        self._longest_work_s = 0.0
        self._resting = False

    def rest(self, resting: bool) -> None:
        """The event loop does not turn yet, and need not: something has to be waited for."""
        self._resting, self._beat_at = resting, time.monotonic()

    def beat(self, *, at: float, longest_work_s: float) -> None:
        """The event loop turns."""
        self._beat_at, self._longest_work_s = at, longest_work_s
        self._counted.heard(at - self._heard_at)

    def heard(self) -> None:
        """The watcher has delivered an event."""
        self._heard_at = time.monotonic()

    def fault(self) -> str | None:
        """Why the operator should be started anew; None while all is well."""
        silence_s = time.monotonic() - self._beat_at
        if silence_s > MOST_SILENCE_S and not self._resting:
            return f"the event loop has not turned for {silence_s:.0f} s"
        if self._longest_work_s > MOST_WORK_S:
            return f"a worker has been busy with one resource for {self._longest_work_s:.0f} s"
        return None


def serve(pulse: Pulse, counted: Telemetry, *, health_port: int, metrics_port: int) -> None:
    """Answer on both ports, in threads that end with the process."""
    server = http.server.ThreadingHTTPServer(("", health_port), _probe(pulse))
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    prometheus_client.start_http_server(metrics_port, registry=counted.registry)


def _probe(pulse: Pulse) -> type[http.server.BaseHTTPRequestHandler]:
    class Probe(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fault = pulse.fault() if self.path == "/healthz" else "only /healthz is here"
            status = 200 if fault is None else 503 if self.path == "/healthz" else 404
            data = f"{fault or 'ok'}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the kubelet asks every few seconds."""

    return Probe
