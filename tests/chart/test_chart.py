from __future__ import annotations

import pathlib
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import names, resources
from kelong_operator import children, order_book, settings, views

TRY_OUT = {"minio": {"enabled": True}}
OWN_STORE = {"store": {"endpoint": "https://s3.example.com", "secretName": "my-keys"}, "namespaces": ["a", "b"]}


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


@pytest.mark.parametrize("values", [TRY_OUT, OWN_STORE])
def test_helm_lints_without_a_word(
    helm: Callable[..., subprocess.CompletedProcess[str]], values: dict[str, Any]
) -> None:
    done = helm("lint", values, "--strict")
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"minio": {"enabled": True}, "presets": {"small": {"sources": {"wavlm": "bundled"}}}}, "wavlm"),
        ({"minio": {"enabled": True}, "presets": {"small": {"sources": {"speakerEmbedding": "ecapa"}}}}, "speaker"),
        ({}, "store.endpoint is empty"),
        ({"store": {"endpoint": "s3.example.com"}}, "endpoint"),
        ({"minio": {"enabled": "yes"}}, "enabled"),
        ({"minio": {"enabled": True}, "repicas": 2}, "repicas"),
        ({"minio": {"enabled": True}, "presets": {"tiny": {"sources": {"recogniser": "whisper"}}}}, "recogniser"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_name(
    helm: Callable[..., subprocess.CompletedProcess[str]], values: dict[str, Any], said: str
) -> None:
    done = helm("template", values)
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize("values", [TRY_OUT, OWN_STORE])
def test_the_operator_can_read_the_configuration(
    render: Callable[[dict[str, Any]], list[dict[str, Any]]], values: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    (config,) = of_kind(render(values), "ConfigMap")
    (tmp_path / "config.yaml").write_text(config["data"]["config.yaml"])
    read = settings.read(tmp_path / "config.yaml")
    assert read.store.secret_name == values.get("store", {}).get("secretName", "kelong-store")
    assert list(read.namespaces) == values.get("namespaces", [])
    assert read.store.create_bucket is (values is TRY_OUT)
    assert {name: preset.sources.wavlm for name, preset in read.presets.items()} == {
        "zh-clap": "store:wavlm-base-plus",
        "small": "none",
        "tiny": "none",
    }


def test_every_pod_passes_pod_security_restricted(render: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
    deployments = of_kind(render(TRY_OUT), "Deployment")
    assert {deployment["metadata"]["name"] for deployment in deployments} == {"kelong-operator", "kelong-minio"}
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_keys_reach_the_operator_by_reference_only(render: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
    (operator,) = of_kind(render(OWN_STORE), "Deployment")
    variables = {entry["name"]: entry for entry in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    for variable, key in (
        (names.ENV_STORE_ACCESS_KEY, names.SECRET_ACCESS_KEY),
        (names.ENV_STORE_SECRET_KEY, names.SECRET_SECRET_KEY),
    ):
        assert variables[variable] == {
            "name": variable,
            "valueFrom": {"secretKeyRef": {"name": "my-keys", "key": key}},
        }


@pytest.mark.parametrize("values", [TRY_OUT, OWN_STORE])
def test_the_operator_may_touch_no_secret_and_no_foreign_namespace(
    render: Callable[[dict[str, Any]], list[dict[str, Any]]], values: dict[str, Any]
) -> None:
    documents = render(values)
    roles = of_kind(documents, "Role") + of_kind(documents, "ClusterRole")
    for role in roles:
        for rule in role["rules"]:
            assert "secrets" not in rule["resources"]
            assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]
    if "namespaces" in values:
        assert of_kind(documents, "ClusterRole") == []
        assert {role["metadata"]["namespace"] for role in roles} == {"a", "b", "kelong-system"}


def test_crds_come_with_the_chart_unless_switched_off_and_stay_when_it_goes(
    render: Callable[[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    crds = of_kind(render(TRY_OUT), "CustomResourceDefinition")
    assert {crd["metadata"]["name"] for crd in crds} == {"voicemodels.kelong.dev", "synthesisjobs.kelong.dev"}
    assert all(crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for crd in crds)
    assert of_kind(render(TRY_OUT | {"crds": {"install": False}}), "CustomResourceDefinition") == []


def test_the_pod_monitor_finds_a_port_of_every_program(
    render: Callable[[dict[str, Any]], list[dict[str, Any]]], tmp_path: pathlib.Path
) -> None:
    documents = render(OWN_STORE | {"metrics": {"podMonitor": True}})
    monitors = of_kind(documents, "PodMonitor")
    (operator,), (config,) = of_kind(documents, "Deployment"), of_kind(documents, "ConfigMap")
    (tmp_path / "config.yaml").write_text(config["data"]["config.yaml"])
    made = [operator, *children_of(settings.read(tmp_path / "config.yaml"))]
    for template in (document["spec"]["template"] for document in made):
        (monitor,) = (found for found in monitors if selects(found, template["metadata"]["labels"]))
        scraped = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
        ports = template["spec"]["containers"][0]["ports"]
        number = int(template["metadata"]["annotations"]["prometheus.io/port"])
        assert [port["containerPort"] for port in ports if port["name"] in scraped] == [number]
    assert [monitor["spec"].get("namespaceSelector") for monitor in monitors] == [
        None,
        {"matchNames": ["a", "b", "kelong-system"]},
    ]


def test_the_pod_monitor_asks_only_the_first_of_several_workers(
    render: Callable[[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    (voices,) = (
        monitor
        for monitor in of_kind(render(OWN_STORE | {"metrics": {"podMonitor": True}}), "PodMonitor")
        if names.LABEL_MANAGED_BY in monitor["spec"]["selector"]["matchLabels"]
    )
    (rule,) = voices["spec"]["podMetricsEndpoints"][0]["relabelings"]
    label = "__meta_kubernetes_pod_label_" + re.sub(r"[^a-zA-Z0-9]", "_", names.LABEL_WORKER_INDEX)
    assert (rule["sourceLabels"], rule["action"]) == ([label], "drop")
    dropped = [index for index in ("", "0", "1", "10", "63") if re.fullmatch(rule["regex"], index)]
    assert dropped == ["1", "10", "63"]


def selects(monitor: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a pod with these labels is one that the monitor looks at."""
    return set(monitor["spec"]["selector"]["matchLabels"].items()) <= set(labels.items())


def children_of(chosen: settings.Settings) -> list[dict[str, Any]]:
    """The training Job and the servers of a voice, as the operator makes them."""
    given = {"speakers": [{"name": "A"}], "dataset": {"source": {"type": "S3", "s3": {"prefix": "a/"}}}}
    spec = resources.voice_model_spec(given)
    owner = views.Owner(kind=names.VOICE_MODEL, namespace="ns", name="a", uid="u", generation=1)
    training = order_book.training_order(owner, spec, chosen)
    serving = order_book.serving_order(owner, spec, 1, "a" * 64, chosen)
    return [
        children.build_training_job(owner, spec, training, chosen, attempt=1, start_step=0, listing_digest=None),
        children.build_deployment(owner, spec, serving, chosen),
    ]
