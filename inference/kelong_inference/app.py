"""The server's routes: OpenAI's speech endpoint, health, metrics, the list of models, and the page.

`build` takes a Service, which the process (`serving`) fills once the voice is loaded; until then speech is refused with
503. Nothing here waits for the model: speaking happens at the desk.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from kelong_contract import presets
from kelong_contract.manifests import CheckpointManifest
from kelong_contract.orders import ServingOrder
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kelong_inference import encoding, errors, request, telemetry
from kelong_inference.desk import Desk
from kelong_inference.errors import Refused
from kelong_inference.speaking import Speaker

T = TypeVar("T")
log = logging.getLogger(__name__)

SPEECH_PATH = "/v1/audio/speech"
BODY_TIMEOUT_S = 30.0
NOT_READY_RETRY_S = 2
# The page needs nothing from elsewhere, and nothing elsewhere may be fetched by it.
PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # noqa: E501


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A voice that is loaded and has spoken its warm-up."""

    speaker: Speaker
    manifest: CheckpointManifest


@dataclass(kw_only=True)
class Service:
    """What the routes share. `serving` is None until the voice is ready, `draining` true once the process must end."""

    order: ServingOrder
    telemetry: telemetry.Telemetry
    desk: Desk
    serving: Serving | None = None
    draining: bool = False


def new_service(order: ServingOrder) -> Service:
    """A service that is not ready yet."""
    counted = telemetry.Telemetry(order.model_name)
    return Service(order=order, telemetry=counted, desk=Desk(order.limits.max_queue, counted.queued))


def build(service: Service) -> ASGIApp:
    """The ASGI application."""
    page = importlib.resources.files("kelong_inference") / "page"
    doors = _Doors(service, str(page / "index.html"))
    app = Starlette(
        routes=[
            Route(SPEECH_PATH, doors.speech, methods=["POST"]),
            Route("/v1/models", doors.models),
            Route("/v1/models/{name}", doors.model),
            Route("/healthz", doors.health),
            Route("/readyz", doors.readiness),
            Route("/metrics", doors.metrics),
            Route("/", doors.page),
            Mount("/page", StaticFiles(directory=str(page))),
        ],
        exception_handlers={Refused: _refusal, HTTPException: _http_refusal, Exception: _failure},
    )
    return _Frame(app, service)


class _Doors:
    """One method per route."""

    def __init__(self, service: Service, page: str) -> None:
        self._service = service
        self._page = page

    async def speech(self, http: Request) -> Response:
        """Speak a text."""
        service = self._service
        asked = request.parse(await _body(http, request.most_bytes(service.order.limits.max_characters)))
        serving = self._require_serving()
        if asked.model != service.order.model_name:
            message = f"there is no model '{asked.model}' here; this server speaks as '{service.order.model_name}'"
            raise Refused("UnknownModel", message, param="model")
        settings = asked.settings(serving.manifest.preset)
        speaker, limit = serving.speaker, service.order.limits.max_characters
        speaker.check(asked.input, settings, limit)

        def work(abandoned: threading.Event) -> tuple[bytes, float]:
            spoken = speaker.say(asked.input, settings, abandoned)
            return encoding.encode(spoken, asked.response_format), spoken.duration_s

        data, audio_s = await _unless_gone(http, service.desk.ask(work))
        service.telemetry.spoke(len(asked.input), audio_s)
        headers = {
            "X-Kelong-Step": str(serving.manifest.step),
            "X-Kelong-Seed": str(settings.seed),
            "Content-Disposition": f'inline; filename="speech.{asked.response_format}"',
        }
        if asked.instructions:
            headers["X-Kelong-Ignored"] = "instructions"
        return Response(data, media_type=encoding.MEDIA_TYPES[asked.response_format], headers=headers)

    async def models(self, http: Request) -> Response:
        """The one model of this server, in OpenAI's form."""
        serving = self._require_serving()
        return JSONResponse({"object": "list", "data": [_describe(self._service.order, serving)]})

    async def model(self, http: Request) -> Response:
        """The model by its name."""
        serving, name = self._require_serving(), self._service.order.model_name
        if http.path_params["name"] != name:
            raise Refused("UnknownModel", f"there is no model '{http.path_params['name']}' here, only '{name}'")
        return JSONResponse(_describe(self._service.order, serving))

    async def health(self, http: Request) -> Response:
        """The process answers: for a liveness probe."""
        return PlainTextResponse("ok\n")

    async def readiness(self, http: Request) -> Response:
        """The voice has spoken its warm-up and the process is not ending: for a readiness probe."""
        if self._service.draining:
            return PlainTextResponse("ending: serving what still comes, send new requests elsewhere\n", 503)
        if self._service.serving is None:
            return PlainTextResponse("loading the voice\n", 503)
        return PlainTextResponse("ready\n")

    async def metrics(self, http: Request) -> Response:
        """Prometheus's view."""
        return Response(self._service.telemetry.exposition(), headers={"Content-Type": telemetry.CONTENT_TYPE})

    async def page(self, http: Request) -> Response:
        """The page for people."""
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
        return FileResponse(self._page, headers=headers)

    def _require_serving(self) -> Serving:
        if self._service.serving is None:
            message = f"the voice '{self._service.order.model_name}' is still being loaded"
            raise Refused("NotReady", message, retry_after_s=NOT_READY_RETRY_S)
        return self._service.serving


