"""What trainer, server and batch door read from their environment: once, at the door, all faults together."""

from __future__ import annotations

import os
import pathlib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from kelong_contract import names, orders, store

_NO_LIMIT_BYTES = 1 << 60  # cgroup v1 says "no limit" with a number of this size


class BadEnvironment(Exception):
    """The environment does not say what it must; `faults` names every variable."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the environment is not usable: " + "; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A pair of S3 keys; kept out of any printed form."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings of one process.

    `store_url` is `s3://BUCKET` (with endpoint and keys) or `file:///FOLDER`.
    `threads` is how many threads the numerical libraries may use.
    `source_keys` are for a dataset source with an endpoint of its own.
    """

    store_url: str
    endpoint: str | None
    region: str
    keys: Keys | None
    source_keys: Keys | None
    work_dir: pathlib.Path
    threads: int
    metrics_port: int
    pod_name: str

    def open_store(self) -> store.Store:
        """The installation's store."""
        parts = urllib.parse.urlsplit(self.store_url)
        if parts.scheme == "file":
            return store.FolderStore(pathlib.Path(urllib.parse.unquote(parts.path)))
        assert self.endpoint is not None and self.keys is not None  # `read` saw to it
        return _bucket(self.endpoint, parts.netloc, self.region, self.keys)

    def open_source(self, endpoint: str, bucket: str, region: str) -> store.Store:
        """The bucket of a dataset source with an endpoint of its own; raises BadEnvironment without its keys."""
        if self.source_keys is None:
            wanted = f"{names.ENV_SOURCE_ACCESS_KEY} and {names.ENV_SOURCE_SECRET_KEY}"
            raise BadEnvironment([f"{wanted} must be set: the dataset source has an endpoint of its own"])
        return _bucket(endpoint, bucket, region, self.source_keys)


def read(variables: Mapping[str, str]) -> Environment:
    """The settings in `variables` (usually os.environ); raises BadEnvironment with every fault."""
    faults: list[str] = []
    url = variables.get(names.ENV_STORE_URL, "")
    parts = urllib.parse.urlsplit(url)
    endpoint = variables.get(names.ENV_STORE_ENDPOINT) or None
    keys = _keys(variables, names.ENV_STORE_ACCESS_KEY, names.ENV_STORE_SECRET_KEY)
    if parts.scheme == "file":
        if not parts.path.startswith("/") or parts.netloc:
            faults.append(f"{names.ENV_STORE_URL} is '{url}', expected file:///ABSOLUTE/FOLDER")
    elif parts.scheme == "s3" and parts.netloc and parts.path in ("", "/"):
        if endpoint is None:
            faults.append(f"{names.ENV_STORE_ENDPOINT} is missing: the URL of the S3 endpoint, http[s]://host[:port]")
        if keys is None:
            faults.append(f"{names.ENV_STORE_ACCESS_KEY} and {names.ENV_STORE_SECRET_KEY} must both be set")
    else:
        faults.append(f"{names.ENV_STORE_URL} is '{url}', expected s3://BUCKET or file:///FOLDER")
    threads = _number(variables, names.ENV_THREADS, available_threads(), 1, 1024, faults)
    port = _number(variables, names.ENV_METRICS_PORT, names.PORT_METRICS, 0, 65535, faults)
    if faults:
        raise BadEnvironment(faults)
    return Environment(
        store_url=url,
        endpoint=endpoint,
        region=variables.get(names.ENV_STORE_REGION) or orders.DEFAULT_REGION,
        keys=keys,
        source_keys=_keys(variables, names.ENV_SOURCE_ACCESS_KEY, names.ENV_SOURCE_SECRET_KEY),
        work_dir=pathlib.Path(variables.get(names.ENV_WORK_DIR) or names.WORK_MOUNT),
        threads=threads,
        metrics_port=port,
        pod_name=variables.get(names.ENV_POD_NAME, ""),
    )


def available_threads(root: pathlib.Path = pathlib.Path("/sys/fs/cgroup")) -> int:
    """How many threads the cgroup's CPU limit allows, at least 1; without a limit, the CPUs we may run on.

    os.cpu_count() knows nothing of the limit: a pod with one CPU on a 64-core node would start 64 threads.
    """
    usable = len(os.sched_getaffinity(0))
    quota = _cgroup_quota(root)
    return max(1, min(usable, round(quota))) if quota is not None else usable


def memory_limit_bytes(root: pathlib.Path = pathlib.Path("/sys/fs/cgroup")) -> int | None:
    """How much memory the cgroup (v2 or v1) allows; None where there is no limit."""
    found = _numbers(root / "memory.max") or _numbers(root / "memory" / "memory.limit_in_bytes")
    return found[0] if found and found[0] < _NO_LIMIT_BYTES else None


def _cgroup_quota(root: pathlib.Path) -> float | None:
    """CPUs allowed by cgroup v2 (cpu.max) or v1 (cpu.cfs_quota_us); None where there is no limit."""
    unified = _numbers(root / "cpu.max")  # without a limit it says "max 100000": one number only
    legacy = _numbers(root / "cpu" / "cpu.cfs_quota_us") + _numbers(root / "cpu" / "cpu.cfs_period_us")
    for numbers in (unified, legacy):
        if len(numbers) == 2 and numbers[0] > 0:
            return numbers[0] / numbers[1]
    return None


def _numbers(file: pathlib.Path) -> list[int]:
    """The whole numbers in a file; none where it cannot be read."""
    try:
        words = file.read_text().split()
    except OSError:
        return []
    return [int(word) for word in words if word.lstrip("-").isdigit()]


def _bucket(endpoint: str, bucket: str, region: str, keys: Keys) -> store.BucketStore:
    return store.open_bucket(
        endpoint=endpoint, bucket=bucket, access_key=keys.access_key, secret_key=keys.secret_key, region=region
    )


def _keys(variables: Mapping[str, str], access: str, secret: str) -> Keys | None:
    """Both keys or none, without the line's end that a Secret made from a file keeps."""
    access_key, secret_key = variables.get(access, "").strip(), variables.get(secret, "").strip()
    return Keys(access_key=access_key, secret_key=secret_key) if access_key and secret_key else None


def _number(variables: Mapping[str, str], name: str, default: int, least: int, most: int, faults: list[str]) -> int:
    text = variables.get(name, "")
    if not text:
        return default
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    faults.append(f"{name} is '{text}', expected a whole number from {least} to {most}")
    return default
