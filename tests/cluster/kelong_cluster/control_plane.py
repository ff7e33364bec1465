"""etcd and the Kubernetes control plane, inside the node's namespaces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kelong_cluster import binaries, commands, namespaces, pki

SERVER = f"https://{namespaces.NODE_ADDRESS}:6443"
POD_RANGE = "10.244.0.0/16"
NODE_NAME = "node-1"
_SERVICE_RANGE = "10.96.0.0/16"
_FIRST_SERVICE_ADDRESS = "10.96.0.1"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one node runs: its namespaces, its folder and its certificates."""

    spaces: namespaces.Namespaces
    folder: Path
    authority: pki.Authority

    @property
    def admin_kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.authority.folder / "admin.kubeconfig"

    def log(self, name: str) -> Path:
        """A program's log."""
        return self.folder / "logs" / f"{name}.log"

    def start(self, name: str, *argv: str | Path) -> None:
        """Start a program inside the namespaces, which it does not outlive, with its output in its log."""
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": _PATH, "HOME": str(self.folder), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
        words = [str(word) for word in argv]
        self.spaces.start(words, self.log(name), folder=self.folder, environment=environment)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as administrator and return what it prints."""
        argv: list[str | Path] = [
            *self.spaces.enter_network,
            binaries.path("kubectl"),
            "--kubeconfig",
            self.admin_kubeconfig,
        ]
        return commands.run([*argv, *arguments], stdin=stdin, check=check, timeout_s=120).stdout


def issue(authority: pki.Authority) -> None:
    """Certificates and kubeconfigs for every part."""
    server_names = ("kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost")
    addresses = ("127.0.0.1", _FIRST_SERVICE_ADDRESS, namespaces.NODE_ADDRESS)
    masters, nodes = "system:masters", "system:nodes"
    kubelet_name = f"system:node:{NODE_NAME}"
    for identity in (
        pki.Identity(name="apiserver", common_name="kube-apiserver", addresses=(*addresses, *server_names)),
        pki.Identity(name="kubelet-server", common_name=kubelet_name, organisation=nodes,
                     addresses=(namespaces.NODE_ADDRESS, NODE_NAME)),
        pki.Identity(name="apiserver-kubelet", common_name="kube-apiserver-kubelet-client", organisation=masters),
        pki.Identity(name="admin", common_name="kelong-admin", organisation=masters),
        pki.Identity(name="controller-manager", common_name="system:kube-controller-manager"),
        pki.Identity(name="scheduler", common_name="system:kube-scheduler"),
        pki.Identity(name="proxy", common_name="system:kube-proxy"),
        pki.Identity(name="kubelet", common_name=kubelet_name, organisation=nodes),
    ):  # fmt: skip
        authority.issue(identity)
        if not identity.addresses and identity.name != "apiserver-kubelet":
            authority.kubeconfig(identity.name, SERVER)


def start(place: Place) -> None:
    """Start etcd, the API server, the controller manager and the scheduler; return when the API is ready."""
    _start_etcd(place)
    _start_api_server(place)
    files = place.authority
    place.start(
        "controller-manager",
        binaries.path("kube-controller-manager"),
        f"--kubeconfig={files.folder / 'controller-manager.kubeconfig'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--allocate-node-cidrs",
        f"--cluster-cidr={POD_RANGE}",
        f"--service-cluster-ip-range={_SERVICE_RANGE}",
        f"--cluster-signing-cert-file={files.certificate('ca')}",
        f"--cluster-signing-key-file={files.key('ca')}",
        f"--root-ca-file={files.certificate('ca')}",
        f"--service-account-private-key-file={files.key('service-accounts')}",
        "--node-monitor-grace-period=180s",  # a machine with two busy cores answers late, and is not dead
        "--bind-address=127.0.0.1",
        f"--cert-dir={place.folder / 'certificates'}",
    )
    place.start(
        "scheduler",
        binaries.path("kube-scheduler"),
        f"--kubeconfig={files.folder / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={place.folder / 'certificates'}",
    )


def ready(place: Place) -> bool:
    """Whether the API server says that it is ready."""
    return place.kubectl("get", "--raw=/readyz", "--request-timeout=5s", check=False).strip() == "ok"


def _start_etcd(place: Place) -> None:
    place.start(
        "etcd",
        binaries.path("etcd"),
        f"--data-dir={place.folder / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # the data ends with the node
        "--log-level=warn",
    )


def _start_api_server(place: Place) -> None:
    files = place.authority
    place.start(
        "apiserver",
        binaries.path("kube-apiserver"),
        "--etcd-servers=http://127.0.0.1:2379",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,PodSecurity",
        "--allow-privileged",
        f"--service-cluster-ip-range={_SERVICE_RANGE}",
        f"--advertise-address={namespaces.NODE_ADDRESS}",
        f"--client-ca-file={files.certificate('ca')}",
        f"--tls-cert-file={files.certificate('apiserver')}",
        f"--tls-private-key-file={files.key('apiserver')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.folder / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={files.key('service-accounts')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={files.certificate('ca')}",
        f"--kubelet-client-certificate={files.certificate('apiserver-kubelet')}",
        f"--kubelet-client-key={files.key('apiserver-kubelet')}",
        f"--cert-dir={place.folder / 'certificates'}",
    )
    commands.wait_until(lambda: ready(place), what="a ready Kubernetes API", timeout_s=180, log=place.log("apiserver"))
