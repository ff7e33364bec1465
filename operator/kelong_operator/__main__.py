"""The front door: `python -m kelong_operator` reads its configuration, takes the lease, and lets kopf watch."""

from __future__ import annotations

import argparse
import logging
import os
import pathlib
import signal
import socket
import sys
import threading
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


def main(arguments: list[str], variables: Mapping[str, str]) -> int:
    """Run the operator until it is asked to stop; returns its exit code."""
    options = _parser(variables).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # one line per event would drown ours
    try:
        settings = configuration.read(options.config)
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
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())  # until kopf takes over
    counted = Telemetry()
    pulse = health.Pulse(counted)
    health.serve(pulse, counted, health_port=options.health_port, metrics_port=own.metrics_port)
    lease = _lease(connection, settings, own, variables)
    pulse.rest(True)
    if not (lease is None or lease.wait(stopping)) or not _wait_for_our_kinds(connection, stopping):
        return names.EXIT_DONE
    pulse.rest(False)
    if settings.store.create_bucket and isinstance(kept, store.BucketStore):
        threading.Thread(target=_make_bucket, args=(kept, stopping), name="bucket", daemon=True).start()
    if lease is not None:
        lease.keep(lost=lambda: os._exit(EXIT_FAILED))  # at once: somebody else works now
    _watch(settings, connection, kept, counted, pulse)
    if lease is not None:
        lease.release()
    return names.EXIT_DONE


def _parser(variables: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Watch VoiceModels and SynthesisJobs and make the cluster agree with them.",
        epilog=f"The store's keys come from {names.ENV_STORE_ACCESS_KEY} and {names.ENV_STORE_SECRET_KEY}. With "
        f"{names.ENV_POD_NAMESPACE} set, a Lease in that namespace lets one operator work at a time.",
    )
    default = pathlib.Path(variables.get(names.ENV_OPERATOR_CONFIG) or configuration.DEFAULT_PATH)
    parser.add_argument(
        "--config", type=pathlib.Path, default=default, metavar="FILE", help="the configuration, as YAML"
    )
    parser.add_argument("--health-port", type=int, default=names.PORT_HEALTH, help="where /healthz is (%(default)s)")
    return parser


def _lease(
    connection: Cluster, settings: Settings, own: environment.Environment, variables: Mapping[str, str]
) -> Lease | None:
    namespace = variables.get(names.ENV_POD_NAMESPACE)
    if not namespace:
        log.warning("%s is not set: no lease is taken, no other operator may run", names.ENV_POD_NAMESPACE)
        return None
    return Lease(connection, namespace, own.pod_name or f"{socket.gethostname()}-{os.getpid()}", settings.lease_seconds)


def _wait_for_our_kinds(connection: Cluster, stopping: threading.Event) -> bool:
    """Wait for the CustomResourceDefinitions: kopf looks for them once, at its start."""
    said = False
    while not stopping.is_set():
        try:
            if connection.serves_our_kinds():
                return True
            problem = f"the API server does not know {names.VOICE_MODELS}.{names.GROUP} yet"
        except cluster.ApiError as error:
            problem = str(error)
        if not said:
            log.warning("%s; waiting", problem)
            said = True
        stopping.wait(_LOOK_S)
    return False


def _make_bucket(kept: store.BucketStore, stopping: threading.Event) -> None:
    """Create the bucket as soon as the store answers."""
    while not stopping.wait(_LOOK_S):
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
    kopf.run(
        registry=registry,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
