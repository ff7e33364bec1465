"""The images that the node runs, built from the repository's Dockerfiles and named by their content."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kelong_cluster import binaries, cache, commands, host, layout_stream

_SUITE = "bookworm"
_BASE_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_PREFIX = "localhost/kelong"
NAMES = ("operator", "trainer", "inference", "minio", "pause")
_PROGRAMS: dict[str, tuple[str, ...]] = {
    "operator": ("contract/kelong_contract", "operator/kelong_operator"),
    "trainer": ("contract/kelong_contract", "speech/kelong_speech", "trainer/kelong_trainer"),
    "inference": ("contract/kelong_contract", "speech/kelong_speech", "inference/kelong_inference"),
}
_LOCKS = {
    "operator": ("requirements/operator.txt",),
    "trainer": ("requirements/torch.txt", "requirements/trainer.txt"),
    "inference": ("requirements/torch.txt", "requirements/inference.txt"),
}
_FIRST_BUILD_GIB = (
    40  # torch exists up to four times: while it is built, and then in the node's content and its snapshot
)
_REBUILD_GIB = 10
_INDEX_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image: where its Dockerfile and context are, and the name that its content gives it."""

    name: str
    dockerfile: Path
    context: Path
    reference: str
    base: str | None
    large: bool


def described(repository: Path) -> list[Image]:
    """Every image as a checkout's files would make it, in the order to build them."""
    here, base = cache.cluster_folder(), _base_reference()
    found = []
    for name in _PROGRAMS:
        key = cache.digest_of_files([repository / path for path in _inputs(name)], repository)
        found.append(
            Image(
                name=name,
                dockerfile=repository / name / "Dockerfile",
                context=repository,
                reference=f"{_PREFIX}/{name}:{cache.digest_of_text(key, base)}",
                base=base,
                large=name != "operator",
            )
        )
    # Last, since they wait for their programs, which are built at the same time as the images above.
    return [*found, _around_program("pause", here), _around_program("minio", here)]


def ensure() -> dict[str, str]:
    """Build the images that the build storage lacks, drop older ones, and return each one's reference by its name."""
    with cache.lock("images"):
        # What a build that failed or was killed left: notes about mounts that are gone, and its working containers.
        shutil.rmtree(_storage() / "run", ignore_errors=True)
        buildah("rm", "--all")
        wanted = described(_snapshot())
        references = {image.name: image.reference for image in wanted}
        present = _present()
        missing = [image for image in wanted if image.reference not in present]
        if not missing:
            return references
        if any(image.large for image in missing):
            first = not any(reference.startswith(f"{_PREFIX}/trainer:") for reference in present)
            cache.need_free_disk(_FIRST_BUILD_GIB if first else _REBUILD_GIB, "building the images")
        if any(image.base for image in missing) and _base_reference() not in present:
            _make_base()
        for image in missing:
            binaries.ensure({image.name})
            _make(image)
        _forget_older(present - {*references.values(), _base_reference()})
        return references


def storage() -> layout_stream.Storage:
    """The built images, to be read."""
    return layout_stream.Storage(_storage() / "root")


def buildah(*arguments: str | Path, log: Path | None = None) -> str:
    """Run buildah on the cache's own storage; its mounts end with it."""
    storage = _storage()
    temporary = storage / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    argv: list[str | Path] = [host.program("unshare"), "--mount", "--propagation", "private", host.program("buildah")]
    argv += ["--root", storage / "root", "--runroot", storage / "run", "--storage-driver", "overlay", *arguments]
    environment = {"TMPDIR": str(temporary), "BUILDAH_ISOLATION": "chroot"}
    if log is None:
        return commands.run(argv, environment=environment).stdout
    commands.run_logged(argv, log, environment=environment)
    return ""


def _inputs(program: str) -> list[str]:
    return [f"{program}/Dockerfile", ".dockerignore", *_LOCKS[program], *_PROGRAMS[program]]


def _snapshot() -> Path:
    """A copy of all inputs, so that an edit during a build cannot come under the name of what was there before."""
    copy, repository = _storage() / "context", cache.repository()
    shutil.rmtree(copy, ignore_errors=True)
    for path in sorted({path for program in _PROGRAMS for path in _inputs(program)}):
        source, target = repository / path, copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return copy


