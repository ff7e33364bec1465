"""The whole story on a real cluster, from `helm install` to deletion; each test is a step and leans on those before it.

Images are built from the repository's Dockerfiles, recordings come from the stand-in speaker, labels from Whisper
inside the training pod. The one shortcut is the chart value `allowCpuOnGpuNodes`.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import story
import yaml
from kelong_cluster import installation, listener
from kelong_contract import codec, layout, manifests, store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

NAME, SENTENCE = story.NAME, story.SENTENCE
MAX_STEPS, INTERVAL = 120, 20
LAG_STEPS = 20  # status is up to some ten seconds old, a scrape two; a step takes half a second


def voice_model(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """The voice of this story."""
    training = {"maxSteps": MAX_STEPS, "checkpoint": {"intervalSteps": INTERVAL}, "placement": {"gpu": {"count": 1}}}
    return story.voice_model(name, training=training, **spec)


def test_an_applied_voice_model_gets_a_pod_that_holds_the_gpu(told: story.Story) -> None:
    told.cluster.apply(voice_model())
    pod = told.wait(lambda: told.running_pod(NAME), "a running training pod", 180)
    container = pod["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert told.gpus_in_use() == 1
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]


def test_a_voice_model_that_asks_for_too_much_shows_the_schedulers_words(told: story.Story) -> None:
    greedy = voice_model("greedy")
    greedy["spec"]["training"]["placement"]["gpu"]["count"] = 3
    told.cluster.apply(greedy)
    condition = told.wait_for_condition("greedy", "Trained", "False", "Unschedulable", 120)
    assert "Insufficient nvidia.com/gpu" in condition["message"]
    told.cluster.kubectl("delete", "voicemodel/greedy", "--wait=true")


def test_dataset_and_step_appear_in_status_and_columns(told: story.Story) -> None:
    told.wait_for_condition(NAME, "DatasetReady", "True", "Prepared", 300)
    dataset = told.status(NAME)["dataset"]
    assert dataset["clips"] >= 2 and dataset["keptSeconds"] >= 30
    assert [rejected["recording"].rpartition("/")[2] for rejected in dataset["rejectedRecordings"]] == ["broken.wav"]
    told.wait(lambda: told.step(NAME) >= 1, "the first step in status", 120)
    table = told.cluster.kubectl("get", "voicemodels").stdout.splitlines()
    assert table[0].split() == ["NAME", "STATUS", "STEP", "MAX", "PROMOTED", "READY", "AGE"]
    row = next(line.split() for line in table[1:] if line.startswith(NAME))
    assert row[1] == "Training" and int(row[2]) >= 1 and int(row[3]) == MAX_STEPS


def test_checkpoints_appear_in_status_and_in_the_store(told: story.Story) -> None:
    told.cluster.kubectl("wait", f"voicemodel/{NAME}", "--for=condition=CheckpointAvailable", "--timeout=300s")
    listed = told.status(NAME)["checkpoints"][0]
    data = told.store.get(layout.checkpoint_manifest(told.place(NAME), listed["step"]))
    assert store.digest_bytes(data) == listed["manifestSha256"]
    manifest = codec.loads(manifests.CheckpointManifest, data, "the manifest")
    assert all(told.store.exists(file.key) for file in manifest.files)


def test_training_goes_on_after_a_deleted_and_a_killed_pod(told: story.Story) -> None:
    stages = told.stage_objects(NAME)
    first = told.running_pod(NAME)
    assert first is not None
    told.cluster.kubectl("delete", f"pod/{first['metadata']['name']}", "--wait=true", timeout_s=120)
    second = told.wait(lambda: told.running_pod(NAME, other_than=first), "a pod after the deleted one", 120)
    told.wait(lambda: told.attempts_with_losses(NAME) >= 2, "steps of the second attempt", 180)
    saved = told.saved_steps(NAME)  # a save for resuming only is removed once a later checkpoint stands
    told.kill(second)
    told.wait(lambda: told.running_pod(NAME, other_than=second), "a pod after the killed one", 180)
    told.wait_for_condition(NAME, "Trained", "True", "MaxStepsReached", 600)
    logs = told.loss_logs(NAME)
    assert len(logs) >= 3
    starts = [log[0].step for log in logs]
    for log in logs:
        assert [line.step for line in log] == list(range(log[0].step, log[-1].step + 1)), "a step is missing or doubled"
        assert all(math.isfinite(value) for line in log for value in line.losses.values())
    assert starts[0] == 1 and logs[-1][-1].step == MAX_STEPS
    assert starts[1] == logs[0][-1].step + 1, "a stop with a grace period loses no step"
    assert 1 < starts[2] <= logs[1][-1].step + 1 and (starts[2] - 1) in saved | told.saved_steps(NAME)
    assert told.stage_objects(NAME) == stages, "a stage ran again"


def test_a_step_that_does_not_exist_is_refused_at_admission(told: story.Story) -> None:
    refused = told.promote(NAME, 99, check=False)
    assert refused.returncode != 0
    assert "promotedStep must be the step of a checkpoint listed in status.checkpoints" in refused.stderr


def test_a_promoted_step_serves_what_its_audition_let_hear(told: story.Story) -> None:
    told.wait(lambda: told.store.exists(layout.audition_report(told.place(NAME), MAX_STEPS)), "auditions", 120)
    told.promote(NAME, INTERVAL)
    told.cluster.kubectl("wait", f"voicemodel/{NAME}", "--for=condition=Promoted", "--timeout=300s", timeout_s=320)
    assert told.status(NAME)["promotedStep"] == INTERVAL
    spoken = told.speak(NAME, SENTENCE, told.audition(NAME, INTERVAL))
    assert story.signal_to_difference_db(told.audition_samples(NAME, INTERVAL), spoken) >= 40
    assert story.signal_to_difference_db(told.audition_samples(NAME, MAX_STEPS), spoken) < 10


def test_kubectl_scale_makes_two_ready_servers(told: story.Story) -> None:
    told.cluster.kubectl("scale", f"voicemodel/{NAME}", "--replicas=2")
    told.wait(lambda: told.status(NAME)["serving"]["readyReplicas"] == 2, "two ready servers", 240)
    assert told.status(NAME)["serving"]["replicas"] == 2


def test_promotion_and_rollback_fail_no_request_even_without_the_operator(told: story.Story) -> None:
    request = {"model": NAME, "voice": "Khazix", "input": "你好。", "response_format": "wav", "seed": 1}
    with (
        told.cluster.balanced("default", NAME, 8080) as address,
        listener.Listener(address, request, per_s=5) as tally,
    ):
        told.promote(NAME, MAX_STEPS)
        told.cluster.kubectl("--namespace", installation.NAMESPACE, "delete", "pod", *told.operator_pods())
        told.wait(lambda: told.serves_alone(NAME, MAX_STEPS), "the new step on all servers", 300)
        told.promote(NAME, INTERVAL)
        told.wait(lambda: told.serves_alone(NAME, INTERVAL), "the old step on all servers", 300)
    assert tally.failures == []
    assert tally.answered > 50 and {str(INTERVAL), str(MAX_STEPS)} <= tally.steps
    assert len(told.cluster.get("jobs", "-l", f"kelong.dev/owner={NAME}")["items"]) == 1, "the operator doubled a Job"


def test_a_fresh_namespace_waits_for_its_step_and_then_serves(told: story.Story) -> None:
    fresh = voice_model(promotedStep=5)
    fresh["spec"]["training"] |= {"maxSteps": 5, "checkpoint": {"intervalSteps": 5}}
    told.cluster.apply(fresh, namespace="second")
    told.wait_for_condition(NAME, "Promoted", "False", "StepNotFound", 60, namespace="second")
    wait = ("wait", f"voicemodel/{NAME}", "--for=condition=Promoted", "--timeout=400s")
    told.cluster.kubectl("--namespace", "second", *wait, timeout_s=420)
    assert told.status(NAME, "second")["promotedStep"] == 5
    told.cluster.kubectl("--namespace", "second", "delete", f"voicemodel/{NAME}", "--wait=true")


def test_a_synthesis_job_of_twelve_lines_makes_eleven_files_and_names_one_failure(told: story.Story) -> None:
    items = [{"id": f"line-{number:02}", "text": f"这是第{number}句话。"} for number in range(1, 12)]
    items.insert(6, {"id": "emoji", "text": "这句话里有一个🙂。"})
    manifest = yaml.safe_load((story.EXAMPLES / "synthesisjob.yaml").read_text())
    manifest["spec"]["input"] = {"type": "Inline", "inline": {"items": items}}
    told.cluster.apply(manifest)
    name = manifest["metadata"]["name"]
    told.cluster.kubectl("wait", f"synthesisjob/{name}", "--for=condition=Complete", "--timeout=300s", timeout_s=320)
    status = told.cluster.get(f"synthesisjob/{name}")["status"]
    assert status["items"] == {"total": 12, "succeeded": 11, "failed": 1}
    assert [failed["id"] for failed in status["failedItems"]] == ["emoji"]
    prefix = layout.synthesis("default", manifest["spec"]["output"]["prefix"])
    files = [item for item in told.store.list(prefix) if item.key.endswith(".wav")]
    assert len(files) == 11 and all(item.size_bytes > 1000 for item in files)


def test_prometheus_scrapes_all_three_programs(told: story.Story) -> None:
    told.cluster.kubectl(
        "patch", f"voicemodel/{NAME}", "--type=merge", "-p", json.dumps(story.more_steps(MAX_STEPS + 200))
    )
    told.wait(lambda: told.step(NAME) > MAX_STEPS, "training to go on to a higher maxSteps", 240)
    with told.prometheus() as ask:
        step = told.wait(lambda: ask(f'kelong_training_step{{voice="{NAME}"}}'), "the step in Prometheus", 120)
        losses = told.wait(lambda: ask(f'kelong_training_loss{{voice="{NAME}"}}'), "losses in Prometheus", 60)
        told.wait(lambda: len(ask(f'kelong_serving_step{{model="{NAME}"}}')) == 2, "both servers in Prometheus", 60)
        served = ask(f'kelong_serving_step{{model="{NAME}"}}')
        reconciles = told.wait(lambda: ask("sum(kelong_reconciles_total)"), "the operator in Prometheus", 60)
        in_status, scraped = told.step(NAME), ask(f'kelong_training_step{{voice="{NAME}"}}')[0]
    assert step and all(math.isfinite(value) for value in losses) and len(losses) >= 4
    assert served == [INTERVAL, INTERVAL] and reconciles[0] > 0
    assert abs(scraped - in_status) <= LAG_STEPS, "the metric and status disagree by more than either lags"


def test_suspending_saves_and_frees_the_gpu(told: story.Story) -> None:
    told.cluster.kubectl("patch", f"voicemodel/{NAME}", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    told.wait_for_condition(NAME, "Suspended", "True", "UserRequested", 120)
    told.wait(lambda: told.gpus_in_use() == 0, "the GPU to be free", 120)
    assert told.status(NAME)["serving"]["readyReplicas"] == 2, "what serves goes on"


def test_deleting_takes_the_children_and_leaves_the_store(told: story.Story) -> None:
    place = told.place(NAME)
    before = {item.key for item in told.store.list(layout.checkpoints(place))}
    told.cluster.kubectl("delete", f"voicemodel/{NAME}", "--wait=true")
    kinds = "jobs,deployments,services,configmaps,pods"
    told.wait(
        lambda: not told.cluster.get(kinds, "-l", f"kelong.dev/owner={NAME}")["items"], "the children to be gone", 120
    )
    assert before and {item.key for item in told.store.list(layout.checkpoints(place))} == before
