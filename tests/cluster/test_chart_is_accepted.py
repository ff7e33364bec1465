"""The rendered chart against a real API server, in each of the ways to install it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kelong_cluster import cache, handle

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "values",
    [
        {"minio": {"enabled": True}},
        {"minio": {"enabled": True, "persistence": {"enabled": True}}},
        {"store": {"endpoint": "https://s3.example.com"}, "namespaces": ["default"]},
    ],
)
def test_the_api_server_accepts_every_manifest_of_the_chart(cluster: handle.Cluster, values: dict[str, Any]) -> None:
    settings = [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
    chart = str(cache.repository() / "charts" / "kelong")
    manifests = cluster.helm(
        "template", "kelong", chart, "--namespace", "default", "--kube-version", "v1.34.4", *settings
    ).stdout
    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifests).stdout
    lines = said.strip().splitlines()
    assert len(lines) == manifests.count("\nkind: ")
    assert all(line.endswith("(server dry run)") for line in lines)
