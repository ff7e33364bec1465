"""The node itself: kubelet, kube-proxy, cluster DNS and the GPUs it is said to have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from kelong_cluster import binaries, commands, containers, control_plane, namespaces

GPU_RESOURCE = "nvidia.com/gpu"
GPU_PRODUCT = "NVIDIA-Test-GPU"
GPU_COUNT = 2
_DOMAIN = "cluster.local"


def start(place: control_plane.Place) -> None:
    """Start the node's programs; return when the node is Ready and has its GPUs."""
    _start_kubelet(place)
    _start_proxy(place)
    _start_dns(place)
    commands.wait_until(lambda: ready(place), what="a Ready node", timeout_s=120, log=place.log("kubelet"))
    _give_gpus(place)


def ready(place: control_plane.Place) -> bool:
    """Whether the node has registered and says that it is Ready."""
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return place.kubectl("get", "node", control_plane.NODE_NAME, f"-o=jsonpath={path}", check=False) == "True"


def _start_kubelet(place: control_plane.Place) -> None:
    namespaces.make_cgroup()
    files = place.authority
    resolver = place.folder / "resolv.conf"
    resolver.write_text(f"nameserver {namespaces.NODE_ADDRESS}\n")
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(files.certificate("ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{namespaces.cgroup()}",
        "clusterDNS": [namespaces.NODE_ADDRESS],
        "clusterDomain": _DOMAIN,
        "containerRuntimeEndpoint": f"unix://{containers.SOCKET}",
        # A developer's disk is often nearly full and its memory shared: the node must not evict for that.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "oomScoreAdj": 0,
        "resolvConf": str(resolver),
        "tlsCertFile": str(files.certificate("kubelet-server")),
        "tlsPrivateKeyFile": str(files.key("kubelet-server")),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }
    place.start(
        "kubelet",
        binaries.path("kubelet"),
        f"--config={_write(place, 'kubelet.json', settings)}",
        f"--kubeconfig={files.folder / 'kubelet.kubeconfig'}",
        f"--hostname-override={control_plane.NODE_NAME}",
        f"--node-ip={namespaces.NODE_ADDRESS}",
        f"--node-labels=nvidia.com/gpu.product={GPU_PRODUCT}",
    )


def _start_proxy(place: control_plane.Place) -> None:
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(place.authority.folder / "proxy.kubeconfig")},
        "clusterCIDR": control_plane.POD_RANGE,
        "hostnameOverride": control_plane.NODE_NAME,
        # These limits belong to the whole machine: left as they are.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    place.start("proxy", binaries.path("kube-proxy"), f"--config={_write(place, 'proxy.json', settings)}")


def _start_dns(place: control_plane.Place) -> None:
    corefile = place.folder / "Corefile"
    corefile.write_text(
        f".:53 {{\n  bind {namespaces.NODE_ADDRESS}\n  errors\n"
        f"  kubernetes {_DOMAIN} in-addr.arpa {{\n    kubeconfig {place.admin_kubeconfig}\n  }}\n}}\n"
    )
    place.start("coredns", binaries.path("coredns"), "-conf", corefile)


def _give_gpus(place: control_plane.Place) -> None:
    """Advertise GPUs as an extended resource: scheduler and quota then treat the node as one that has them."""
    name = GPU_RESOURCE.replace("/", "~1")
    patch = [{"op": "add", "path": f"/status/capacity/{name}", "value": str(GPU_COUNT)}]
    node = f"node/{control_plane.NODE_NAME}"
    place.kubectl("patch", node, "--subresource=status", "--type=json", f"--patch={json.dumps(patch)}")
    path = "{.status.allocatable." + GPU_RESOURCE.replace(".", r"\.") + "}"
    commands.wait_until(
        lambda: place.kubectl("get", node, f"-o=jsonpath={path}") == str(GPU_COUNT),
        what=f"a node with {GPU_COUNT} of {GPU_RESOURCE}",
        timeout_s=60,
    )


def _write(place: control_plane.Place, name: str, settings: Mapping[str, object]) -> Path:
    path = place.folder / name
    path.write_text(json.dumps(settings, indent=1))
    return path
