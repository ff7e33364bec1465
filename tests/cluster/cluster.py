"""The test node from the command line: `python tests/cluster/cluster.py --help`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable

from kelong_cluster import binaries, commands, control_plane, handle, host, images, installation, lifecycle


def up(_: list[str]) -> int:
    """Start the node, or give a running one the newest images, and install Kelong on it."""
    lent = lifecycle.up()
    commands.say("installing Kelong by its chart, with the try-out MinIO")
    installation.install(handle.of_node(lent.place, lent.images))
    return status([])


def node(_: list[str]) -> int:
    """The same without Kelong: a bare Kubernetes that holds the images."""
    lifecycle.up()
    return status([])


def down(_: list[str]) -> int:
    """End the node and remove everything it left."""
    lifecycle.down()
    return 0


def clean(_: list[str]) -> int:
    """End the node and empty the caches: programs, images, the node's disk."""
    lifecycle.clean()
    return 0


def status(_: list[str]) -> int:
    """Say whether a node runs and how to reach it."""
    place = lifecycle.running()
    if place is None:
        print("no node is up")
        return 1
    print(place.kubectl("get", "nodes,pods", "--all-namespaces", "-o=wide", check=False))
    here = "tests/cluster/cluster.py"
    print(f"kubectl:     {sys.executable} {here} kubectl get pods")
    print(f"a shell:     {sys.executable} {here} shell     (in the cluster's network, with kubectl and helm)")
    print(f"its end:     {sys.executable} {here} down")
    return 0


def build_binaries(_: list[str]) -> int:
    """Build the node's programs that the cache lacks."""
    host.prepare()
    binaries.ensure()
    return 0


def build_images(_: list[str]) -> int:
    """Build the images that the cache lacks, and print their names."""
    host.prepare()
    for name, reference in images.ensure().items():
        print(f"{name}\t{reference}")
    return 0


def kubeconfig(_: list[str]) -> int:
    """Print where the administrator's kubeconfig is."""
    print(_running().admin_kubeconfig)
    return 0


def kubectl(arguments: list[str]) -> int:
    """Run kubectl against the node."""
    return _become(str(binaries.path("kubectl")), arguments)


def helm(arguments: list[str]) -> int:
    """Run helm against the node."""
    return _become(str(binaries.path("helm")), arguments)


def shell(arguments: list[str]) -> int:
    """Run a command, or a shell, in the node's network, with its kubectl, helm and kubeconfig at hand."""
    command = arguments or [os.environ.get("SHELL", "/bin/sh")]
    return _become(command[0], command[1:])


def forward(arguments: list[str]) -> int:
    """Open a local port to NAMESPACE service/NAME PORT, for a browser, until interrupted."""
    if len(arguments) != 3 or not arguments[2].isdigit():
        raise commands.ClusterError(
            "forward expects NAMESPACE service/NAME PORT, as in: forward default service/khazix 8080"
        )
    namespace, target, port = arguments
    with handle.of_node(_running(), {}).forward(namespace, target, int(port)) as address:
        print(f"http://{address}/ leads to {target}; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _become(program: str, arguments: list[str]) -> int:
    place = _running()
    tools = {str(binaries.path(name).parent) for name in ("kubectl", "helm")}
    path = os.pathsep.join([*sorted(tools), os.environ.get("PATH", os.defpath)])
    argv = [*place.spaces.enter_network, program, *arguments]
    os.execvpe(argv[0], argv, {**os.environ, "KUBECONFIG": str(place.admin_kubeconfig), "PATH": path})


def _running() -> control_plane.Place:
    place = lifecycle.running()
    if place is None:
        raise commands.ClusterError("no node is up: start it with `make cluster`")
    return place


_VERBS: dict[str, Callable[[list[str]], int]] = {
    "up": up,
    "node": node,
    "down": down,
    "clean": clean,
    "status": status,
    "binaries": build_binaries,
    "images": build_images,
    "kubeconfig": kubeconfig,
    "kubectl": kubectl,
    "helm": helm,
    "shell": shell,
    "forward": forward,
}


def main() -> int:
    """Do one verb; whatever follows it belongs to the program it runs."""
    verbs = "\n".join(f"  {name:<12}{verb.__doc__}" for name, verb in _VERBS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"verbs:\n{verbs}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=_VERBS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    try:
        return _VERBS[chosen.verb](chosen.arguments)
    except commands.ClusterError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
