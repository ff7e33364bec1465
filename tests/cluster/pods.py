"""Small pods of the tests' own: a Python program without any rights."""

from __future__ import annotations

from typing import Any

from kelong_cluster import handle

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec(cluster: handle.Cluster, *program: str, **container: Any) -> dict[str, Any]:
    """A pod's spec that runs `python PROGRAM…` in the operator's image; `container` adds to it or replaces."""
    main = {
        "name": "main",
        "image": cluster.images["operator"],
        "command": ["python", *program],
        "securityContext": RESTRICTED,
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}},
    }
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main | container]}
