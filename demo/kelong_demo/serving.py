"""Serves a promoted step with the server that pods run, and speaks through its public endpoint."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kelong_contract import codec, names, orders

from kelong_demo import processes, training

HOST = "127.0.0.1"
START_TIMEOUT_S = 180.0
SPEAK_TIMEOUT_S = 120.0
PORTS_TRIED = 50


class ServingFailed(Exception):
    """The server did not come up or did not speak; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that is ready."""

    address: str
    process: subprocess.Popen[bytes]

    def speak(self, text: str) -> bytes:
        """The text as a WAV file; raises ServingFailed with the server's own sentence."""
        asked = {"model": training.VOICE_NAME, "voice": training.SPEAKER, "input": text, "response_format": "wav"}
        request = urllib.request.Request(
            f"{self.address}/v1/audio/speech",
            data=json.dumps(asked).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SPEAK_TIMEOUT_S) as answer:
                spoken: bytes = answer.read()
                return spoken
        except urllib.error.HTTPError as error:
            said = json.loads(error.read())["error"]["message"]
            raise ServingFailed(f"The server would not say {text!r}: {said}") from None


def order(trained: orders.TrainingOrder, promoted: training.Step) -> orders.ServingOrder:
    """What the server is asked to do: speak with this step."""
    return orders.ServingOrder(
        model_name=training.VOICE_NAME,
        voice=trained.voice,
        step=promoted.number,
        manifest_sha256=promoted.manifest_sha256,
        sources=trained.model.sources,
        drain_s=0.0,  # nothing routes requests here that would have to hear of the end first
    )


@contextlib.contextmanager
def serving(asked: orders.ServingOrder, port: int, environment: Mapping[str, str], log_file: Path) -> Iterator[Server]:
    """The server, ready, while the block runs; raises ServingFailed with the end of its log."""
    port = free_port(port)
    environment = {**environment, names.ENV_SERVING_ORDER: codec.dumps(asked).decode()}
    arguments = ["--host", HOST, "--port", str(port)]
    with log_file.open("wb") as log, processes.running("kelong_inference", arguments, environment, log) as process:
        server = Server(address=f"http://{HOST}:{port}", process=process)
        _wait_until_ready(server, log_file)
        yield server


def free_port(first: int) -> int:
    """The first port from this one on that nobody listens on."""
    for port in range(first, min(first + PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            # As the server will: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise ServingFailed(f"No port from {first} on is free; name another with PORT=number.")


def _wait_until_ready(server: Server, log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ServingFailed(f"The server ended at once; its log {log_file} ends:\n{processes.last_lines(log_file)}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.address}/readyz", timeout=5):
            return
        time.sleep(0.2)
    raise ServingFailed(
        f"The server was not ready after {START_TIMEOUT_S:.0f} s; its log {log_file} ends:\n"
        + processes.last_lines(log_file)
    )
