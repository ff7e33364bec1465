"""The operator's metrics, under the names that `kelong_contract.metrics` gives them."""

from __future__ import annotations

import threading

import prometheus_client
from kelong_contract import metrics


class Telemetry:
    """Counts what the operator does. Any thread may call."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self._reconciles = metrics.counter(metrics.RECONCILES, self.registry)
        self._seconds = metrics.histogram(metrics.RECONCILE_SECONDS, self.registry)
        self._queue = metrics.gauge(metrics.QUEUE_DEPTH, self.registry)
        self._resources = metrics.gauge(metrics.RESOURCES, self.registry)
        self._writes = metrics.counter(metrics.API_WRITES, self.registry)
        self._heartbeat = metrics.gauge(metrics.HEARTBEAT_AGE, self.registry)
        self._reasons: dict[tuple[str, str, str], str] = {}
        self._lock = threading.Lock()

    def reconciled(self, kind: str, result: str, took_s: float) -> None:
        """A key was dealt with."""
        self._reconciles.labels(kind, result).inc()
        self._seconds.labels(kind).observe(took_s)

    def waiting(self, keys: int) -> None:
        """So many keys wait."""
        self._queue.set(keys)

    def wrote(self, kind: str, verb: str) -> None:
        """Something was written to the API server."""
        self._writes.labels(kind, verb).inc()

    def heard(self, age_s: float) -> None:
        """How long ago the watcher delivered something."""
        self._heartbeat.set(age_s)

    def stands(self, kind: str, namespace: str, name: str, reason: str | None) -> None:
        """The Ready reason of a resource; None when it is gone."""
        with self._lock:
            before = self._reasons.pop((kind, namespace, name), None)
            if before is not None:
                self._resources.labels(kind, before).dec()
            if reason is not None:
                self._reasons[kind, namespace, name] = reason
                self._resources.labels(kind, reason).inc()
