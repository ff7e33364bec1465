"""A training Job of several pods, and where they meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import names
from kelong_operator import children, views

Build = Callable[..., Any]
OWNER = views.Owner(kind=names.VOICE_MODEL, namespace="ns", name="khazix", uid="uid-1", generation=3)


def environment(job: dict[str, Any]) -> dict[str, Any]:
    container = job["spec"]["template"]["spec"]["containers"][0]
    return {item["name"]: item.get("value") for item in container["env"]}


def test_one_worker_is_a_plain_job_that_meets_nobody(build: Build) -> None:
    job = build().job
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (1, 1)
    assert "completionMode" not in job["spec"] and "successPolicy" not in job["spec"]
    assert "subdomain" not in job["spec"]["template"]["spec"]
    assert names.ENV_RENDEZVOUS not in environment(job)


@pytest.mark.parametrize("workers", [2, 64])
def test_several_workers_are_an_indexed_job_that_all_run_at_once(build: Build, workers: int) -> None:
    spec = build({"training": {"workers": workers}}).job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", workers, workers)
    assert spec["podReplacementPolicy"] == "Failed"
    assert "backoffLimitPerIndex" not in spec, "what fails one fails all"


def test_what_the_first_worker_has_done_is_all_that_is_to_do(build: Build) -> None:
    policy = build({"training": {"workers": 2}}).job["spec"]["successPolicy"]
    assert policy == {"rules": [{"succeededIndexes": "0"}]}


def test_the_workers_know_the_first_one_by_the_name_that_kubernetes_gives_it(build: Build) -> None:
    job, meeting = build({"training": {"workers": 2}}).job, children.build_meeting(OWNER)
    name, service = job["metadata"]["name"], meeting["metadata"]["name"]
    assert job["spec"]["template"]["spec"]["subdomain"] == service
    assert environment(job)[names.ENV_RENDEZVOUS] == f"{name}-0.{service}.ns.svc:{names.PORT_RENDEZVOUS}"
    ports = job["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert {port["name"]: port["containerPort"] for port in ports} == {"metrics": 9090, "rendezvous": 29400}


def test_the_service_of_the_workers_has_their_addresses_before_they_are_ready_and_no_one_elses(build: Build) -> None:
    built, meeting = build({"training": {"workers": 2}}), children.build_meeting(OWNER)
    spec, selector = meeting["spec"], meeting["spec"]["selector"].items()
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert selector <= built.job["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= built.deployment["spec"]["template"]["metadata"]["labels"].items()
    assert meeting["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert meeting["metadata"]["name"] != built.service["metadata"]["name"]
