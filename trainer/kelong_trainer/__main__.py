"""The trainer's front door: read the order, prepare the corpus, train, publish. The same in a pod and on a laptop.

    python -m kelong_trainer [train] --order FILE

Where the order asks for several ranks, the process that is started so starts and watches them.

The verbs import, export and mirror bring models into the store and out of it, each with a --help of its own.

Exit codes: 0 the last step is saved and nothing is left to do; 75 stopped on SIGTERM, everything saved; 64 the order or
the environment is wrong; 65 the data is unusable or training diverged; anything else is a fault that trying again may
cure.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from kelong_contract import (
    codec,
    conditions,
    environment,
    farewell,
    layout,
    manifests,
    names,
    orders,
    patience,
    presets,
)
from kelong_contract import store as stores
from tqdm.contrib import logging as tqdm_logging

from kelong_trainer import launch, lease, telemetry
from kelong_trainer.context import PROGRAM, BadData, BadOrder, Faulty, Refused, RunContext, Stopped

if TYPE_CHECKING:  # at run time it is imported by who computes: only then must a wrong order or a stop wait for it
    import torch

MODEL_VERBS = ("import", "export", "mirror")
log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trainer; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in MODEL_VERBS:
        signal.signal(signal.SIGTERM, _leave)  # until the verb has its own: the import takes seconds
        from kelong_trainer.interchange import doors  # with torch, which the trainer's own door must not wait for

        return doors.main(given[0], given[1:])
    _on_stop(_leave)
    order_file = _arguments(given[1:] if given[:1] == ["train"] else given).order
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # the stage says how far it is
    try:
        settings = environment.read(os.environ)
    except environment.BadEnvironment as error:
        farewell.say(PROGRAM, str(error), reason=conditions.BAD_ORDER)
        return names.EXIT_BAD_ORDER
    bars = tqdm_logging.logging_redirect_tqdm() if sys.stderr.isatty() else contextlib.nullcontext()
    with bars:
        return _run(order_file, settings)


def _on_stop(handler: Callable[..., None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _leave(*_: object) -> None:
    """Go at once, whatever is being imported: nothing has begun that could be saved.

    Without a handler a container's first process would not even be ended by SIGTERM.
    """
    farewell.say(PROGRAM, "stopped: asked to stop before anything began")
    os._exit(names.EXIT_SAVED)


def _run(order_file: pathlib.Path, settings: environment.Environment) -> int:
    try:
        order = _read_order(order_file, settings)
        seat = launch.seat(order, os.environ)
        if seat is None:
            return launch.run(order_file, order, os.environ, is_reviewed=_is_reviewed(order, settings))
        if seat.size > 1:
            launch.leave_with_the_launcher()
        (_train if seat.leads else _follow)(order, settings, seat)
    except BadOrder as error:
        _say(error.message, reason=error.reason)
        return names.EXIT_BAD_ORDER
    except BadData as error:
        _say(error.message, reason=error.reason)
        return names.EXIT_BAD_DATA
    except Stopped as error:
        _say(f"stopped: {error}")
        return names.EXIT_SAVED
    except (Faulty, stores.LocalDiskError) as error:
        _say(str(error))
        return 1
    except stores.StoreError as error:
        _say(f"the store failed: {error}")
        return 1
    return names.EXIT_DONE


def _is_reviewed(order: orders.TrainingOrder, settings: environment.Environment) -> bool:
    """Whether training may begin: nobody asks for a review of the corpus, or training has begun with it before."""
    if not order.review:
        return True
    store = patience.PatientStore(settings.open_store(), threading.Event())
    return store.exists(layout.corpus(order.voice.place()))


def _say(sentence: str, reason: str | None = None) -> None:
    farewell.say(PROGRAM, sentence, reason, among_others=names.ENV_RANK in os.environ)


def _train(order: orders.TrainingOrder, settings: environment.Environment, seat: launch.Seat) -> None:
    """Prepare, train and publish: what the first rank does, or the only one."""
    from kelong_speech import device

    from kelong_trainer import pipeline  # seconds, in which a stop still ends the process at once
    from kelong_trainer.training import loop

    stopping = threading.Event()
    _on_stop(lambda *_: stopping.set())
    _set_threads(settings.threads)
    store = patience.PatientStore(settings.open_store(), stopping)
    taken = lease.take(store, order.voice.place(), settings.pod_name)

    def superseded() -> bool:
        if taken.lost():
            stopping.set()
        return taken.lost()

    told = telemetry.Telemetry(
        store=store,
        place=order.voice.place(),
        progress=_first_progress(store, order, taken.attempt, settings.pod_name),
        superseded=superseded,
    )
    with _telling(told):
        told.start(settings.metrics_port)
        chosen = _device(order, seat)
        told.runs_on(device.describe(chosen))
        context = RunContext(
            order=order,
            order_digest=codec.digest(order),
            attempt=taken.attempt,
            store=store,
            environment=settings,
            work_dir=settings.work_dir,
            threads=settings.threads,
            device=chosen,
            telemetry=told,
            stopping=stopping,
        )
        settings.work_dir.mkdir(parents=True, exist_ok=True)
        loop.train(context, pipeline.prepare(context), taken, seat)
        told.done()


@contextlib.contextmanager
def _telling(told: telemetry.Telemetry) -> Iterator[None]:
    """Tell the store why the trainer ends early, if that is for a person to know, and whatever was not told yet."""
    try:
        yield
    except Refused as error:
        told.problem(error.reason, error.message)
        raise
    except Faulty as error:
        told.problem(conditions.TRAINING_FAILED, str(error))
        raise
    finally:
        told.close()


def _follow(order: orders.TrainingOrder, settings: environment.Environment, seat: launch.Seat) -> None:
    """Train beside the first rank, which alone takes an attempt, reports and writes to the store."""
    from kelong_speech import device

    from kelong_trainer.training import loop  # seconds, in which a stop still ends the process at once

    stopping = threading.Event()
    _on_stop(lambda *_: stopping.set())
    _set_threads(settings.threads)
    if seat.local_rank == 0:
        telemetry.serve_nothing(settings.metrics_port)
    chosen = _device(order, seat)
    silent = telemetry.Telemetry(
        store=settings.open_store(),
        place=order.voice.place(),
        progress=_begun(order, 0, settings.pod_name, device.describe(chosen)),
    )
    context = RunContext(
        order=order,
        order_digest=codec.digest(order),
        attempt=0,
        store=patience.PatientStore(settings.open_store(), stopping),
        environment=settings,
        work_dir=settings.work_dir / f"rank-{seat.rank}",  # what several ranks of a pod fetch must not meet there
        threads=settings.threads,
        device=chosen,
        telemetry=silent,
        stopping=stopping,
    )
    context.work_dir.mkdir(parents=True, exist_ok=True)
    loop.follow(context, seat)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    head, _, codes = (__doc__ or "").partition("\n\n    python")
    parser = argparse.ArgumentParser(
        prog="python -m kelong_trainer",
        description=head,
        epilog="The environment says where the store is (KELONG_STORE_URL and its keys), where to work "
        "(KELONG_WORK_DIR), how many threads to use (KELONG_THREADS; by default what the cgroup allows) and on which "
        "port to serve Prometheus metrics (KELONG_METRICS_PORT; 0: none). " + codes.partition("\n\n")[2],
    )
    parser.add_argument(
        "--order",
        type=pathlib.Path,
        metavar="FILE",
        default=pathlib.Path(names.ORDER_MOUNT) / names.ORDER_FILE,
        help="the TrainingOrder, a JSON file (default: %(default)s, where pods find it)",
    )
    return parser.parse_args(arguments)


def _read_order(path: pathlib.Path, settings: environment.Environment) -> orders.TrainingOrder:
    """The order; raises BadOrder naming all that is wrong with it, and tells the store if it names a voice."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadOrder(conditions.BAD_ORDER, f"the order {path} cannot be read: {error.strerror}") from None
    try:
        return presets.read_order(data, f"the order {path}")
    except codec.Malformed as error:
        refused = BadOrder(conditions.BAD_ORDER, str(error))
        _tell_store(data, refused, settings)
        raise refused from None


