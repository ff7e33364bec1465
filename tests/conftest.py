"""What every folder of tests may use: a real MinIO server, a fresh store in a folder or in a bucket, a real browser."""

from __future__ import annotations

import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from kelong_contract import store

sys.path.insert(0, str(pathlib.Path(__file__).parent / "cluster"))  # the programs of the test node are built there

from kelong_cluster import apiserver, binaries, host

if TYPE_CHECKING:
    from selenium import webdriver

CHROMIUM, DRIVER = pathlib.Path("/usr/bin/chromium"), pathlib.Path("/usr/bin/chromedriver")
MINIO_ACCESS_KEY = "kelong-tests"
MINIO_SECRET_KEY = "kelong-tests-secret"
START_TIMEOUT_S = 30.0


@pytest.fixture(scope="session")
def minio_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MinIO server on this machine, built from its pinned module on first use."""
    binaries.ensure({"minio"})
    folder = tmp_path_factory.mktemp("minio")
    port = free_port()
    environment = {"MINIO_ROOT_USER": MINIO_ACCESS_KEY, "MINIO_ROOT_PASSWORD": MINIO_SECRET_KEY, "HOME": str(folder)}
    command = [str(binaries.path("minio")), "server", str(folder / "data"), "--address", f"127.0.0.1:{port}", "--quiet"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for_answer(f"{address}/minio/health/ready", server)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apiserver.ApiServer]:
    """A real kube-apiserver without a node, with our CustomResourceDefinitions."""
    with apiserver.running(tmp_path_factory.mktemp("apiserver"), users=("operator", "namespaced")) as server:
        crds = pathlib.Path(__file__).parent.parent / "crds"
        made = server.kubectl("apply", "-f", str(crds))
        assert made.returncode == 0, made.stderr
        server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(crds))
        yield server


@pytest.fixture
def bucket_store(minio_address: str) -> store.BucketStore:
    """A fresh, empty bucket on the real MinIO server."""
    bucket = f"tests-{uuid.uuid4().hex[:12]}"
    opened = store.open_bucket(
        endpoint=minio_address, bucket=bucket, access_key=MINIO_ACCESS_KEY, secret_key=MINIO_SECRET_KEY
    )
    opened.make_bucket()
    return opened


@pytest.fixture(params=["folder", "bucket"])
def any_store(request: pytest.FixtureRequest) -> store.Store:
    """The test runs twice: against a folder and against MinIO."""
    if request.param == "folder":
        return store.FolderStore(request.getfixturevalue("tmp_path") / "store")
    return request.getfixturevalue("bucket_store")


@pytest.fixture
def browser(tmp_path: pathlib.Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a window, with a profile of its own; downloads land in `downloads` of the test's folder.

    Its logs `browser` (the console) and `performance` (every request) hold everything.
    """
    from selenium import webdriver  # takes longer than most tests, and few need it
    from selenium.webdriver.chrome.service import Service

    if not (CHROMIUM.exists() and DRIVER.exists()):
        host.install(["chromium", "chromium-driver"])
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    options.add_argument("--autoplay-policy=no-user-gesture-required")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield opened
    opened.quit()


@pytest.fixture
def stop_early() -> Callable[[subprocess.Popen[str]], str]:
    """Sends SIGTERM to a program as soon as it handles it, before torch is there; returns its standard error."""

    def stop(process: subprocess.Popen[str]) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            assert process.poll() is None and time.monotonic() < deadline
            loaded = _has_loaded_torch(process)  # looked at before the handler is: one that is late is not excused
            if _handles_sigterm(process):
                break
            time.sleep(0.002)
        assert not loaded, "SIGTERM was not handled yet when torch had been loaded"
        process.send_signal(signal.SIGTERM)
        return process.communicate(timeout=2)[1]

    return stop


@pytest.fixture
def stop_in_imports() -> Callable[[subprocess.Popen[str]], str]:
    """Sends SIGTERM to a program while torch is being imported; returns its standard error."""

    def stop(process: subprocess.Popen[str]) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _has_loaded_torch(process):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        return process.communicate(timeout=10)[1]  # no handler can run until torch's libraries are mapped

    return stop


def _handles_sigterm(process: subprocess.Popen[str]) -> bool:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def _has_loaded_torch(process: subprocess.Popen[str]) -> bool:
    return "libtorch" in pathlib.Path(f"/proc/{process.pid}/maps").read_text()


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the URL answers 200; fails when the process ends or the time is up."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{url} did not answer within {START_TIMEOUT_S:.0f} s")
