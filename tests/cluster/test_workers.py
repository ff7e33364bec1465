"""Two training pods on a real cluster, one of them killed; a voice that begins with files; what judges say.

Each test is a step and leans on those before it. Both voices train on the CPU: what matters is who meets whom.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from typing import Any

import programs
import pytest
import story
from kelong_cluster import installation
from kelong_contract import codec, layout, manifests, names, store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

PAIR, HEIR = "pair", "heir"
MAX_STEPS, INTERVAL = 40, 10
BASE = f"pair-base-{uuid.uuid4().hex[:8]}"  # an export writes over nothing, and a store may outlive a run
MODEL = {"preset": "tiny", "sources": {"wavlm": "store:wavlm"}}


def training(**more: Any) -> dict[str, Any]:
    return {
        "maxSteps": MAX_STEPS,
        "checkpoint": {"intervalSteps": INTERVAL},
        "placement": {"gpu": {"count": 0}},
    } | more


def ends(told: story.Story, name: str) -> list[int]:
    """The exit codes of the training pods that have ended."""
    states = [
        state["state"].get("terminated")
        for pod in told.training_pods(name)
        for state in pod["status"].get("containerStatuses", [])
    ]
    return sorted(state["exitCode"] for state in states if state is not None)


def manifest(told: story.Story, name: str, step: int) -> manifests.CheckpointManifest:
    data = told.store.get(layout.checkpoint_manifest(told.place(name), step))
    return codec.loads(manifests.CheckpointManifest, data, "the manifest")


def test_two_workers_find_each_other_by_name_and_train(told: story.Story) -> None:
    told.cluster.apply(story.voice_model(PAIR, training(workers=2), model=MODEL))
    told.wait(lambda: len(told.running_pods(PAIR)) == 2, "two running training pods", 180)
    condition = told.wait_for_condition(PAIR, "Trained", "False", "Running", 400)
    assert "2 of 2 workers have come" in condition["message"]
    pods = told.running_pods(PAIR)
    first, second = (pods[index]["status"]["podIP"] for index in (0, 1))
    assert first != second
    meeting = told.cluster.get("endpointslices", "-l", f"kubernetes.io/service-name={PAIR}-train")["items"]
    known = {item["hostname"]: item["addresses"] for slice_ in meeting for item in slice_["endpoints"]}
    assert known == {f"{PAIR}-train-1-0": [first], f"{PAIR}-train-1-1": [second]}


def test_the_image_brings_the_judge_of_voices(told: story.Story) -> None:
    pod = told.wait(lambda: told.running_pod(PAIR), "a running training pod", 60)
    program = programs.text(programs.load_the_judge_of_voices)
    said = told.cluster.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", program)
    assert said.stdout.strip() == "loaded"


def test_both_begin_again_at_the_checkpoint_after_one_is_killed(told: story.Story) -> None:
    told.wait(lambda: INTERVAL in told.saved_steps(PAIR), "the first checkpoint", 300)
    before = told.running_pods(PAIR)
    told.kill(before[1])
    again = told.wait(lambda: both_are_new(told, before), "two other pods", 240)
    assert {pod["spec"]["hostname"] for pod in again.values()} == {pod["spec"]["hostname"] for pod in before.values()}
    assert [code for code in ends(told, PAIR) if code != 137] == [75], "the other did not end as a stop does"
    told.wait_for_condition(PAIR, "Trained", "True", "MaxStepsReached", 600)
    assert told.cluster.get(f"job/{PAIR}-train-1")["status"].get("failed", 0) <= 1, "a stop counted as a failure"
    first, second = told.loss_logs(PAIR)[:2]
    assert first[0].step == 1 and second[0].step == first[-1].step + 1 > INTERVAL, "a step that was whole is lost"
    assert told.loss_logs(PAIR)[-1][-1].step == MAX_STEPS
    assert set(told.saved_steps(PAIR)) >= set(range(INTERVAL, MAX_STEPS + 1, INTERVAL))


def both_are_new(told: story.Story, before: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]] | None:
    """The running pods, once each worker has another one than before."""
    known = {pod["metadata"]["uid"] for pod in before.values()}
    now = {index: pod for index, pod in told.running_pods(PAIR).items() if pod["metadata"]["uid"] not in known}
    return now if len(now) == len(before) else None


def test_what_the_judges_say_reaches_status(told: story.Story) -> None:
    def figures() -> dict[str, float] | None:
        listed = {item["step"]: item.get("metrics") for item in told.status(PAIR)["checkpoints"]}
        found = listed.get(MAX_STEPS)
        return {item["name"]: float(item["value"]) for item in found} if found else None

    told_of = told.wait(figures, "figures of the last step", 180)
    assert {"cer", "pinyinCer", "dnsmos", "clippedShare", "silentShare"} <= set(told_of)
    assert 0 <= told_of["cer"] <= 1 and 1 <= told_of["dnsmos"] <= 5
    assert "similarity" not in told_of, "so few clips are all trained on: there is none to be compared with"
    assert told.status(PAIR)["bestStep"] in told.saved_steps(PAIR)


def test_a_voice_goes_on_training_from_exported_files_in_the_store(told: story.Story) -> None:
    run_trainer(told, "export", str(MAX_STEPS), "--voice", place_of(told, PAIR), "--to", f"store:{BASE}")
    prefix = layout.model_source("default", BASE)
    files = {item.key.removeprefix(prefix): item.key for item in told.store.list(prefix)}
    assert {*(f"{network}_{MAX_STEPS}.pth" for network in ("G", "D", "WD")), "config.json"} <= set(files)
    init = {"from": "Pretrained", "pretrained": {"source": f"store:{BASE}"}}
    told.cluster.apply(story.voice_model(HEIR, training(maxSteps=INTERVAL, init=init), model=MODEL))
    told.wait_for_condition(HEIR, "Trained", "True", "MaxStepsReached", 600)
    origin = manifest(told, HEIR, INTERVAL).origin
    assert origin is not None and (origin.source, origin.step) == (f"store:{BASE}", MAX_STEPS)
    for network in ("G", "D", "WD"):
        name = f"{network}_{MAX_STEPS}.pth"
        assert origin.files[name] == store.digest_bytes(told.store.get(files[name]))
    scratch, begun = (told.loss_logs(name)[0][0].losses for name in (PAIR, HEIR))
    assert begun["divergence"] < scratch["divergence"] / 3, "the generator began anew"
    for judge in ("discriminators", "wavlm_discriminator"):
        assert begun[judge] < scratch[judge], f"the {judge} began anew"


def place_of(told: story.Story, name: str) -> str:
    place = told.place(name)
    return f"{place.namespace}/{place.name}/{place.uid}"


def run_trainer(told: story.Story, *arguments: str) -> None:
    """Run the trainer's program here, as a person would, on the installation's store."""
    secret = told.cluster.get("--namespace", installation.NAMESPACE, "secret", installation.SECRET)["data"]
    with contextlib.ExitStack() as stack:
        minio = f"service/{installation.RELEASE}-minio"
        address = stack.enter_context(told.cluster.forward(installation.NAMESPACE, minio, 9000))
        variables = {
            names.ENV_STORE_URL: f"s3://{installation.BUCKET}",
            names.ENV_STORE_ENDPOINT: f"http://{address}",
            names.ENV_STORE_ACCESS_KEY: installation.decoded(secret["accessKey"]),
            names.ENV_STORE_SECRET_KEY: installation.decoded(secret["secretKey"]),
        }
        done = subprocess.run(
            [sys.executable, "-m", "kelong_trainer", *arguments],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr
