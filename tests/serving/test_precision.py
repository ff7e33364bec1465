"""An order for bfloat16: where it is fast, server and batch speak in it; elsewhere they say so and keep FP32."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from kelong_contract import orders
from kelong_inference import app, loading
from kelong_speech import device
from starlette.testclient import TestClient

SETTINGS = orders.SynthesisSettings(seed=3)
TEXT = "大家好，很高兴认识你们。"


def decibels(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((found - wanted) ** 2)))


@pytest.mark.parametrize("door", ["server", "batch"])
def test_it_is_spoken_in_where_it_is_fast(
    published: Any, ready: loading.Ready, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, door: str
) -> None:
    monkeypatch.setattr(device, "fast_bfloat16", lambda _: True)
    caplog.set_level("INFO")
    items = orders.SynthesisInput(type="Inline", items=(orders.Item(id="a", text="好"),))
    wished: dict[str, Any] = {"precision": "BF16"}
    order = published.serving_order(**wished) if door == "server" else published.synthesis_order(items, **wished)
    speaker = loading.load(order, published.environment, threading.Event()).speaker
    assert (speaker.precision, ready.speaker.precision) == ("BF16", "FP32")
    exact, mixed = ready.speaker.say(TEXT, SETTINGS).samples, speaker.say(TEXT, SETTINGS).samples
    assert mixed.shape == exact.shape
    assert decibels(exact, mixed) >= 30
    assert "step 3000 on cpu in BF16 with" in caplog.text


def test_elsewhere_the_server_says_so_and_speaks_as_ever(
    published: Any, ready: loading.Ready, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device, "fast_bfloat16", lambda _: False)
    caplog.set_level("INFO")
    order = published.serving_order(precision="BF16")
    speaker = loading.load(order, published.environment, threading.Event()).speaker
    assert speaker.precision == "FP32"
    assert np.array_equal(speaker.say(TEXT, SETTINGS).samples, ready.speaker.say(TEXT, SETTINGS).samples)
    assert "this CPU has no fast bfloat16: the voice speaks in FP32, which is faster here" in caplog.text
    assert "step 3000 on cpu in FP32 with" in caplog.text


def test_clients_and_metrics_tell_which_it_is(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "fast_bfloat16", lambda _: True)
    order = published.serving_order(precision="BF16")
    loaded = loading.load(order, published.environment, threading.Event())
    service = app.new_service(order)
    service.telemetry.ready(loaded.manifest.step, loaded.speaker.precision, loaded.warm_up_real_time_factor)
    service.serving = app.Serving(speaker=loaded.speaker, manifest=loaded.manifest)
    with TestClient(app.build(service)) as client:
        assert client.get("/v1/models/khazix").json()["kelong"]["precision"] == "BF16"
        assert 'kelong_serving_precision{model="khazix",precision="BF16"} 1.0' in client.get("/metrics").text
    service.desk.close()
