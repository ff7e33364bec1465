"""The server's Prometheus metrics: one registry per process, every family as the contract names it."""

from __future__ import annotations

import prometheus_client
from kelong_contract import metrics
from kelong_contract.orders import Precision

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


class Telemetry:
    """What is counted while one model is served. Labels never hold what a client sent."""

    def __init__(self, model_name: str) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        prometheus_client.GCCollector(registry=self._registry)
        self._model = model_name
        self._requests = metrics.counter(metrics.REQUESTS, self._registry)
        self._request_seconds = metrics.histogram(metrics.REQUEST_SECONDS, self._registry).labels(model_name)
        self._audio_seconds = metrics.counter(metrics.AUDIO_SECONDS, self._registry).labels(model_name)
        self._characters = metrics.counter(metrics.CHARACTERS, self._registry).labels(model_name)
        self._queue = metrics.gauge(metrics.QUEUE, self._registry).labels(model_name)
        self._step = metrics.gauge(metrics.SERVING_STEP, self._registry).labels(model_name)
        self._precision = metrics.gauge(metrics.SERVING_PRECISION, self._registry)
        self._warm_up = metrics.gauge(metrics.WARM_UP_RTF, self._registry).labels(model_name)

    def answered(self, status: int, elapsed_s: float) -> None:
        """A speech request was answered, its last byte sent."""
        self._requests.labels(self._model, str(status)).inc()
        self._request_seconds.observe(elapsed_s)

    def spoke(self, characters: int, audio_s: float) -> None:
        """A text was spoken."""
        self._characters.inc(characters)
        self._audio_seconds.inc(audio_s)

    def queued(self, count: int) -> None:
        """So many requests wait or are spoken now."""
        self._queue.set(count)

    def ready(self, step: int, precision: Precision, real_time_factor: float) -> None:
        """The weights of a step are loaded and a warm-up utterance was spoken."""
        self._step.set(step)
        self._precision.labels(self._model, precision).set(1)
        self._warm_up.set(real_time_factor)

    def exposition(self) -> bytes:
        """All families in Prometheus's text form."""
        return prometheus_client.generate_latest(self._registry)
