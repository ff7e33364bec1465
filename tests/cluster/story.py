"""What the story looks at: status, pods, the store's content, sound and Prometheus."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
import transformers
import yaml
from kelong_cluster import handle, host, installation
from kelong_contract import codec, layout, manifests, names, store

NAME = "khazix"  # where the recordings lie
SENTENCE = "大家好，很高兴认识你们。"
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

T = TypeVar("T")
Samples = npt.NDArray[np.float64]


def signal_to_difference_db(reference: Samples, other: Samples) -> float:
    """How much louder the reference is than its difference to the other, in dB; silence pads the shorter one."""
    length = max(len(reference), len(other))
    first, second = (np.pad(samples, (0, length - len(samples))) for samples in (reference, other))
    return float(10 * np.log10(np.sum(first**2) / max(np.sum((first - second) ** 2), 1e-12)))


def voice_model(name: str, training: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The example VoiceModel in small: the manifest a person would write, with fewer steps."""
    manifest: dict[str, Any] = yaml.safe_load((EXAMPLES / "voicemodel-tiny.yaml").read_text())
    manifest["metadata"]["name"] = name
    manifest["spec"]["dataset"] = {"source": {"type": "S3", "s3": {"prefix": f"{NAME}/"}}}
    manifest["spec"]["audition"] = {"texts": [{"name": "greeting", "text": SENTENCE}]}
    manifest["spec"]["training"] = {"terminationGracePeriodSeconds": 60} | training
    manifest["spec"] |= spec
    return manifest


def make_wavlm(folder: pathlib.Path) -> None:
    """A WavLM that knows nothing, two layers of it: what it hears is of no use, but is heard as with a real one."""
    sizes: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 48, "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16}
    sizes |= {"num_conv_pos_embedding_groups": 4, "num_buckets": 32, "max_bucket_distance": 80}
    torch.manual_seed(0)
    transformers.WavLMModel(transformers.WavLMConfig(**sizes)).save_pretrained(folder)


def more_steps(max_steps: int) -> dict[str, Any]:
    """The patch that lets a voice train on."""
    return {"spec": {"training": {"maxSteps": max_steps}}}