class _Frame:
    """Around every answer: what is counted, and how kept-alive clients are sent away while the process ends."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-content-type-options", b"nosniff"))
                if self._service.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if scope["path"] == SPEECH_PATH:
                elapsed_s = time.perf_counter() - begun
                self._service.telemetry.answered(status, elapsed_s)
                log.info("speech answered: status=%d elapsed_s=%.3f", status, elapsed_s)


async def _body(http: Request, most_bytes: int) -> bytes:
    """The JSON body, of bounded size and within bounded time."""
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        shown = f"'{kind}'" if kind else "missing"
        raise Refused("UnsupportedMediaType", f"the Content-Type is {shown}, expected application/json")
    too_large = Refused("TooLarge", f"the body is larger than {most_bytes} bytes, the most a permitted text can need")
    declared = http.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in http.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise too_large
    except TimeoutError:
        raise Refused("TooSlow", f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None
    except ClientDisconnect:
        raise Refused("Gone", "the client left before its request was complete") from None
    return bytes(body)


async def _unless_gone(http: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client hangs up first."""
    job = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hang_up(http.receive))
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            return job.result()
        raise Refused("Gone", "the client left before its speech was ready")
    finally:
        job.cancel()
        gone.cancel()


async def _hang_up(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _describe(order: ServingOrder, serving: Serving) -> dict[str, object]:
    """OpenAI's model object; `kelong` says which step speaks, as whom, how, and within which limits."""
    manifest = serving.manifest
    manner = presets.settings(manifest.preset)
    return {
        "id": order.model_name,
        "object": "model",
        "created": int(datetime.fromisoformat(manifest.created_at).timestamp()),
        "owned_by": "kelong",
        "kelong": {
            "step": manifest.step,
            "preset": manifest.preset,
            "precision": serving.speaker.precision,
            "speakers": sorted(manifest.speakers, key=manifest.speakers.__getitem__),
            "max_characters": order.limits.max_characters,
            "defaults": {"sdp_ratio": manner.sdp_ratio, "noise": manner.noise, "noise_w": manner.noise_w},
        },
    }


async def _refusal(http: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return errors.answer(error)


async def _http_refusal(http: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, wrong method) in the same form."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        response: Response = errors.answer(
            Refused("MethodNotAllowed", f"{http.url.path} does not take {http.method}; it takes {allowed}")
        )
        response.headers["Allow"] = allowed
        return response
    return errors.answer(Refused("NotFound", f"there is nothing at {http.url.path}"))


async def _failure(http: Request, error: Exception) -> Response:
    """A fault of ours. Starlette raises the error again after this answer, so that the log has its traceback."""
    return errors.answer(Refused("Internal", "speaking failed; the server's log says why"))
