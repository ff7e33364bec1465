"""What the operator creates, as the API server's JSON: pure functions, values in, dict out.

Names are derived from the owner's, so that a crash between creating and remembering doubles nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kelong_contract import codec, names, orders
from kelong_contract.resources import Placement, Resources, VoiceModelSpec, VolumeSource
from kelong_contract.synthesis_jobs import SynthesisJobSpec

from kelong_operator import order_book, quantity
from kelong_operator.settings import Program, Settings
from kelong_operator.views import Owner

Body = dict[str, Any]

USER_ID = 65532
SERVER_GRACE_S = 60  # after the endpoint delay, for the requests that are still being spoken
SERVER_PROGRESS_DEADLINE_S = 600
BATCH_GRACE_S = 90  # beyond patience.AFTER_STOP_S, so that what it has tried to save for so long is told, not killed
BATCH_BACKOFF_LIMIT = 3
_ORDER_PATH = f"{names.ORDER_MOUNT}/{names.ORDER_FILE}"


def training_job_name(owner: Owner, attempt: int) -> str:
    """The name of a training Job."""
    return f"{owner.name}-train-{attempt}"


def meeting_name(owner: Owner) -> str:
    """The name of the headless Service that gives the pods of a training with several workers their addresses."""
    return f"{owner.name}-train"


def rendezvous(owner: Owner, job: str) -> str:
    """Where the ranks of a training Job meet: the pod with index 0, by the name that Kubernetes gives it."""
    return f"{job}-0.{meeting_name(owner)}.{owner.namespace}.svc:{names.PORT_RENDEZVOUS}"


def batch_job_name(owner: Owner) -> str:
    """The name of a SynthesisJob's Job."""
    return f"{owner.name}-batch"


def order_name(job: str) -> str:
    """The name of the ConfigMap with a Job's order."""
    return f"{job}-order"


def server_labels(owner: Owner) -> dict[str, str]:
    """What selects the pods of a voice's servers."""
    return {
        names.LABEL_KIND: owner.kind,
        names.LABEL_OWNER: owner.name,
        names.LABEL_COMPONENT: names.COMPONENT_SERVER,
    }


def server_selector(owner: Owner) -> str:
    """`server_labels` as a selector, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in server_labels(owner).items())


def server_url(owner: Owner) -> str:
    """Where the speech endpoint is, inside the cluster."""
    return f"http://{owner.name}.{owner.namespace}.svc:{names.PORT_SERVER}"


def build_order(owner: Owner, job: str, order: orders.TrainingOrder | orders.SynthesisOrder) -> Body:
    """The immutable ConfigMap that holds a Job's order."""
    component = names.COMPONENT_TRAINER if isinstance(order, orders.TrainingOrder) else names.COMPONENT_BATCH
    annotations = {names.ANNOTATION_ORDER_DIGEST: codec.digest(order)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(owner, order_name(job), component, annotations=annotations),
        "immutable": True,
        "data": {names.ORDER_FILE: codec.dumps(order).decode()},
    }


def build_training_job(
    owner: Owner,
    spec: VoiceModelSpec,
    order: orders.TrainingOrder,
    settings: Settings,
    *,
    attempt: int,
    start_step: int,
    listing_digest: str | None,
) -> Body:
    """The Job that prepares the recordings and trains, in pods that hold their GPUs: one, or as many as workers.

    Several are an Indexed Job. When one of them ends too early the others lose it, save nothing more and exit 75,
    which is ignored: all come again and go on from the checkpoint. Only the one that was lost counts as a failure.
    """
    name, training = training_job_name(owner, attempt), spec.training
    pod = _training_pod(owner, name, spec, order, settings)
    labels = {names.LABEL_ATTEMPT: str(attempt)}
    annotations = _training_annotations(owner, spec, order, start_step, listing_digest)
    return _job(
        _metadata(owner, name, names.COMPONENT_TRAINER, labels=labels, annotations=annotations),
        _pod_template(owner, names.COMPONENT_TRAINER, pod, names.PORT_METRICS, labels=labels),
        backoff_limit=training.backoff_limit,
        workers=training.workers,
    )