@dataclass(frozen=True)
class Story:
    """A cluster with Kelong on it, its store, and a folder of this test run."""

    cluster: handle.Cluster
    store: store.BucketStore
    folder: pathlib.Path

    def wait(self, look: Callable[[], T], what: str, timeout_s: float) -> T:
        """What `look` returns, as soon as that is something."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                pytest.fail(f"{what} did not come within {timeout_s:.0f} s; {self.account()}")
            time.sleep(1)

    def account(self) -> str:
        """What a person would look at first when something does not come."""
        described = self.cluster.kubectl("describe", "voicemodels,synthesisjobs", "-A", check=False).stdout
        pods = self.cluster.kubectl("get", "pods,jobs", "-A", "-o", "wide", check=False).stdout
        log = self.cluster.kubectl(
            "--namespace", installation.NAMESPACE, "logs", "deployment/kelong-operator", "--tail=30", check=False
        )
        return f"\n{described[-6000:]}\n{pods}\n{log.stdout}"

    def resource(self, name: str, namespace: str = "default") -> Any:
        """The VoiceModel."""
        return self.cluster.get("--namespace", namespace, f"voicemodel/{name}")

    def status(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """Its status, empty before the operator's first look."""
        return dict(self.resource(name, namespace).get("status", {}))

    def step(self, name: str) -> int:
        """The step in status."""
        return int(self.status(name).get("training", {}).get("currentStep", 0))

    def wait_for_condition(
        self, name: str, kind: str, status: str, reason: str, timeout_s: float, namespace: str = "default"
    ) -> dict[str, Any]:
        """The condition, as soon as it has that status and reason."""

        def look() -> dict[str, Any] | None:
            for condition in self.status(name, namespace).get("conditions", []):
                if (condition["type"], condition["status"], condition["reason"]) == (kind, status, reason):
                    return dict(condition)
            return None

        found = self.wait(look, f"{kind}={status}/{reason} of {name}", timeout_s)
        assert found is not None
        return found

    def place(self, name: str, namespace: str = "default") -> layout.Voice:
        """The voice's part of the store."""
        uid = self.resource(name, namespace)["metadata"]["uid"]
        return layout.Voice(namespace=namespace, name=name, uid=uid)

    def promote(self, name: str, step: int, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The edit that promotes."""
        patch = json.dumps({"spec": {"promotedStep": step}})
        return self.cluster.kubectl("patch", f"voicemodel/{name}", "--type=merge", "-p", patch, check=check)

    def training_pods(self, name: str) -> list[dict[str, Any]]:
        """The training pods, also those that have ended."""
        selector = f"{names.LABEL_OWNER}={name},{names.LABEL_COMPONENT}={names.COMPONENT_TRAINER}"
        return list(self.cluster.get("pods", "-l", selector)["items"])

    def running_pods(self, name: str) -> dict[int, dict[str, Any]]:
        """The training pods whose container runs, by the index of the worker."""
        found = {}
        for pod in self.training_pods(name):
            states = pod["status"].get("containerStatuses", [])
            if any("running" in state["state"] for state in states):
                found[int(pod["metadata"]["labels"].get(names.LABEL_WORKER_INDEX, 0))] = pod
        return found

    def running_pod(self, name: str, other_than: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The training pod whose container runs, None while there is none (but the one already known)."""
        known = other_than["metadata"]["uid"] if other_than else None
        return next((pod for pod in self.running_pods(name).values() if pod["metadata"]["uid"] != known), None)

    def operator_pods(self) -> list[str]:
        """The names of the operator's pods."""
        selector = f"{names.LABEL_COMPONENT}=operator"
        pods = self.cluster.get("--namespace", installation.NAMESPACE, "pods", "-l", selector)["items"]
        return [pod["metadata"]["name"] for pod in pods]

    def gpus_in_use(self) -> int:
        """GPUs of pods that have a node and are not finished."""
        pods = self.cluster.get("pods", "--all-namespaces")["items"]
        live = [pod for pod in pods if pod["spec"].get("nodeName") and pod["status"]["phase"] in ("Pending", "Running")]
        limits = [container["resources"].get("limits", {}) for pod in live for container in pod["spec"]["containers"]]
        return sum(int(limit.get(self.cluster.gpu_resource, 0)) for limit in limits)

    def kill(self, pod: dict[str, Any]) -> None:
        """End the pod's program without warning: SIGKILL on the built-in node, a forced deletion elsewhere."""
        if self.cluster.spaces is None:
            self.cluster.kubectl("delete", f"pod/{pod['metadata']['name']}", "--force", "--grace-period=0")
            return
        host.kill_program("kelong_trainer", pod["spec"].get("hostname", pod["metadata"]["name"]))

    def stage_objects(self, name: str) -> dict[str, str]:
        """The results of finished stages and when each was written."""
        place = self.place(name)
        corpus = f"{place.prefix}corpus/"
        found = {item.key: item.modified.isoformat() for item in self.store.list(corpus)}
        return {
            key: when
            for key, when in found.items()
            if re.fullmatch(r"corpus/[a-z]+/[0-9a-f]{64}\.json", key[len(place.prefix) :])
        }

    def loss_logs(self, name: str) -> list[list[manifests.LossLine]]:
        """The published loss logs, one per attempt that took a step."""
        keys = {
            item.key: int(item.key.rpartition("/")[2].partition(".")[0])
            for item in self.store.list(f"{self.place(name).prefix}losses/")
        }
        logs = []
        for key in sorted(keys, key=lambda key: keys[key]):
            lines = self.store.get(key).splitlines()
            logs.append([codec.loads(manifests.LossLine, line, "a loss line") for line in lines])
        return [log for log in logs if log]

    def attempts_with_losses(self, name: str) -> int:
        """How many attempts have published steps."""
        return len(self.loss_logs(name))

    def saved_steps(self, name: str) -> set[int]:
        """Every step with a manifest, also those saved only to resume from."""
        place = self.place(name)
        steps = (layout.checkpoint_step(place, item.key) for item in self.store.list(layout.checkpoints(place)))
        return {step for step in steps if step is not None}

    def serves_alone(self, name: str, step: int) -> bool:
        """Whether every server has this step."""
        status = self.status(name)
        serving = status.get("serving", {})
        counts = [serving.get(key) for key in ("replicas", "readyReplicas", "updatedReplicas")]
        return status.get("promotedStep") == step and counts == [2, 2, 2]

    def audition(self, name: str, step: int) -> manifests.Audition:
        """The first audition of a step."""
        data = self.store.get(layout.audition_report(self.place(name), step))
        return codec.loads(manifests.AuditionReport, data, "the report").auditions[0]

    def audition_samples(self, name: str, step: int) -> Samples:
        """Its samples."""
        return _samples(self.store.get(self.audition(name, step).key))

    def speak(self, name: str, text: str, like: manifests.Audition) -> Samples:
        """What the server says with the settings of an audition."""
        body = {
            "model": name,
            "voice": like.speaker,
            "input": text,
            "response_format": "wav",
            "seed": like.seed,
            "speed": 1 / like.length,
            "sdp_ratio": like.sdp_ratio,
            "noise": like.noise,
            "noise_w": like.noise_w,
        }
        with self.cluster.forward("default", f"service/{name}", names.PORT_SERVER) as address:
            request = urllib.request.Request(
                f"http://{address}/v1/audio/speech", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return _samples(answer.read())

    @contextlib.contextmanager
    def prometheus(self) -> Iterator[Callable[[str], list[float]]]:
        """A real Prometheus that scrapes what carries the scrape annotation; yields a function that asks it."""
        with self.cluster.prometheus(self.folder) as address:

            def ask(query: str) -> list[float]:
                url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
                with urllib.request.urlopen(url, timeout=30) as answer:
                    return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]

            yield ask


def _samples(wav: bytes) -> Samples:
    samples, _ = soundfile.read(io.BytesIO(wav), dtype="float64")
    return np.asarray(samples)
