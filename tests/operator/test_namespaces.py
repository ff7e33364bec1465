"""An operator that is given some namespaces works there with Roles alone, and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from kelong_contract import names, store


def test_a_namespaced_operator_works_in_its_namespaces_only(
    cluster: Any,
    launch: Callable[..., Any],
    permit: Callable[..., None],
    voice: dict[str, Any],
    kept: store.FolderStore,
) -> None:
    other = f"{cluster.namespace}-other"
    cluster.kubectl("create", "namespace", other)
    permit("namespaced", f"--set=namespaces={{{cluster.namespace}}}")
    launch({"namespaces": [cluster.namespace]}, {names.ENV_STORE_URL: f"file://{kept.root}"}, user="namespaced")
    elsewhere = voice | {"metadata": {"name": "khazix", "namespace": other}}
    made = cluster.server.kubectl("apply", "-f", "-", given=json.dumps(elsewhere))
    assert made.returncode == 0, made.stderr
    cluster.apply(voice)
    cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    cluster.eventually_says("voicemodel", "khazix", "Ready", "Pending")
    time.sleep(1)
    assert cluster.server.kubectl(f"--namespace={other}", "get", "jobs", "-o=name").stdout == ""
    cluster.server.kubectl(f"--namespace={other}", "delete", "voicemodels", "--all")
