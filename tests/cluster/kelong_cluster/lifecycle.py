"""Bring the node up, look at it, take it down; `cluster.py` and the tests' fixture call it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from kelong_cluster import binaries, cache, commands, containers, control_plane, host, images, namespaces, node, pki

_TAKEN = "another process is using the test node (a test run, or another `cluster.py`): wait for its end"


@dataclass(frozen=True, kw_only=True)
class Lent:
    """A node and the references of the images it holds, by name."""

    place: control_plane.Place
    images: dict[str, str]


def up() -> Lent:
    """The node, left running: a healthy one gets the newest images, anything else is replaced."""
    with cache.lock("node", otherwise=_TAKEN):
        references = _prepare()
        place = running()
        if place is not None:
            if control_plane.ready(place) and node.ready(place):
                containers.load(place, set(references.values()))
                return Lent(place=place, images=references)
            commands.say("the node is not well: starting it anew")
        return Lent(place=_start(references, dies_with_caller=False), images=references)


@contextlib.contextmanager
def borrowed(uncaptured: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext) -> Iterator[Lent]:
    """A node that ends with the block, and with this process; `uncaptured` surrounds the parts that report progress."""
    with cache.lock("node", otherwise=_TAKEN):
        found = namespaces.find()
        if found is not None and not found.dies_with_caller:
            raise commands.ClusterError(
                "a node started by `make cluster` is up: end it with `tests/cluster/cluster.py down`, "
                "or name another cluster's context in KELONG_TEST_CONTEXT"
            )
        with uncaptured():
            references = _prepare()
            place = _start(references, dies_with_caller=True)
        try:
            yield Lent(place=place, images=references)
        finally:
            _clear(place.spaces)


def down() -> None:
    """End the node and remove what it left, also one that crashed."""
    with cache.lock("node", otherwise=_TAKEN):
        _clear()


def clean() -> None:
    """End the node and empty the caches of programs, images and the node's disk."""
    down()
    for name in ("binaries", "build", "node", "logs"):
        shutil.rmtree(cache.root() / name, ignore_errors=True)


def running() -> control_plane.Place | None:
    """The living node, well or not."""
    spaces = namespaces.find()
    if spaces is None:
        return None
    folder = namespaces.run_folder()
    return control_plane.Place(spaces=spaces, folder=folder, authority=pki.Authority(folder / "pki"))


def _prepare() -> dict[str, str]:
    """Build what the caches lack: the programs use the processors while the images wait for downloads."""
    host.prepare()
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as beside:
        programs = beside.submit(binaries.ensure)
        references = images.ensure()
        programs.result()
    return references


def _start(references: dict[str, str], *, dies_with_caller: bool) -> control_plane.Place:
    _clear()
    begun = time.monotonic()
    spaces = None
    folder = namespaces.run_folder()
    folder.mkdir(parents=True)
    try:
        authority = pki.Authority(folder / "pki")
        authority.create()
        control_plane.issue(authority)
        spaces = namespaces.create(dies_with_caller=dies_with_caller)
        place = control_plane.Place(spaces=spaces, folder=folder, authority=authority)
        containers.start(place, references["pause"])
        control_plane.start(place)
        containers.load(place, set(references.values()))
        node.start(place)
    except BaseException:
        _clear(spaces)
        raise
    commands.say(f"the node is ready after {time.monotonic() - begun:.0f} s")
    return place


def _clear(known: namespaces.Namespaces | None = None) -> None:
    spaces = known or namespaces.find()
    if spaces is not None:
        namespaces.destroy(spaces)
    namespaces.sweep()
