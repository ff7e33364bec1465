"""containerd inside the node's namespaces, and the images it holds between starts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

from kelong_cluster import cache, commands, control_plane, host, images

SOCKET = "/run/containerd/containerd.sock"  # in the node's own /run


def start(place: control_plane.Place, pause_image: str) -> None:
    """Start containerd without what a node that was killed left in its records."""
    _configure(place, pause_image)
    _launch(place)
    left = _ctr(place, "containers", "list", "--quiet").split()
    if left:
        # Its Kubernetes part has read them by now and would wait for them: removed, then started once more.
        _ctr(place, "containers", "delete", *left)
        _stop(place)
        _launch(place)


def load(place: control_plane.Place, wanted: set[str]) -> None:
    """Import the images that containerd lacks, and drop older ones."""
    present = set(_ctr(place, "images", "list", "--quiet").split())
    missing = [reference for reference in sorted(wanted) if reference not in present]
    if missing:
        commands.say(f"loading {len(missing)} images into the node")
        begun = time.monotonic()
        _import(place, missing)
        commands.say(f"loaded them in {time.monotonic() - begun:.0f} s")
    # Each import holds what it brought for a day: layers of images that newer ones replaced would fill the disk.
    held = _ctr(place, "leases", "list", "--quiet").split()
    if held:
        _ctr(place, "leases", "delete", *held)
    older = [
        name for name in present if name.startswith("localhost/kelong/") and name not in wanted
    ]  # fmt: skip
    if older:
        _ctr(place, "images", "delete", "--sync", *older)


def _import(place: control_plane.Place, references: list[str]) -> None:
    """Pass images to containerd through a pipe, without the layers that it has: no archive is ever on the disk."""
    argv = [*place.spaces.enter, host.program("ctr"), "--address", SOCKET, "--namespace", "k8s.io"]
    blobs = _disk() / "io.containerd.content.v1.content" / "blobs" / "sha256"
    held = {f"sha256:{blob.name}" for blob in blobs.iterdir()} if blobs.exists() else set()
    with place.log("import").open("wb") as log:
        taking = subprocess.Popen(
            [*argv, "images", "import", "-"], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )
        assert taking.stdin is not None
        # Should it end early, its own words below say more than the broken pipe.
        with contextlib.suppress(BrokenPipeError), taking.stdin:
            images.storage().write(references, held, taking.stdin)
        code = taking.wait()
    if code != 0:
        raise commands.ClusterError(f"containerd took no images:\n{place.log('import').read_text(errors='replace')}")


def _disk() -> Path:
    return cache.root() / "node" / "containerd"


def _configure(place: control_plane.Place, pause_image: str) -> None:
    """Write containerd's settings and its pod network."""
    network = place.folder / "cni"
    network.mkdir(exist_ok=True)
    # Point to point, not a bridge: traffic between two pods is routed and so passes kube-proxy's rules both ways,
    # also on kernels without br_netfilter.
    plugins = [
        {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]],
                                 "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]  # fmt: skip
    (network / "kelong.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "kelong", "plugins": plugins}))
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    settings = f"""\
version = 2
root = "{_disk()}"
state = "{os.path.dirname(SOCKET)}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "{place.folder / "opt"}"
[{cri}]
sandbox_image = "{pause_image}"
restrict_oom_score_adj = true
[{cri}.cni]
bin_dir = "{host.cni_folder()}"
conf_dir = "{network}"
[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""
    (place.folder / "containerd.toml").write_text(settings)


def _launch(place: control_plane.Place) -> None:
    place.start("containerd", host.program("containerd"), "--config", place.folder / "containerd.toml")
    commands.wait_until(
        lambda: _try_ctr(place, "version"), what="a running containerd", timeout_s=60, log=place.log("containerd")
    )


def _stop(place: control_plane.Place) -> None:
    commands.run([*place.spaces.enter, "/bin/sh", "-c", "kill $(pidof containerd)"])
    commands.wait_until(lambda: not _try_ctr(place, "version"), what="the end of containerd", timeout_s=30)


def _ctr(place: control_plane.Place, *arguments: str) -> str:
    argv = [*place.spaces.enter, host.program("ctr"), "--address", SOCKET, "--namespace", "k8s.io"]
    return commands.run([*argv, *arguments], timeout_s=120).stdout


def _try_ctr(place: control_plane.Place, *arguments: str) -> bool:
    argv = [*place.spaces.enter, host.program("ctr"), "--address", SOCKET, "--connect-timeout", "2s"]
    return commands.run([*argv, *arguments], timeout_s=30, check=False).returncode == 0
