from typing import Any

from kelong_contract import names


def test_a_voice_model_gets_its_job_with_an_order(cluster: Any, operator: Any, voice: dict[str, Any]) -> None:
    cluster.apply(voice)
    job = cluster.eventually(lambda: cluster.get("job", "khazix-train-1"), "the training Job")
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"][names.DEFAULT_GPU_RESOURCE] == "1"
    assert cluster.get("configmap", "khazix-train-1-order")["immutable"] is True
    cluster.eventually_says("voicemodel", "khazix", "Ready", "Pending")
    print(cluster.kubectl("get", "voicemodels", "-o=yaml"))
    print(operator.log.read_text())