def _storage() -> Path:
    return cache.root() / "build"


def _present() -> set[str]:
    listed = json.loads(buildah("images", "--json") or "null") or []
    return {name for image in listed for name in image.get("names") or []}


def _around_program(name: str, here: Path) -> Image:
    program = binaries.path(name)
    key = cache.digest_of_text((here / name / "Dockerfile").read_text(), program.parent.name)
    return Image(
        name=name,
        dockerfile=here / name / "Dockerfile",
        context=program.parent,
        reference=f"{_PREFIX}/{name}:{key}",
        base=None,
        large=False,
    )


def _base_reference() -> str:
    return f"{_PREFIX}/base:{cache.digest_of_text(_SUITE, _BASE_PACKAGES)}"


def _make_base() -> None:
    """Debian with Python, from the package mirror: what the public slim image is to a user's build."""
    commands.say(f"building the base image (Debian {_SUITE} with Python)")
    begun = time.monotonic()
    folder = _storage() / "base"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tar = folder / "rootfs.tar"
    bootstrap: list[str | Path] = [
        host.program("mmdebstrap"),
        "--variant=minbase",
        f"--include={_BASE_PACKAGES}",
        _SUITE,
        tar,
    ]
    commands.run_logged(bootstrap, cache.root() / "logs" / "base.log")
    path = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    (folder / "Dockerfile").write_text(f"FROM scratch\nADD rootfs.tar /\nENV PATH={path} LANG=C.UTF-8\n")
    buildah("bud", "--tag", _base_reference(), folder, log=cache.root() / "logs" / "base-image.log")
    shutil.rmtree(folder)
    commands.say(f"built the base image in {time.monotonic() - begun:.0f} s")


def _make(image: Image) -> None:
    commands.say(f"building the {image.name} image" + (" (minutes when torch is new)" if image.large else ""))
    begun = time.monotonic()
    arguments: list[str | Path] = [
        "bud",
        "--layers",
        "--force-rm",
        "--pull=false",
        "--isolation=chroot",
        "--network=host",
    ]
    arguments += ["--file", image.dockerfile, "--tag", image.reference]
    if image.base:
        arguments += ["--build-arg", f"BASE={image.base}", *_package_index_mounts()]
    buildah(*arguments, image.context, log=cache.root() / "logs" / f"{image.name}-image.log")
    commands.say(f"built the {image.name} image in {time.monotonic() - begun:.0f} s")


def _forget_older(replaced: set[str]) -> None:
    """Untag images that newer ones replace; layers that nothing uses any more go with them."""
    if replaced:
        buildah("rmi", *sorted(replaced))
    buildah("rmi", "--prune")


def _package_index_mounts() -> list[str]:
    """Show a build the host's certificates and pip settings without writing either into an image."""
    settings = {name: value for name, value in _pip_settings().items() if name in _INDEX_SETTINGS}
    certificates = _certificates()
    mounts: list[str] = []
    if certificates:
        mounts = ["--volume", f"{certificates.parent}:{certificates.parent}:ro"]
        settings["cert"] = str(certificates)
    configuration = _storage() / "pip.conf"
    lines = ["[global]", "disable-pip-version-check = true"]
    lines += [f"{name} = {value}" for name, value in sorted(settings.items())]
    configuration.write_text("\n".join(lines) + "\n")
    return [*mounts, "--volume", f"{configuration}:/etc/pip.conf:ro"]


def _certificates() -> Path | None:
    """The host's certificate bundle, which may hold a company's own authority."""
    named = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(named) if named and Path(named).is_file() else None


def _pip_settings() -> Mapping[str, str]:
    """What `pip config list` says on the host: files and PIP_* variables; nothing when there is no pip."""
    pip = host.find("pip3") or host.find("pip")
    listed = commands.run([pip, "config", "list"], check=False).stdout if pip else ""
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, separator, value = line.partition("=")
        if separator:
            settings[name.rpartition(".")[2]] = value.strip("'\"").replace("\\n", "\n    ")
    return settings
