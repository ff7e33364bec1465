"""How images get their names and layers, and what surrounds the cluster; needs none."""

from __future__ import annotations

import ast
import importlib
import pathlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import programs
import pytest
from kelong_cluster import binaries, cache, commands, forwarding, images, prometheus

REPOSITORY = cache.repository()
OWN_LAYERS = "# --- own layers ---"


@pytest.fixture
def sources(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of everything that images are made from."""
    shutil.copy2(REPOSITORY / ".dockerignore", tmp_path)
    for folder in ("requirements", "contract", "speech", "operator", "trainer", "inference"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def references(repository: pathlib.Path) -> dict[str, str]:
    return {image.name: image.reference for image in images.described(repository)}


def changed(sources: pathlib.Path, file: str) -> set[str]:
    """The images whose names change with a file."""
    before = references(sources)
    with (sources / file).open("a") as text:
        text.write("\n# changed\n")
    return {name for name, reference in references(sources).items() if reference != before[name]}


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("contract/kelong_contract/names.py", {"operator", "trainer", "inference"}),
        ("speech/kelong_speech/__init__.py", {"trainer", "inference"}),
        ("operator/kelong_operator/__init__.py", {"operator"}),
        ("trainer/Dockerfile", {"trainer"}),
        ("requirements/inference.txt", {"inference"}),
        ("requirements/torch.txt", {"trainer", "inference"}),
    ],
)
def test_an_image_has_a_new_name_exactly_when_something_in_it_changed(
    sources: pathlib.Path, file: str, names: set[str]
) -> None:
    assert changed(sources, file) == names


def test_compiled_python_does_not_rename_an_image(sources: pathlib.Path) -> None:
    before = references(sources)
    compiled = sources / "operator" / "kelong_operator" / "__pycache__"
    compiled.mkdir()
    (compiled / "x.cpython-311.pyc").write_bytes(b"x")
    assert references(sources) == before


def test_trainer_and_inference_share_the_lines_that_make_the_layers_with_torch() -> None:
    heads = []
    for program in ("trainer", "inference"):
        head, separator, _ = (REPOSITORY / program / "Dockerfile").read_text().partition(OWN_LAYERS)
        assert separator, f"{program}/Dockerfile has no line {OWN_LAYERS}"
        heads.append(head)
    assert heads[0] == heads[1]
    assert "requirements/torch.txt" in heads[0]


@pytest.mark.parametrize("program", ["operator", "trainer", "inference"])
def test_an_image_runs_its_program_without_rights(program: str) -> None:
    lines = (REPOSITORY / program / "Dockerfile").read_text().splitlines()
    assert "USER 65532:65532" in lines
    assert lines[-1] == f'ENTRYPOINT ["python", "-m", "kelong_{program}"]'
    assert any("--require-hashes" in line for line in lines)


@pytest.mark.parametrize(
    "program",
    [
        programs.look_around,
        programs.tell_names,
        programs.give_metrics,
        programs.load_the_judge_of_voices,
        programs.begin_node,
    ],
)
def test_what_a_program_for_a_pod_imports_is_there(program: Callable[..., None]) -> None:
    for node in ast.walk(ast.parse(programs.text(program))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for imported in node.names:
                assert hasattr(module, imported.name) or importlib.import_module(f"{node.module}.{imported.name}")
        elif isinstance(node, ast.Import):
            assert all(importlib.import_module(imported.name) for imported in node.names)


def test_every_program_has_a_pinned_version() -> None:
    versions = {build.name: build.version() for build in binaries.builds()}
    assert versions["kubernetes"] == "v1.34.4"
    assert set(versions) == {"kubernetes", "etcd", "coredns", "helm", "minio", "pause"}


def test_a_half_made_folder_never_gets_its_name(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError), cache.new_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("half")
        raise RuntimeError
    assert not (tmp_path / "made").exists()
    with cache.new_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("whole")
    assert (tmp_path / "made" / "file").read_text() == "whole"
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["file"]


def test_a_failed_program_is_named_with_the_end_of_its_output() -> None:
    with pytest.raises(commands.ClusterError, match="ended with code 3:\nfirst\nlast"):
        commands.run(["sh", "-c", "echo first; echo last >&2; exit 3"])


def test_a_program_that_takes_too_long_is_named() -> None:
    with pytest.raises(commands.ClusterError, match="sleep 60 did not end within 0 s"):
        commands.run(["sleep", "60"], timeout_s=0.1)


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets, one connection after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while chunk := connection.recv(1024):
                        connection.sendall(chunk)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = listener.getsockname()
        yield host, port
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_forwarded_connection_carries_bytes_both_ways_to_its_end(echo: tuple[str, int]) -> None:
    with forwarding.to(lambda: socket.create_connection(echo)) as address:
        host, port = address.split(":")
        for _ in range(3):
            with socket.create_connection((host, int(port)), timeout=10) as near:
                near.sendall(b"there ")
                near.sendall(b"and back")
                near.shutdown(socket.SHUT_WR)
                with near.makefile("rb") as answer:
                    assert answer.read() == b"there and back"


def test_only_running_pods_that_ask_for_it_are_scraped() -> None:
    def pod(name: str, phase: str, **annotations: str) -> dict[str, Any]:
        spelled = {f"prometheus.io/{key}": value for key, value in annotations.items()}
        return {"metadata": {"name": name, "namespace": "n", "annotations": spelled}, "status": {"phase": phase}}

    pods = [
        pod("a", "Running", scrape="true", port="9090"),
        pod("b", "Running", scrape="true", port="8080", path="/numbers"),
        pod("c", "Pending", scrape="true", port="9090"),
        pod("d", "Running"),
    ]
    paths = [target["labels"]["__metrics_path__"] for target in prometheus.targets_of(pods, "127.0.0.1:1")]
    assert paths == ["/api/v1/namespaces/n/pods/a:9090/proxy/metrics", "/api/v1/namespaces/n/pods/b:8080/proxy/numbers"]