def _training_pod(
    owner: Owner, job: str, spec: VoiceModelSpec, order: orders.TrainingOrder, settings: Settings
) -> Body:
    """What each worker of a training Job runs."""
    training = spec.training
    volumes, mounts = _order_volume(job)
    s3, claim = spec.dataset.source.s3, spec.dataset.source.persistent_volume_claim
    if claim is not None:
        volume, mount = _recordings_volume(claim)
        volumes.append(volume)
        mounts.append(mount)
    environment = _environment(settings, s3.secret_name if s3 is not None else None)
    ports = [("metrics", names.PORT_METRICS)]
    if training.workers > 1:
        environment.append({"name": names.ENV_RENDEZVOUS, "value": rendezvous(owner, job)})
        ports.append(("rendezvous", names.PORT_RENDEZVOUS))
    container = _container(
        name=names.COMPONENT_TRAINER,
        image=settings.images.trainer,
        arguments=["--order", _ORDER_PATH],
        environment=environment,
        ports=ports,
        mounts=mounts,
        resources=_resources(
            training.resources,
            settings.presets[spec.model.preset].training,
            training.placement,
            order.device.gpus,
        ),
        settings=settings,
    )
    pod = _pod(container, volumes, training.placement, order.device.gpus, settings)
    pod |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": training.termination_grace_period_seconds}
    if training.workers > 1:
        pod["subdomain"] = meeting_name(owner)  # with the host name <job>-<index> that an Indexed Job gives
    return pod


def _training_annotations(
    owner: Owner, spec: VoiceModelSpec, order: orders.TrainingOrder, start_step: int, listing_digest: str | None
) -> dict[str, str]:
    """What a training Job was made for, and from where: read again when it is decided whether another must follow."""
    annotations = {
        names.ANNOTATION_ORDER_DIGEST: codec.digest(order),
        names.ANNOTATION_WISH: order_book.training_wish(spec),
        names.ANNOTATION_PREPARING: order_book.preparing_wish(spec),
        names.ANNOTATION_GENERATION: str(owner.generation),
        names.ANNOTATION_STEP: str(start_step),
    }
    if listing_digest is not None:
        annotations[names.ANNOTATION_LISTING_DIGEST] = listing_digest
    return annotations


def build_meeting(owner: Owner) -> Body:
    """The headless Service by which training pods find each other, from the moment they have an address."""
    selector = _labels(owner, names.COMPONENT_TRAINER)
    port = {"name": "rendezvous", "port": names.PORT_RENDEZVOUS, "targetPort": "rendezvous", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(owner, meeting_name(owner), names.COMPONENT_TRAINER),
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector, "ports": [port]},
    }


def build_batch_job(
    owner: Owner, spec: SynthesisJobSpec, voice: VoiceModelSpec, order: orders.SynthesisOrder, settings: Settings
) -> Body:
    """The Job that speaks every sentence of a SynthesisJob, placed as the voice's servers are."""
    name = batch_job_name(owner)
    volumes, mounts = _order_volume(name)
    if spec.input.config_map is not None:
        volumes.append({"name": "input", "configMap": {"name": spec.input.config_map.name}})
        mounts.append({"name": "input", "mountPath": names.INPUT_MOUNT, "readOnly": True})
    container = _container(
        name=names.COMPONENT_BATCH,
        image=settings.images.inference,
        arguments=["batch", "--order", _ORDER_PATH],
        environment=_environment(settings, None),
        ports=[],
        mounts=mounts,
        resources=_server_resources(voice, order.device.gpus, settings),
        settings=settings,
    )
    pod = _pod(container, volumes, voice.serving.placement, order.device.gpus, settings)
    pod |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": BATCH_GRACE_S}
    annotations = {
        names.ANNOTATION_ORDER_DIGEST: codec.digest(order),
        names.ANNOTATION_VOICE_UID: order.voice.uid,
        names.ANNOTATION_STEP: str(order.step),
        names.ANNOTATION_MANIFEST: order.manifest_sha256,
    }
    return _job(
        _metadata(owner, name, names.COMPONENT_BATCH, annotations=annotations),
        _pod_template(owner, names.COMPONENT_BATCH, pod, None),
        backoff_limit=BATCH_BACKOFF_LIMIT,
    )


