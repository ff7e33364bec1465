"""Everything kopf calls, on one screen. kopf only watches: each handler puts a key into the queue and nothing else.

Only startup, login and event handlers are used. Timers, daemons and delete handlers would put a finalizer on every
object, which then cannot be deleted while the operator is away.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable
from typing import Any

import kopf
from kelong_contract import names

from kelong_operator.health import Pulse
from kelong_operator.reconcile import Reconciler
from kelong_operator.settings import Settings
from kelong_operator.workqueue import Key, Workqueue

_CHILDREN = (("batch", "v1", "jobs"), ("apps", "v1", "deployments"), ("", "v1", "pods"))
_OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
_BEAT_S = 2.0


def register(
    registry: kopf.OperatorRegistry,
    make_queue: Callable[[], Workqueue],
    reconciler: Reconciler,
    settings: Settings,
    pulse: Pulse,
) -> None:
    """Hang the handlers into the registry. The queue is made inside kopf's event loop."""
    tasks: list[asyncio.Task[None]] = []
    queues: list[Workqueue] = []
    workers = settings.workers
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=workers, thread_name_prefix="reconcile")

    async def deal_with(key: Key) -> float | None:
        return await asyncio.get_running_loop().run_in_executor(pool, reconciler.reconcile, key)

    @kopf.on.startup(registry=registry)
    async def begin(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        queue = make_queue()
        queues.append(queue)
        tasks.extend(asyncio.create_task(queue.work(deal_with)) for _ in range(workers))
        tasks.append(asyncio.create_task(_beat(queue, pulse)))

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.shutdown(wait=True, cancel_futures=True)

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    _watch(registry, lambda key: queues[0].add(key), pulse)


def _watch(registry: kopf.OperatorRegistry, add: Callable[[Key], None], pulse: Pulse) -> None:
    """Have the key of whatever is seen added: that of a resource, or of the one that owns a child."""

    @kopf.on.event(names.GROUP, names.VERSION, names.VOICE_MODELS, registry=registry)
    async def voice_model(name: str, namespace: str | None, **_: Any) -> None:
        pulse.heard()
        add(Key(names.VOICE_MODEL, namespace or "", name))

    @kopf.on.event(names.GROUP, names.VERSION, names.SYNTHESIS_JOBS, registry=registry)
    async def synthesis_job(name: str, namespace: str | None, **_: Any) -> None:
        pulse.heard()
        add(Key(names.SYNTHESIS_JOB, namespace or "", name))

    async def child(namespace: str | None, labels: kopf.Labels, **_: Any) -> None:
        pulse.heard()
        kind, owner = labels.get(names.LABEL_KIND), labels.get(names.LABEL_OWNER)
        if kind in (names.VOICE_MODEL, names.SYNTHESIS_JOB) and owner:
            add(Key(kind, namespace or "", owner))

    for group, version, plural in _CHILDREN:
        marks: Any = {names.LABEL_MANAGED_BY: names.MANAGED_BY}
        kopf.on.event(group, version, plural, labels=marks, id=f"child-{plural}", registry=registry)(child)


def configure(settings: kopf.OperatorSettings) -> None:
    """How kopf watches: dead watches are noticed, only our children are streamed, nothing is scanned or posted."""
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    for child in _CHILDREN:
        settings.watching.label_selectors[child] = _OURS
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.enforce_retry_after = True
    settings.queueing.worker_limit = 100  # a worker stays with its object for idle_timeout: set both or neither
    settings.queueing.idle_timeout = 0.1
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{names.GROUP}/finalizer"
    settings.process.ultimate_exiting_timeout = 20


async def _beat(queue: Workqueue, pulse: Pulse) -> None:
    """Tell the liveness probe that the event loop turns and no worker hangs."""
    while True:
        pulse.beat(at=time.monotonic(), longest_work_s=queue.longest_work_s())
        await asyncio.sleep(_BEAT_S)
