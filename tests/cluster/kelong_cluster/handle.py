"""A cluster as a test uses it: the built-in node, or the one that a context of the user's kubeconfig names."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kelong_cluster import binaries, commands, control_plane, forwarding, host, images, namespaces, node, prometheus


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """How to talk to one cluster; everything is addressed by name, nothing by machine."""

    kubectl_argv: tuple[str, ...]
    helm_argv: tuple[str, ...]
    images: dict[str, str]
    gpu_resource: str
    gpu_product: str | None
    spaces: namespaces.Namespaces | None = field(default=None)  # the built-in node's

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; with `check`, a failure raises with its words."""
        return commands.run([*self.kubectl_argv, *arguments], stdin=stdin, check=check, timeout_s=timeout_s)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get … -o json` answers."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, *manifests: dict[str, Any], namespace: str = "default") -> None:
        """Apply manifests."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=text)

    def helm(self, *arguments: str, check: bool = True, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run helm."""
        return commands.run([*self.helm_argv, *arguments], check=check, timeout_s=timeout_s)

    def run(self, argv: Sequence[str | Path], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in the cluster's network; on another cluster than the built-in node, in the host's."""
        enter = self.spaces.enter_network if self.spaces else []
        return commands.run([*enter, *argv], check=check)

    @contextlib.contextmanager
    def forward(self, namespace: str, target: str, port: int) -> Iterator[str]:
        """Yield a local `127.0.0.1:PORT` that leads to `pod/NAME` or `service/NAME`.

        On the built-in node a service is reached by its own address, so each new connection is balanced as a pod's
        would be; on another cluster `kubectl port-forward` carries it, which stays with one pod.
        """
        if self.spaces is None:
            with self._kubectl_forward(namespace, target, port) as address:
                yield address
            return
        found = self.get("--namespace", namespace, target)
        host_address = found["spec"]["clusterIP"] if found["kind"] == "Service" else found["status"]["podIP"]
        spaces = self.spaces
        with forwarding.to(lambda: spaces.connect((host_address, port), timeout_s=30)) as address:
            yield address

    @contextlib.contextmanager
    def balanced(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Yield an address (`127.0.0.1:PORT`, perhaps with a path) whose calls spread over a service's ready pods.

        On another cluster they go through the API server's service proxy, which chooses a pod for each.
        """
        if self.spaces is not None:
            with self.forward(namespace, f"service/{service}", port) as address:
                yield address
            return
        with prometheus.api_server(self.kubectl_argv) as address:
            yield f"{address}/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy"

    def kill(self, namespace: str, pod: str, program: str) -> None:
        """End a pod's Python program without warning: SIGKILL on the built-in node, a forced deletion elsewhere."""
        if self.spaces is None:
            self.kubectl("--namespace", namespace, "delete", f"pod/{pod}", "--force", "--grace-period=0")
        else:
            host.kill_program(program, pod)

    @contextlib.contextmanager
    def prometheus(self, folder: Path) -> Iterator[str]:
        """Yield the `127.0.0.1:PORT` of a Prometheus scraping every pod annotated for it, through the API server."""
        spaces = self.spaces
        with contextlib.ExitStack() as stack:
            enter = spaces.enter_network if spaces else []
            address = stack.enter_context(prometheus.running(self.kubectl_argv, enter, folder))
            near = ":".join(map(str, address))
            if spaces is not None:
                near = stack.enter_context(forwarding.to(lambda: spaces.connect(address, timeout_s=30)))
            commands.wait_until(
                lambda: prometheus.is_ready(near),
                what="a ready Prometheus",
                timeout_s=60,
                log=folder / "prometheus" / "log",
            )
            yield near

    @contextlib.contextmanager
    def _kubectl_forward(self, namespace: str, target: str, port: int) -> Iterator[str]:
        argv = [
            *host.ending_with_caller(),
            *self.kubectl_argv,
            "--namespace",
            namespace,
            "port-forward",
            target,
            f":{port}",
        ]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline()
                matched = re.search(r"127\.0\.0\.1:\d+", said)
                if matched is None:
                    raise commands.ClusterError(f"kubectl port-forward to {target} in {namespace} said {said!r}")
                yield matched.group()
            finally:
                process.terminate()


def of_node(place: control_plane.Place, references: dict[str, str]) -> Cluster:
    """The built-in node's handle."""
    enter, kubeconfig = place.spaces.enter_network, str(place.admin_kubeconfig)
    return Cluster(
        kubectl_argv=(*enter, str(binaries.path("kubectl")), "--kubeconfig", kubeconfig),
        helm_argv=(*enter, str(binaries.path("helm")), "--kubeconfig", kubeconfig),
        images=references,
        gpu_resource=node.GPU_RESOURCE,
        gpu_product=node.GPU_PRODUCT,
        spaces=place.spaces,
    )


def of_context(context: str, images_at: str) -> Cluster:
    """The handle of the cluster that a kubeconfig context names, which can pull `PREFIX/operator:TAG` and the others.

    `images_at` is `PREFIX:TAG`.
    """
    prefix, _, tag = images_at.rpartition(":")
    if not prefix or "/" in tag:
        raise commands.ClusterError(
            f"KELONG_TEST_IMAGES={images_at}: expected PREFIX:TAG, such as example.com/kelong:1"
        )
    if context not in commands.run([_tool("kubectl"), "config", "get-contexts", "--output=name"]).stdout.split():
        raise commands.ClusterError(f"KELONG_TEST_CONTEXT={context}: your kubeconfig has no context of that name")
    return Cluster(
        kubectl_argv=(_tool("kubectl"), "--context", context),
        helm_argv=(_tool("helm"), "--kube-context", context),
        images={name: f"{prefix}/{name}:{tag}" for name in images.NAMES},
        gpu_resource=node.GPU_RESOURCE,
        gpu_product=None,
    )


def _tool(name: str) -> str:
    """The machine's own kubectl or helm, else the pinned one."""
    own = host.find(name)
    if own:
        return own
    binaries.ensure({"kubernetes" if name == "kubectl" else name})
    return str(binaries.path(name))
