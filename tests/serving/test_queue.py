"""The desk in front of the voice: bounded, in order, and nobody speaks for a client that has gone."""

from __future__ import annotations

import asyncio
import threading

import httpx2
import pytest
from kelong_inference import app
from kelong_inference.desk import Desk
from kelong_inference.errors import Refused

REQUEST = {"model": "khazix", "voice": "Khazix", "input": "你好，世界。", "response_format": "wav"}
PATIENCE_S = 30.0


class Hold:
    """Work that occupies the one worker until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.free = threading.Event()

    def __call__(self, abandoned: threading.Event) -> str:
        self.begun.set()
        assert self.free.wait(PATIENCE_S)
        return "abandoned" if abandoned.is_set() else "done"


async def until(true: object) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.005)


def test_a_full_queue_refuses_at_once_with_a_time_to_retry() -> None:
    async def story() -> None:
        counts: list[int] = []
        desk, hold = Desk(2, counts.append), Hold()
        first = asyncio.create_task(desk.ask(hold))
        await until(hold.begun.is_set)
        second = asyncio.create_task(desk.ask(lambda _: "second"))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await desk.ask(lambda _: "third")
        assert refused.value.reason == "Busy"
        assert refused.value.retry_after_s is not None and refused.value.retry_after_s >= 1
        hold.free.set()
        assert (await first, await second) == ("done", "second")
        await until(lambda: counts[-1] == 0)
        assert max(counts) == 2
        assert await desk.ask(lambda _: "later") == "later"
        desk.close()

    asyncio.run(story())


def test_what_waits_is_dropped_with_its_caller_and_what_runs_is_told() -> None:
    async def story() -> None:
        counts: list[int] = []
        desk, hold, spoken = Desk(4, counts.append), Hold(), []
        running = asyncio.create_task(desk.ask(hold))
        await until(hold.begun.is_set)
        waiting = asyncio.create_task(desk.ask(lambda _: spoken.append("waiting")))
        await asyncio.sleep(0)
        waiting.cancel()
        await until(lambda: counts[-1] == 1)
        running.cancel()
        await asyncio.sleep(0)
        assert counts[-1] == 1, "the worker is still busy with it"
        hold.free.set()
        await until(lambda: counts[-1] == 0)
        assert await desk.ask(lambda abandoned: abandoned.is_set()) is False
        assert spoken == []
        desk.close()

    asyncio.run(story())


def test_a_full_server_answers_429_and_recovers(service: app.Service) -> None:
    async def story() -> None:
        hold, places = Hold(), service.order.limits.max_queue
        held = [asyncio.create_task(service.desk.ask(hold))]
        await until(hold.begun.is_set)
        held += [asyncio.create_task(service.desk.ask(lambda _: "")) for _ in range(places - 1)]
        await asyncio.sleep(0)
        transport = httpx2.ASGITransport(app=app.build(service))
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            answer = await client.post("/v1/audio/speech", json=REQUEST)
            assert answer.status_code == 429
            assert answer.json()["error"]["type"] == "rate_limit_error"
            assert int(answer.headers["retry-after"]) >= 1
            assert f'kelong_speech_queue{{model="khazix"}} {places}.0' in (await client.get("/metrics")).text
            assert (await client.get("/healthz")).status_code == 200
            hold.free.set()
            await asyncio.gather(*held)
            await until(lambda: True)
            assert (await client.post("/v1/audio/speech", json=REQUEST)).status_code == 200

    asyncio.run(story())


def test_a_client_that_hangs_up_while_waiting_is_not_spoken_for(service: app.Service) -> None:
    async def story() -> None:
        hold = Hold()
        held = asyncio.create_task(service.desk.ask(hold))
        await until(hold.begun.is_set)
        hung_up = asyncio.Event()
        sent: list[object] = []

        body = httpx2.Request("POST", "http://server/", json=REQUEST).content
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, object]:
            if messages:
                return messages.pop(0)
            await hung_up.wait()
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/audio/speech",
            "raw_path": b"/v1/audio/speech",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("server", 80),
            "client": ("client", 1),
        }
        asked = asyncio.create_task(app.build(service)(scope, receive, send))  # type: ignore[arg-type]
        gauge = 'kelong_speech_queue{model="khazix"} '
        await until(lambda: gauge + "2.0" in service.telemetry.exposition().decode())
        hung_up.set()
        await asked
        await until(lambda: gauge + "1.0" in service.telemetry.exposition().decode())
        hold.free.set()
        assert await held == "done"
        exposition = service.telemetry.exposition().decode()
        assert 'kelong_speech_requests_total{model="khazix",status="499"} 1.0' in exposition
        assert 'audio_seconds_total{model="khazix"} 0.0' in exposition

    asyncio.run(story())
