"""The node's programs, built once from the modules pinned in `tools/` and kept in the cache."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from kelong_cluster import cache, commands, host

_STATIC = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
_KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)


@dataclass(frozen=True, kw_only=True)
class Build:
    """One `go build`: its module folder, the programs it makes, and the module whose version names it."""

    name: str
    module: Path
    programs: dict[str, str]  # file name -> Go package
    versioned_by: str | None

    def version(self) -> str:
        """The pinned version, as go.mod has it."""
        if self.versioned_by is None:
            return "own"
        pinned = re.search(rf"^\s*(?:require )?{re.escape(self.versioned_by)} (v\S+)", self._text("go.mod"), re.M)
        if pinned is None:
            raise commands.ClusterError(f"{self.module / 'go.mod'} does not pin {self.versioned_by}")
        return pinned.group(1)

    def link_flags(self) -> str:
        """Stripped; without the version an API server calls itself v0.0.0."""
        flags = "-s -w"
        if self.name == "kubernetes":
            major, minor = self.version().lstrip("v").split(".")[:2]
            values = {"gitVersion": self.version(), "gitMajor": major, "gitMinor": minor}
            flags += "".join(f" -X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
        return flags

    def folder(self) -> Path:
        """Where the cache has the programs."""
        sources = sorted(path for path in self.module.iterdir() if path.suffix in (".go", ".mod", ".sum"))
        content = cache.digest_of_files(sources, self.module)
        key = cache.digest_of_text(content, self.link_flags(), *sorted(self.programs))
        return cache.root() / "binaries" / f"{self.name}-{self.version()}-{key}"

    def _text(self, file: str) -> str:
        return (self.module / file).read_text()


def builds() -> list[Build]:
    """Everything there is to build, the longest first."""
    tools = cache.cluster_folder() / "tools"

    def pinned(name: str, package: str, module: str) -> Build:
        return Build(name=name, module=tools / name, programs={name: package}, versioned_by=module)

    return [
        Build(
            name="kubernetes",
            module=tools / "kubernetes",
            programs={name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES_PROGRAMS},
            versioned_by="k8s.io/kubernetes",
        ),
        pinned("minio", "github.com/minio/minio", "github.com/minio/minio"),
        pinned("coredns", "github.com/coredns/coredns", "github.com/coredns/coredns"),
        pinned("helm", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3"),
        pinned("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        Build(name="pause", module=cache.cluster_folder() / "pause", programs={"pause": "."}, versioned_by=None),
    ]


def path(program: str) -> Path:
    """Where a built program lies; `ensure` must have run."""
    for build in builds():
        if program in build.programs:
            return build.folder() / program
    raise KeyError(program)


def ensure(names: set[str] | None = None) -> None:
    """Build what the cache lacks; `names` limits it to some builds."""
    with cache.lock("binaries"):
        for build in builds():
            if (names is None or build.name in names) and not build.folder().exists():
                _make(build)


def _make(build: Build) -> None:
    commands.say(f"building {build.name} {build.version()} ({', '.join(build.programs)}): minutes, once")
    begun = time.monotonic()
    with cache.new_folder(build.folder()) as folder:
        # One call for all packages of a module: they share most of their compilation.
        go = [host.program("go"), "build", "-mod=readonly", "-trimpath", "-ldflags", build.link_flags()]
        out = folder / next(iter(build.programs)) if len(build.programs) == 1 else f"{folder}/"
        log = cache.root() / "logs" / f"{build.name}.log"
        commands.run_logged([*go, "-o", out, *build.programs.values()], log, cwd=build.module, environment=_STATIC)
    commands.say(f"built {build.name} in {time.monotonic() - begun:.0f} s")
