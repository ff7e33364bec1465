from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import codec, names, orders, patience, resources, synthesis_jobs
from kelong_operator import order_book, views

Build = Callable[..., Any]
COMPONENTS = [names.COMPONENT_TRAINER, names.COMPONENT_SERVER, names.COMPONENT_BATCH]
OWN = {"type": "S3", "s3": {"prefix": "khazix/"}}
OWN_BUCKET = {"prefix": "a/", "endpoint": "https://s3.example.com", "bucket": "mine", "secretName": "my-keys"}
ELSEWHERE = {"type": "S3", "s3": OWN_BUCKET}


def placed(**placement: Any) -> dict[str, Any]:
    return {"training": {"placement": placement}, "serving": {"placement": placement}}


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in pod["containers"][0]["env"]}


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_pod_passes_pod_security_restricted(build: Build, component: str) -> None:
    pod = build().pods[component]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {next(key for key in volume if key != "name") for volume in pod["volumes"]}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_pod_holds_credentials_of_the_cluster_or_keys_of_the_store(build: Build, component: str) -> None:
    pod = build().pods[component]
    assert pod["automountServiceAccountToken"] is False
    for name, key in ((names.ENV_STORE_ACCESS_KEY, "accessKey"), (names.ENV_STORE_SECRET_KEY, "secretKey")):
        assert environment(pod)[name] == {"secretKeyRef": {"name": "kelong-store", "key": key}}


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_pod_has_room_to_work_and_memory_to_share(build: Build, component: str) -> None:
    pod = build().pods[component]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert volumes[mounts[names.WORK_MOUNT]]["emptyDir"] == {}
    assert volumes[mounts["/tmp"]]["emptyDir"] == {}


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_pod_asks_for_cpu_memory_and_disk(build: Build, component: str) -> None:
    assert set(build().pods[component]["containers"][0]["resources"]["requests"]) == {
        "cpu",
        "memory",
        "ephemeral-storage",
    }