def _tell_store(data: bytes, refused: BadOrder, settings: environment.Environment) -> None:
    """Write why the order was refused where the operator looks, as far as the order says where that is."""
    try:
        voice = codec.decode(orders.VoiceName, json.loads(data)["voice"], "the order's voice")
    except (codec.Malformed, ValueError, TypeError, KeyError):
        return  # no voice is named, so there is no such place: standard error has the reason
    progress = manifests.Progress(
        attempt=0,
        order_digest=stores.digest_bytes(data),
        updated_at=telemetry.now(),
        stage="order",
        device="",
        step=0,
        max_steps=0,
        pod=settings.pod_name,
        problem=manifests.Problem(reason=refused.reason, message=refused.message),
    )
    try:
        settings.open_store().put(layout.progress(voice.place()), codec.dumps(progress), "application/json")
    except stores.StoreError as error:
        log.warning("the store was not told: %s", error)


def _first_progress(store: stores.Store, order: orders.TrainingOrder, attempt: int, pod: str) -> manifests.Progress:
    """Where things stand as this attempt begins: what the attempt before this one said of the voice stays true."""
    key = layout.progress(order.voice.place())
    begun = _begun(order, attempt, pod)
    try:
        before = codec.loads(manifests.Progress, store.get(key), key)
    except stores.NoSuchObject:
        return begun
    except codec.Malformed as error:
        log.warning("%s", error)
        return begun
    return dataclasses.replace(
        begun, step=before.step, started_at=before.started_at, finished_stages=before.finished_stages
    )


def _begun(order: orders.TrainingOrder, attempt: int, pod: str, device: str = "") -> manifests.Progress:
    return manifests.Progress(
        attempt=attempt,
        order_digest=codec.digest(order),
        updated_at=telemetry.now(),
        stage="start",
        device=device,
        step=0,
        max_steps=order.training.max_steps,
        pod=pod,
    )


def _device(order: orders.TrainingOrder, seat: launch.Seat) -> torch.device:
    import torch
    from kelong_speech import device

    try:
        chosen = device.choose(order.device)
    except device.GPUUnusable as error:
        raise BadOrder(conditions.GPU_UNUSABLE, str(error)) from None
    if chosen.type == "cuda":
        torch.cuda.set_device(seat.local_rank)
    return chosen


def _set_threads(threads: int) -> None:
    """For everything that computes, also in processes that we start."""
    import torch

    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


if __name__ == "__main__":
    sys.exit(main())