def build_deployment(owner: Owner, spec: VoiceModelSpec, order: orders.ServingOrder, settings: Settings) -> Body:
    """The speech servers of one step. Another step is another template, so the rollout is Kubernetes' own."""
    marks = {names.ANNOTATION_STEP: str(order.step), names.ANNOTATION_MANIFEST: order.manifest_sha256}
    text = codec.dumps(order).decode()
    container = _container(
        name=names.COMPONENT_SERVER,
        image=settings.images.inference,
        arguments=[],
        environment=[*_environment(settings, None), {"name": names.ENV_SERVING_ORDER, "value": text}],
        ports=[("http", names.PORT_SERVER)],
        mounts=[],
        resources=_server_resources(spec, order.device.gpus, settings),
        settings=settings,
    )
    container |= {
        # Loading torch and the weights may take minutes on a busy node; until then liveness does not count.
        "startupProbe": _probe("/healthz", period_s=2, failures=300),
        "readinessProbe": _probe("/readyz", period_s=2, failures=1),
        "livenessProbe": _probe("/healthz", period_s=10, failures=6),
    }
    pod = _pod(container, [], spec.serving.placement, order.device.gpus, settings)
    pod["terminationGracePeriodSeconds"] = round(settings.endpoint_delay_seconds) + SERVER_GRACE_S
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(owner, owner.name, names.COMPONENT_SERVER, annotations=marks),
        "spec": {
            "replicas": spec.serving.replicas,
            "selector": {"matchLabels": server_labels(owner)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": SERVER_PROGRESS_DEADLINE_S,
            "template": _pod_template(owner, names.COMPONENT_SERVER, pod, names.PORT_SERVER, annotations=marks),
        },
    }


def build_service(owner: Owner) -> Body:
    """The address of a voice's servers."""
    port = {"name": "http", "port": names.PORT_SERVER, "targetPort": "http", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(owner, owner.name, names.COMPONENT_SERVER),
        "spec": {"type": "ClusterIP", "selector": server_labels(owner), "ports": [port]},
    }


def _metadata(
    owner: Owner,
    name: str,
    component: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Body:
    reference = {
        "apiVersion": names.API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    body: Body = {
        "namespace": owner.namespace,
        "name": name,
        "labels": _labels(owner, component) | dict(labels or {}),
        "ownerReferences": [reference],
    }
    return body | ({"annotations": dict(annotations)} if annotations else {})


def _labels(owner: Owner, component: str) -> dict[str, str]:
    return {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_KIND: owner.kind,
        names.LABEL_OWNER: owner.name,
        names.LABEL_COMPONENT: component,
    }


def _job(metadata: Body, template: Body, *, backoff_limit: int, workers: int = 1) -> Body:
    container = template["spec"]["containers"][0]["name"]

    def on_exit(action: str, codes: Sequence[int]) -> Body:
        return {
            "action": action,
            "onExitCodes": {"containerName": container, "operator": "In", "values": list(codes)},
        }

    # What the first worker has saved is all there is to make: the others may have lost it at the very end.
    together = {"completionMode": "Indexed", "successPolicy": {"rules": [{"succeededIndexes": "0"}]}}
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completions": workers,
            "parallelism": workers,
            **(together if workers > 1 else {}),
            "backoffLimit": backoff_limit,
            "suspend": False,
            "podReplacementPolicy": "Failed",  # never two pods of one Job that write to the same place
            "podFailurePolicy": {
                "rules": [
                    on_exit("FailJob", [names.EXIT_BAD_ORDER, names.EXIT_BAD_DATA]),
                    on_exit("Ignore", [names.EXIT_SAVED]),
                    disrupted,
                ]
            },
            "template": template,
        },
    }


def _pod_template(
    owner: Owner,
    component: str,
    pod: Body,
    metrics_port: int | None,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Body:
    marks = dict(annotations or {})
    if metrics_port is not None:
        marks |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(metrics_port),
            "prometheus.io/path": "/metrics",
        }
    metadata: Body = {"labels": _labels(owner, component) | dict(labels or {})}
    return {"metadata": metadata | ({"annotations": marks} if marks else {}), "spec": pod}


