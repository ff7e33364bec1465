"""The chart as Helm renders it."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kelong_cluster import binaries

CHART = pathlib.Path(__file__).parents[2] / "charts" / "kelong"
KUBERNETES = "v1.34.4"
Render = Callable[[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the pinned Helm on the chart with values."""
    binaries.ensure({"helm"})
    folder = tmp_path_factory.mktemp("values")

    def run(verb: str, values: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
        file = folder / "values.json"
        file.write_text(json.dumps(values))
        name = [] if verb == "lint" else ["kelong"]
        command = [str(binaries.path("helm")), verb, *name, str(CHART), "--values", str(file), *arguments]
        command += ["--kube-version", KUBERNETES]  # a Helm that was built from its module knows none
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def render(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """The chart's manifests for some values."""

    def run(values: dict[str, Any]) -> list[dict[str, Any]]:
        done = helm("template", values, "--namespace", "kelong-system")
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return run