@pytest.mark.parametrize(
    ("changes", "trainer", "server"),
    [
        ({}, "1", "1"),
        ({"model": {"preset": "tiny"}}, "1", None),
        (placed(gpu={"count": 0}), None, None),
        (placed(gpu={"count": 4}), "4", "4"),
    ],
)
def test_gpus_come_by_preset_unless_said(
    build: Build, changes: dict[str, Any], trainer: str | None, server: str | None
) -> None:
    pods = build(changes).pods
    for component, count in ((names.COMPONENT_TRAINER, trainer), (names.COMPONENT_SERVER, server)):
        limits = pods[component]["containers"][0]["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == count


def test_placement_pins_the_pod(build: Build) -> None:
    toleration = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    mig = {"resourceName": "nvidia.com/mig-1g.10gb", "count": 1, "product": "NVIDIA-H100"}
    more = {"nodeSelector": {"zone": "a"}, "runtimeClassName": "nvidia", "priorityClassName": "high"}
    for pod in build(placed(gpu=mig, tolerations=[toleration], **more)).pods.values():
        assert pod["containers"][0]["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == "1"
        assert pod["nodeSelector"] == {"zone": "a", names.NODE_LABEL_GPU_PRODUCT: "NVIDIA-H100"}
        assert pod["tolerations"] == [toleration]
        assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("nvidia", "high")
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_a_pod_without_a_gpu_is_not_pinned_to_a_product(build: Build) -> None:
    for pod in build(placed(gpu={"count": 0, "product": "NVIDIA-H100"})).pods.values():
        assert "nodeSelector" not in pod


@pytest.mark.parametrize(
    ("wished", "requests", "limits"),
    [
        ({}, {"cpu": "2", "memory": "4Gi"}, {"memory": "8Gi"}),
        ({"requests": {"cpu": 4}}, {"cpu": "4", "memory": "4Gi"}, {"memory": "8Gi"}),
        ({"limits": {"memory": "2Gi"}}, {"cpu": "2", "memory": "2Gi"}, {"memory": "2Gi"}),
        ({"requests": {"memory": "16Gi"}}, {"cpu": "2", "memory": "16Gi"}, {"memory": "16Gi"}),
    ],
)
def test_wished_resources_fit_together_with_the_presets(
    build: Build, wished: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    found = build({"training": {"resources": wished, "placement": {"gpu": {"count": 0}}}}).pods["trainer"]
    resources = found["containers"][0]["resources"]
    assert {key: value for key, value in resources["requests"].items() if key != "ephemeral-storage"} == requests
    assert resources["limits"] == limits


def test_the_jobs_follow_the_exit_codes(build: Build) -> None:
    built = build({"training": {"backoffLimit": 5, "terminationGracePeriodSeconds": 300}})
    for job, name in ((built.job, names.COMPONENT_TRAINER), (built.batch, names.COMPONENT_BATCH)):
        spec = job["spec"]
        by_code = {"containerName": name, "operator": "In"}
        assert spec["podFailurePolicy"]["rules"] == [
            {"action": "FailJob", "onExitCodes": by_code | {"values": [64, 65]}},
            {"action": "Ignore", "onExitCodes": by_code | {"values": [75]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
        assert spec["podReplacementPolicy"] == "Failed"
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        assert "ttlSecondsAfterFinished" not in spec
    assert built.job["spec"]["backoffLimit"] == 5
    assert built.job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 300


def test_the_order_is_the_whole_request(build: Build) -> None:
    built = build({"training": {"learningRate": "0.0001", "seed": 7, "checkpoint": {"retention": {"keepLast": 3}}}})
    order = codec.loads(orders.TrainingOrder, built.order["data"][names.ORDER_FILE].encode(), "order")
    assert (order.training.learning_rate, order.training.seed, order.training.keep_last) == (0.0001, 7, 3)
    assert order.voice == orders.VoiceName(namespace="ns", name="khazix", uid="uid-1")
    assert [text.name for text in order.auditions] == ["greeting", "weather", "question"]
    assert built.order["immutable"] is True
    marks = built.job["metadata"]["annotations"]
    assert marks[names.ANNOTATION_ORDER_DIGEST] == codec.digest(order)
    assert (marks[names.ANNOTATION_GENERATION], marks[names.ANNOTATION_STEP]) == ("3", "1000")
    assert marks[names.ANNOTATION_LISTING_DIGEST] == "listing"
    container = built.pods["trainer"]["containers"][0]
    assert container["args"] == ["--order", "/etc/kelong/order/order.json"]


def test_a_source_of_its_own_brings_its_own_secret(build: Build) -> None:
    built = build({"dataset": {"source": {"type": "S3", "s3": OWN_BUCKET}}})
    order = codec.loads(orders.TrainingOrder, built.order["data"][names.ORDER_FILE].encode(), "order")
    assert (order.dataset.prefix, order.dataset.bucket, order.dataset.region) == ("a/", "mine", "us-east-1")
    found = environment(built.pods["trainer"])
    assert found[names.ENV_SOURCE_ACCESS_KEY] == {"secretKeyRef": {"name": "my-keys", "key": "accessKey"}}
    assert names.ENV_SOURCE_ACCESS_KEY not in environment(built.pods["server"])


def test_a_source_of_its_own_has_a_region_of_its_own(build: Build) -> None:
    own = build({"dataset": {"source": {"type": "S3", "s3": OWN_BUCKET | {"region": "cn-north-1"}}}})
    order = codec.loads(orders.TrainingOrder, own.order["data"][names.ORDER_FILE].encode(), "order")
    assert order.dataset.region == "cn-north-1"


def test_a_volume_is_mounted_read_only(build: Build) -> None:
    claim = {"claimName": "tapes", "subPath": "1/a"}
    pod = build({"dataset": {"source": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": claim}}}).pods[
        "trainer"
    ]
    volume = next(item for item in pod["volumes"] if item["name"] == "recordings")
    mount = next(item for item in pod["containers"][0]["volumeMounts"] if item["name"] == "recordings")
    assert volume["persistentVolumeClaim"] == {"claimName": "tapes", "readOnly": True}
    assert mount == {"name": "recordings", "mountPath": names.DATASET_MOUNT, "readOnly": True, "subPath": "1/a"}


def test_servers_roll_without_a_gap(build: Build) -> None:
    deployment = build({"serving": {"replicas": 3}}).deployment
    spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod["containers"][0]["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert pod["terminationGracePeriodSeconds"] > 7
    text = environment(pod)[names.ENV_SERVING_ORDER]
    order = codec.loads(orders.ServingOrder, text.encode(), "order")
    assert (order.step, order.drain_s, order.manifest_sha256) == (500, 7.0, "a" * 64)


def test_the_service_finds_the_servers_and_nothing_else(build: Build) -> None:
    built = build()
    selector = built.service["spec"]["selector"].items()
    assert selector <= built.deployment["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= built.job["spec"]["template"]["metadata"]["labels"].items()
    assert built.service["metadata"]["name"] == "khazix"


def test_every_child_belongs_to_its_resource(build: Build) -> None:
    built = build()
    for child in (built.job, built.order, built.deployment, built.service):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == (names.VOICE_MODEL, "uid-1", True)
        labels = child["metadata"]["labels"]
        assert labels[names.LABEL_MANAGED_BY] == names.MANAGED_BY
        assert (labels[names.LABEL_KIND], labels[names.LABEL_OWNER]) == (names.VOICE_MODEL, "khazix")
    assert built.batch["metadata"]["ownerReferences"][0]["uid"] == "uid-2"


def test_pods_with_metrics_say_where(build: Build) -> None:
    built = build()
    for template, port in ((built.job["spec"]["template"], "9090"), (built.deployment["spec"]["template"], "8080")):
        marks = template["metadata"]["annotations"]
        assert (marks["prometheus.io/scrape"], marks["prometheus.io/port"]) == ("true", port)


def test_test_clusters_may_let_pods_with_a_gpu_work_without_cuda(build: Build) -> None:
    built = build(configuration={"allowCpuOnGpuNodes": True})
    order = codec.loads(orders.TrainingOrder, built.order["data"][names.ORDER_FILE].encode(), "order")
    assert order.device == orders.Device(gpus=1, allow_cpu=True)


@pytest.mark.parametrize(
    ("source", "sources", "expected"),
    [
        (OWN, {}, ("recordings/ns/khazix/", "models/whisper/")),
        (OWN, {"recogniser": "hub:org/name@v1"}, ("recordings/ns/khazix/",)),
        (OWN, {"textEncoder": "store:./mine"}, ("recordings/ns/khazix/", "models/ns/mine/", "models/whisper/")),
        (OWN, {"style": "store:whisper"}, ("recordings/ns/khazix/", "models/whisper/")),
        (ELSEWHERE, {}, ("models/whisper/",)),
        (ELSEWHERE, {"recogniser": "path:/models/whisper"}, ()),
    ],
)
def test_what_an_order_reads_of_our_store_is_watched(
    build: Build, source: dict[str, Any], sources: dict[str, str], expected: tuple[str, ...]
) -> None:
    changes = {"dataset": {"source": source}, "model": {"preset": "tiny", "sources": sources}}
    assert build(changes).watched == expected


def test_a_batch_that_stops_has_more_time_than_it_tries_to_save(build: Build) -> None:
    pod = build().pods[names.COMPONENT_BATCH]
    assert pod["terminationGracePeriodSeconds"] >= patience.AFTER_STOP_S + 15


def test_a_job_carries_the_wish_it_was_made_for_and_the_voice_it_speaks_with(build: Build) -> None:
    built = build()
    marks = {"uid": "job", "creationTimestamp": "2026-01-01T00:00:00Z"}
    training = views.job_of(built.job | {"metadata": built.job["metadata"] | marks}, "uid-1")
    basic = {"speakers": [{"name": "Khazix"}], "dataset": {"source": OWN}, "model": {"preset": "zh-clap"}}
    wish = order_book.training_wish(resources.voice_model_spec(basic))
    assert (training.wish, training.resolved) == (wish, None)
    assert names.ANNOTATION_APPLIED_HASH not in built.job["metadata"]["annotations"]
    batch = views.job_of(built.batch | {"metadata": built.batch["metadata"] | marks}, "uid-2")
    assert batch.resolved == synthesis_jobs.Resolved(uid="uid-1", step=500, manifest_sha256="a" * 64)