def _pod(container: Body, volumes: list[Body], placement: Placement, gpus: int, settings: Settings) -> Body:
    """A pod that passes Pod Security `restricted` and holds no credentials of the cluster."""
    shared_memory = {"medium": "Memory", "sizeLimit": settings.shm_size}
    pod: Body = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            *volumes,
            {"name": "work", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "shm", "emptyDir": shared_memory},
        ],
    }
    if settings.images.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.images.pull_secrets]
    selector = dict(placement.node_selector)
    if gpus > 0 and placement.gpu.product is not None:
        selector[names.NODE_LABEL_GPU_PRODUCT] = placement.gpu.product
    if selector:
        pod["nodeSelector"] = selector
    if placement.tolerations:
        pod["tolerations"] = [codec.encode(item, codec.camel_case, drop_none=True) for item in placement.tolerations]
    if placement.runtime_class_name is not None:
        pod["runtimeClassName"] = placement.runtime_class_name
    if placement.priority_class_name is not None:
        pod["priorityClassName"] = placement.priority_class_name
    return pod


def _container(
    *,
    name: str,
    image: str,
    arguments: list[str],
    environment: list[Body],
    ports: list[tuple[str, int]],
    mounts: list[Body],
    resources: Body,
    settings: Settings,
) -> Body:
    body: Body = {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.images.pull_policy,
        "env": environment,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *mounts,
            {"name": "work", "mountPath": names.WORK_MOUNT},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
        "terminationMessagePath": names.TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if arguments:
        body["args"] = arguments
    if ports:
        body["ports"] = [{"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports]
    return body


def _order_volume(job: str) -> tuple[list[Body], list[Body]]:
    volume = {"name": "order", "configMap": {"name": order_name(job)}}
    return [volume], [{"name": "order", "mountPath": names.ORDER_MOUNT, "readOnly": True}]


def _recordings_volume(claim: VolumeSource) -> tuple[Body, Body]:
    volume = {"name": "recordings", "persistentVolumeClaim": {"claimName": claim.claim_name, "readOnly": True}}
    mount = {"name": "recordings", "mountPath": names.DATASET_MOUNT, "readOnly": True}
    return volume, mount | ({"subPath": claim.sub_path} if claim.sub_path else {})


def _environment(settings: Settings, source_secret: str | None) -> list[Body]:
    """How the pod reaches the store: keys by reference only, so that a missing Secret is named in the pod's status."""

    def plain(name: str, value: str) -> Body:
        return {"name": name, "value": value}

    def secret(name: str, secret_name: str, key: str) -> Body:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}}

    store = settings.store
    variables = [
        plain(names.ENV_STORE_URL, f"s3://{store.bucket}"),
        plain(names.ENV_STORE_ENDPOINT, store.endpoint),
        plain(names.ENV_STORE_REGION, store.region),
        secret(names.ENV_STORE_ACCESS_KEY, store.secret_name, names.SECRET_ACCESS_KEY),
        secret(names.ENV_STORE_SECRET_KEY, store.secret_name, names.SECRET_SECRET_KEY),
        plain(names.ENV_WORK_DIR, names.WORK_MOUNT),
        {"name": names.ENV_POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    if source_secret is not None:
        variables.append(secret(names.ENV_SOURCE_ACCESS_KEY, source_secret, names.SECRET_ACCESS_KEY))
        variables.append(secret(names.ENV_SOURCE_SECRET_KEY, source_secret, names.SECRET_SECRET_KEY))
    return variables


def _server_resources(spec: VoiceModelSpec, gpus: int, settings: Settings) -> Body:
    serving = spec.serving
    return _resources(serving.resources, settings.presets[spec.model.preset].serving, serving.placement, gpus)


def _resources(wished: Resources, defaults: Program, placement: Placement, gpus: int) -> Body:
    limits = quantity.merged(quantity.raised(defaults.resources.limits, wished.requests), wished.limits)
    requests = quantity.fitted(quantity.merged(defaults.resources.requests, wished.requests), limits)
    if gpus > 0:
        limits = {**limits, placement.gpu.resource_name: str(gpus)}
    return {"requests": requests, "limits": limits}


def _probe(path: str, *, period_s: int, failures: int) -> Body:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
