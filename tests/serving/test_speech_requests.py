"""The server's doors in one process, with a real tiny voice behind them."""

from __future__ import annotations

import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile
from kelong_inference import app
from kelong_speech import audio
from kelong_speech.voice import Style, Voice
from starlette.testclient import TestClient

TEXT = "大家好，很高兴认识你们。"
PATH = "/v1/audio/speech"


def ask(client: TestClient, **changed: Any) -> Any:
    given = {"model": "khazix", "voice": "Khazix", "input": TEXT, "response_format": "wav", "seed": 7}
    return client.post(PATH, json=given | changed)


def refusal(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "position"}
    assert len(error["message"]) > 10
    return error


def heard(data: bytes) -> audio.Speech:
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    return audio.Speech(samples=samples, sample_rate_hz=rate_hz)


@pytest.mark.parametrize(
    ("form", "media_type"), [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("flac", "audio/flac"), ("pcm", "audio/pcm")]
)
def test_every_format_says_the_same_for_the_same_time(client: TestClient, form: str, media_type: str) -> None:
    reference = heard(ask(client).content)
    answer = ask(client, response_format=form)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    if form == "pcm":
        samples = np.frombuffer(answer.content, dtype="<i2").astype(np.float32) / 32768
        spoken = audio.Speech(samples=samples, sample_rate_hz=24000)
    else:
        spoken = heard(answer.content)
        assert spoken.sample_rate_hz == 44100
    assert spoken.duration_s == pytest.approx(reference.duration_s, abs=0.06)
    energies = [float(np.sqrt((speech.samples**2).sum() / speech.sample_rate_hz)) for speech in (spoken, reference)]
    assert energies[0] == pytest.approx(energies[1], rel=0.5)  # random weights hiss, and 24 kHz or MP3 drop the highest


def test_mp3_is_the_default_as_openai_clients_expect(client: TestClient) -> None:
    answer = client.post(PATH, json={"model": "khazix", "voice": {"id": "小明"}, "input": TEXT})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/mpeg"


def test_the_samples_are_those_of_an_audition(client: TestClient, voice: Voice) -> None:
    style = Style(speaker="Khazix", length=1.1, sdp_ratio=0.5, noise=0.4, noise_w=0.9, seed=11)
    for text in (TEXT, "今天天气很好，我们一起去公园散步。" * 12):
        answer = ask(client, input=text, speed=1 / 1.1, sdp_ratio=0.5, noise=0.4, noise_w=0.9, seed=11)
        assert answer.content == audio.encode(voice.say_text(text, style), "wav")


def test_a_voice_speaks_in_its_presets_manner_unless_told_otherwise(
    client: TestClient, service: app.Service, voice: Voice
) -> None:
    assert service.serving is not None
    calm = dataclasses.replace(service.serving.manifest, preset="small")
    service.serving = dataclasses.replace(service.serving, manifest=calm)
    style = Style(speaker="Khazix", sdp_ratio=0.0, noise=0.2, seed=7)
    assert ask(client, input=TEXT, seed=7).content == audio.encode(voice.say_text(TEXT, style), "wav")
    lively = dataclasses.replace(style, noise=0.6)
    assert ask(client, input=TEXT, seed=7, noise=0.6).content == audio.encode(voice.say_text(TEXT, lively), "wav")
    [model] = client.get("/v1/models").json()["data"]
    assert model["kelong"]["defaults"] == {"sdp_ratio": 0.0, "noise": 0.2, "noise_w": 0.8}


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(client: TestClient) -> None:
    first, again, other = ask(client), ask(client), ask(client, seed=8)
    assert first.content == again.content
    assert first.content != other.content
    assert first.headers["x-kelong-step"] == "3000"


def test_a_drawn_seed_is_named_and_repeats_the_speech(client: TestClient) -> None:
    drawn = ask(client, seed=None)
    assert ask(client, seed=int(drawn.headers["x-kelong-seed"])).content == drawn.content


def test_speed_is_the_inverse_of_length(client: TestClient) -> None:
    calm, quick = (heard(ask(client, speed=speed, sdp_ratio=0).content) for speed in (0.5, 2.0))
    assert calm.duration_s > 1.8 * quick.duration_s


