"""A client that asks a speech server for a sentence again and again, and counts what goes wrong. It never retries."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 60.0


@dataclass
class Tally:
    """What became of the requests."""

    answered: int = 0
    steps: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


class Listener:
    """Asks `per_s` times a second, in turn on kept-alive and on fresh connections, until the block ends.

    A kept-alive connection is opened anew only when the server said that it closes it, as any HTTP client does.
    """

    def __init__(self, address: str, request: dict[str, Any], per_s: float) -> None:
        self.tally = Tally()
        self._address, _, path = address.partition("/")
        self._path = f"/{path}/v1/audio/speech" if path else "/v1/audio/speech"
        self._body = json.dumps(request).encode()
        self._period_s = 1 / per_s
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Tally:
        self._thread.start()
        return self.tally

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        for connection in self._idle:
            connection.close()

    def _run(self) -> None:
        calls: list[threading.Thread] = []
        due, number = time.monotonic(), 0
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            call = threading.Thread(target=self._ask, args=(number % 2 == 0,))
            call.start()
            calls.append(call)
            due, number = due + self._period_s, number + 1
        for call in calls:
            call.join()

    def _ask(self, keep_alive: bool) -> None:
        with self._lock:
            connection = self._idle.pop() if keep_alive and self._idle else None
        connection = connection or http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        headers = {"Content-Type": "application/json"} | ({} if keep_alive else {"Connection": "close"})
        try:
            connection.request("POST", self._path, self._body, headers)
            answer = connection.getresponse()
            length = len(answer.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._note(f"{type(error).__name__}: {error}", None)
            return
        self._note(None if answer.status == 200 and length > 44 else f"HTTP {answer.status}", answer)
        with self._lock:
            if keep_alive and not answer.will_close and not self._idle:
                self._idle.append(connection)  # one is enough: a second would lie idle until its server is gone
            else:
                connection.close()

    def _note(self, failure: str | None, answer: http.client.HTTPResponse | None) -> None:
        with self._lock:
            if failure is not None:
                self.tally.failures.append(failure)
            else:
                assert answer is not None
                self.tally.answered += 1
                self.tally.steps.add(answer.headers.get("X-Kelong-Step", "?"))
