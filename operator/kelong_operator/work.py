"""From the configuration to kopf's watching: read what is asked, take the lease, wait for our kinds, watch."""

from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import signal
import socket
import threading
import time
from collections.abc import Mapping

import kopf
import kubernetes.config
from kelong_contract import environment, farewell, names, store

from kelong_operator import cluster, handlers, health
from kelong_operator import settings as configuration
from kelong_operator.apply import Applier
from kelong_operator.cluster import Cluster
from kelong_operator.lease import Lease
from kelong_operator.observe import Observer
from kelong_operator.reconcile import Reconciler
from kelong_operator.settings import Settings
from kelong_operator.telemetry import Telemetry
from kelong_operator.workqueue import Workqueue

PROGRAM = "kelong_operator"
EXIT_FAILED = 1
_LOOK_S = 2.0  # between two looks at what has to be there before work can begin
log = logging.getLogger(PROGRAM)


def run(config: pathlib.Path | None, variables: Mapping[str, str], *, health_port: int) -> int:
    """Work until asked to stop; returns the exit code. Until kopf watches, a stop is a SystemExit."""
    try:
        settings = configuration.read(config or configuration.DEFAULT_PATH)
        own = configuration.own_environment(settings, variables)
        kept = own.open_store()
        connection = cluster.connect()
    except (configuration.BadSettings, environment.BadEnvironment, store.StoreError) as error:
        farewell.say(PROGRAM, str(error))
        return names.EXIT_BAD_ORDER
    except kubernetes.config.ConfigException as error:
        farewell.say(
            PROGRAM, f"there is no cluster to work in: neither a pod's service account nor a kubeconfig ({error})"
        )
        return names.EXIT_BAD_ORDER
    counted = Telemetry()
    pulse = health.Pulse(counted)
    health.serve(pulse, counted, health_port=health_port, metrics_port=own.metrics_port)
    lease = _lease(connection, settings, own, variables)
    try:
        pulse.rest(True)
        if lease is not None:
            lease.wait()
            lease.keep(lost=lambda: os._exit(EXIT_FAILED))  # at once: somebody else works now
        _wait_for_our_kinds(connection)
        pulse.rest(False)
        if settings.store.create_bucket and isinstance(kept, store.BucketStore):
            threading.Thread(target=_make_bucket, args=(kept,), name="bucket", daemon=True).start()
        _watch(settings, connection, kept, counted, pulse)
    finally:
        if lease is not None:
            lease.release()
    return names.EXIT_DONE


def _lease(
    connection: Cluster, settings: Settings, own: environment.Environment, variables: Mapping[str, str]
) -> Lease | None:
    namespace = variables.get(names.ENV_POD_NAMESPACE)
    if not namespace:
        log.warning("%s is not set: no lease is taken, no other operator may run", names.ENV_POD_NAMESPACE)
        return None
    return Lease(connection, namespace, own.pod_name or f"{socket.gethostname()}-{os.getpid()}", settings.lease_seconds)


def _wait_for_our_kinds(connection: Cluster) -> None:
    """Wait for the CustomResourceDefinitions: kopf looks for them once, at its start."""
    said = False
    while True:
        try:
            if connection.serves_our_kinds():
                return
            problem = f"the API server does not know {names.VOICE_MODELS}.{names.GROUP} yet"
        except cluster.ApiError as error:
            problem = str(error)
        if not said:
            log.warning("%s; waiting", problem)
            said = True
        time.sleep(_LOOK_S)


def _make_bucket(kept: store.BucketStore) -> None:
    """Create the bucket as soon as the store answers."""
    while True:
        time.sleep(_LOOK_S)
        try:
            kept.make_bucket()
            return
        except store.StoreError as error:
            log.info("the bucket %s is not there yet: %s", kept.bucket, error)


def _watch(settings: Settings, connection: Cluster, kept: store.Store, counted: Telemetry, pulse: health.Pulse) -> None:
    observer, applier = Observer(connection, kept, settings), Applier(connection, kept, counted)
    reconciler = Reconciler(settings, connection, observer, applier, counted)
    registry = kopf.OperatorRegistry()
    handlers.register(registry, lambda: Workqueue(counted), reconciler, settings, pulse)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())  # from here on kopf ends in order, also before its own come
    kopf.run(
        registry=registry,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=stopping,
    )