def test_instructions_are_ignored_and_the_answer_says_so(client: TestClient) -> None:
    assert ask(client, instructions="speak cheerfully").headers["x-kelong-ignored"] == "instructions"
    assert "x-kelong-ignored" not in ask(client).headers


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ("", "empty_input", 0),
        (" \n", "empty_input", 0),
        ("你好😀世界", "unspeakable_input", 2),
        ("今天天气很好。" * 30 + "我说 こんにちは。", "unspeakable_input", 213),
        ("好" * 4097, "string_above_max_length", 4096),
    ],
)
def test_a_text_that_cannot_be_said_is_refused_with_its_position(
    client: TestClient, text: str, code: str, position: int
) -> None:
    error = refusal(ask(client, input=text), 400)
    assert (error["code"], error["param"], error["position"]) == (code, "input", position)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speed", 0.2),
        ("speed", 4.5),
        ("speed", "1"),
        ("sdp_ratio", 1.1),
        ("noise", -0.1),
        ("noise_w", 2.1),
        ("seed", -1),
        ("seed", 2**53),
        ("seed", 1.5),
        ("response_format", "opus"),
        ("stream_format", "sse"),
        ("voice", {"name": "Khazix"}),
        ("input", 5),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(client: TestClient, field: str, value: object) -> None:
    error = refusal(ask(client, **{field: value}), 400)
    assert error["param"] == field
    assert field in error["message"]


def test_all_faults_of_a_request_are_said_at_once(client: TestClient) -> None:
    error = refusal(client.post(PATH, json={"model": "khazix", "speed": 9, "loudness": 1}), 400)
    assert all(name in error["message"] for name in ("input", "voice", "speed", "loudness"))
    assert refusal(ask(client, loudness=1), 400)["code"] == "unknown_parameter"


def test_unknown_models_and_voices_are_not_found(client: TestClient) -> None:
    for field, value in (("model", "tts-1"), ("voice", "alloy")):
        error = refusal(ask(client, **{field: value}), 404)
        assert (error["code"], error["param"]) == ("model_not_found", field)
        assert value in error["message"]


def test_bodies_that_are_not_json_or_too_large_are_refused(client: TestClient) -> None:
    json_type = {"Content-Type": "application/json"}
    assert refusal(client.post(PATH, content=b"{", headers=json_type), 400)["code"] == "invalid_json"
    assert refusal(client.post(PATH, content=b"[]", headers=json_type), 400)["code"] == "invalid_json"
    assert refusal(client.post(PATH, data={"input": TEXT}), 415)["code"] == "unsupported_media_type"
    assert refusal(client.post(PATH, content=b" " * 200_000, headers=json_type), 413)["code"] == "request_too_large"
    chunks = (b" " * 10_000 for _ in range(20))  # sent without a Content-Length
    assert refusal(client.post(PATH, content=chunks, headers=json_type), 413)["code"] == "request_too_large"


def test_paths_and_methods_we_do_not_have_are_refused_in_the_same_form(client: TestClient) -> None:
    assert refusal(client.get("/v1/nothing"), 404)["code"] == "not_found"
    answer = client.get(PATH)
    assert refusal(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"


def test_models_name_the_step_and_its_speakers(client: TestClient) -> None:
    [model] = client.get("/v1/models").json()["data"]
    assert model == client.get("/v1/models/khazix").json()
    assert (model["id"], model["object"]) == ("khazix", "model")
    assert (model["kelong"]["step"], model["kelong"]["precision"]) == (3000, "FP32")
    assert model["kelong"]["speakers"] == ["Khazix", "小明"]
    assert refusal(client.get("/v1/models/other"), 404)["code"] == "model_not_found"


def test_before_the_voice_is_loaded_speech_is_refused_for_now(client: TestClient, service: app.Service) -> None:
    service.serving, loaded = None, service.serving
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    answer = ask(client)
    assert refusal(answer, 503)["code"] == "not_ready"
    assert int(answer.headers["retry-after"]) > 0
    service.serving = loaded
    assert client.get("/readyz").status_code == 200


def test_while_draining_requests_are_served_and_clients_sent_away(client: TestClient, service: app.Service) -> None:
    assert "connection" not in ask(client).headers
    service.draining = True
    assert client.get("/readyz").status_code == 503
    answer = ask(client)
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"


def test_metrics_count_requests_characters_and_seconds(client: TestClient) -> None:
    spoken = heard(ask(client).content)
    ask(client, input="")
    text = client.get("/metrics").text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures['kelong_speech_requests_total{model="khazix",status="200"}']) == 1
    assert float(figures['kelong_speech_requests_total{model="khazix",status="400"}']) == 1
    assert float(figures['kelong_speech_characters_total{model="khazix"}']) == len(TEXT)
    assert float(figures['kelong_speech_audio_seconds_total{model="khazix"}']) == pytest.approx(spoken.duration_s)
    assert float(figures['kelong_speech_queue{model="khazix"}']) == 0
    assert float(figures['kelong_serving_step{model="khazix"}']) == 3000
    assert float(figures['kelong_serving_precision{model="khazix",precision="FP32"}']) == 1


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    folder = pathlib.Path(app.__file__).parent / "page"
    for name in ("page.css", "page.js", "icon.svg"):
        assert f"page/{name}" in page.text
        assert client.get(f"/page/{name}").content == (folder / name).read_bytes()
    for path in folder.iterdir():
        assert "http" not in path.read_text().replace("http://www.w3.org/2000/svg", ""), path.name
    assert client.get("/page/../app.py").status_code == 404
