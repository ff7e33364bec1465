"""`python -m kelong_inference` as a pod runs it: starting, refusing to start, and ending without failing a request."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kelong_contract import codec, farewell, layout, names, orders, store

TEXT = "大家好，很高兴认识你们。"
DRAIN_S = 2.0
START_TIMEOUT_S = 120.0
LONG_TEXT = "今天天气很好，我们一起去公园散步，看看春天的花。" * 50  # longer to say than the server drains


@contextlib.contextmanager
def started(variables: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "kelong_inference", *arguments],
        env={**os.environ, **variables, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.1)
    pytest.fail("the server did not become ready")


@contextlib.contextmanager
def connected(port: int, timeout_s: float = 30) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)) as connection:
        yield connection


def speak(connection: http.client.HTTPConnection, text: str = TEXT, **more: Any) -> http.client.HTTPResponse:
    request = {"model": "khazix", "voice": "Khazix", "input": text, "response_format": "wav", "seed": 1, **more}
    connection.request("POST", "/v1/audio/speech", json.dumps(request), {"Content-Type": "application/json"})
    return connection.getresponse()


def quickest_answer_s(port: int) -> float:
    """The least time of an answer on a connection that has left its first, hasty packets behind."""
    taken = []
    with connected(port) as connection:
        for _ in range(40):
            begun = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            taken.append(time.perf_counter() - begun)
    return min(taken[20:])


class Client(threading.Thread):
    """Calls five times a second without a retry, until told to stop; keeps its connection unless the server closes."""

    def __init__(self, port: int, *, keep_alive: bool) -> None:
        super().__init__()
        self.port, self.keep_alive = port, keep_alive
        self.stop = threading.Event()
        self.outcomes: list[object] = []
        self.told_to_leave = 0

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self.stop.wait(0.2):
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                answer = speak(connection)
                leave = answer.will_close
                answer.read()
                self.outcomes.append(answer.status)
                self.told_to_leave += leave
            except (OSError, http.client.HTTPException) as error:
                self.outcomes.append(error)
                leave = True
            if connection is not None and (leave or not self.keep_alive):
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def test_no_request_fails_while_the_server_ends(published: Any) -> None:
    port = free_port()
    order = codec.dumps(published.serving_order(drain_s=DRAIN_S)).decode()
    variables = published.variables | {names.ENV_SERVING_ORDER: order, names.ENV_SERVER_PORT: str(port)}
    with started(variables, "--host", "127.0.0.1") as process:
        wait_until_ready(port, process)
        assert quickest_answer_s(port) < 0.03, "an answer waits for an acknowledgement (TCP_NODELAY)"
        clients = [Client(port, keep_alive=True), Client(port, keep_alive=True), Client(port, keep_alive=False)]
        for client in clients:
            client.start()
        time.sleep(1.0)

        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with connected(port) as probe:
            probe.request("GET", "/readyz")
            answer = probe.getresponse()
            assert (answer.status, answer.getheader("connection")) == (503, "close")
        time.sleep(DRAIN_S / 2)  # by now the cluster would have taken the pod out of its endpoints
        for client in clients:
            client.stop.set()
        with connected(port, timeout_s=120) as late:
            answer = speak(late, LONG_TEXT)  # accepted while draining, finished long after it
            assert answer.status == 200
            assert len(answer.read()) > 44100
        for client in clients:
            client.join()
        assert process.wait(timeout=60) == 0
    for client in clients:
        assert set(client.outcomes) == {200}, client.outcomes
        assert len(client.outcomes) >= 5
        assert client.told_to_leave >= 1
    with connected(port) as gone, pytest.raises(OSError):
        speak(gone)


def test_all_that_is_wrong_at_the_door_is_one_sentence_and_64(published: Any, tmp_path: pathlib.Path) -> None:
    order = codec.encode(published.serving_order()) | {"step": 0, "manifest_sha256": "x", "drain_s": -1.0}
    path = tmp_path / "order.json"
    path.write_text(json.dumps(order))
    with started(
        published.variables | {names.ENV_STORE_URL: "ftp://x", names.ENV_THREADS: "many"}, "--order", str(path)
    ) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == names.EXIT_BAD_ORDER
    [line] = said.splitlines()
    for fault in ("step is 0", "manifest_sha256", "drain_s", "KELONG_STORE_URL", "KELONG_THREADS"):
        assert fault in line


@pytest.mark.parametrize("damaged", ["manifest", "generator"])
def test_what_does_not_match_its_digest_is_not_served(publish_fresh: Callable[[], Any], damaged: str) -> None:
    published = publish_fresh()
    kept: store.FolderStore = published.store
    if damaged == "manifest":
        key = layout.checkpoint_manifest(published.manifest.voice.place(), published.manifest.step)
        changed = dataclasses.replace(published.manifest, created_at="2027-01-01T00:00:00Z")
        kept.put(key, codec.dumps(changed))
    else:
        key = published.manifest.file("generator.safetensors").key
        data = bytearray(kept.get(key))
        data[-1] ^= 1
        kept.put(key, bytes(data))
    order = codec.dumps(published.serving_order()).decode()
    variables = published.variables | {names.ENV_SERVING_ORDER: order}
    with started(variables, "--host", "127.0.0.1", "--port", "0") as process:
        _, said = process.communicate(timeout=START_TIMEOUT_S)
    assert process.returncode == names.EXIT_BAD_DATA
    assert "step 3000 is not served: " in said
    assert key in said
    assert "Traceback" not in said


def test_the_last_words_in_a_pod_begin_with_the_reason(published: Any, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    order = codec.dumps(published.serving_order(step=7)).decode()
    variables = os.environ | published.variables | {names.ENV_SERVING_ORDER: order, "OMP_NUM_THREADS": "1"}
    program = (
        "import os, sys; from kelong_contract import names; from kelong_inference import __main__;"
        "names.TERMINATION_LOG = sys.argv[1];"  # in a pod the kubelet mounts it
        "sys.exit(__main__.main(['--host', '127.0.0.1', '--port', '0'], os.environ))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(log)], env=variables, timeout=START_TIMEOUT_S)
    assert done.returncode == names.EXIT_BAD_DATA
    reason, sentence = farewell.parse(log.read_text())
    assert reason == "StepNotFound"
    assert sentence.startswith("step 7 of 'khazix' does not exist")


def test_while_the_store_is_away_the_server_waits_and_still_ends_when_asked(published: Any) -> None:
    port, nobody = free_port(), free_port()
    variables = published.variables | {
        names.ENV_STORE_URL: "s3://voices",
        names.ENV_STORE_ENDPOINT: f"http://127.0.0.1:{nobody}",
        names.ENV_STORE_ACCESS_KEY: "key",
        names.ENV_STORE_SECRET_KEY: "secret",
        names.ENV_SERVING_ORDER: codec.dumps(published.serving_order()).decode(),
    }
    with started(variables, "--host", "127.0.0.1", "--port", str(port)) as process:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            assert process.poll() is None and time.monotonic() < deadline
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                break
            time.sleep(0.1)
        time.sleep(2)
        with connected(port) as connection:
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 503
        with connected(port) as connection:
            assert speak(connection).status == 503
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_orders_that_no_type_can_refuse_are_refused_by_value(published: Any) -> None:
    with pytest.raises(ValueError, match=r"max_characters.*max_queue"):
        published.serving_order(limits=orders.Limits(max_characters=5000, max_queue=0))
