"""The page in a real browser, against a real server."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from kelong_inference import app
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE_S = 30.0


@pytest.fixture
def address(service: app.Service) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app.build(service), http="h11", lifespan="off", log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


def test_a_person_types_listens_and_is_told_what_cannot_be_said(browser: webdriver.Chrome, address: str) -> None:
    wait = WebDriverWait(browser, PATIENCE_S)
    browser.get(address)
    speak = browser.find_element(By.ID, "speak")
    wait.until(lambda _: speak.is_enabled())
    assert "khazix" in browser.find_element(By.ID, "model").text
    assert [option.text for option in Select(browser.find_element(By.ID, "speaker")).options] == ["Khazix", "小明"]

    text = browser.find_element(By.ID, "text")
    text.clear()
    text.send_keys("你好，世界。")
    browser.find_element(By.ID, "seed").send_keys("42")
    speak.click()
    audio = browser.find_element(By.ID, "audio")
    wait.until(lambda _: audio.is_displayed() and browser.execute_script("return arguments[0].duration > 0.1", audio))
    wait.until(lambda _: "42" in browser.find_element(By.ID, "facts").text)
    assert browser.find_element(By.ID, "download").get_attribute("download") == "khazix-Khazix-42.wav"
    assert not browser.find_element(By.ID, "problem").is_displayed()

    text.clear()
    text.send_keys("你好Привет世界")
    speak.click()
    problem = browser.find_element(By.ID, "problem")
    wait.until(lambda _: problem.is_displayed())
    assert "Привет" in problem.text and "第 3 个字" in problem.text
    assert browser.find_element(By.CSS_SELECTOR, "#marks mark").get_attribute("textContent") == "П"
    assert text.get_attribute("selectionStart") == "2"

    text.send_keys("。")
    wait.until(lambda _: not problem.is_displayed())
    asked = requested(browser, address)
    assert f"{address}/v1/audio/speech" in asked
    assert all(url.startswith((address, f"blob:{address}", "data:")) for url in asked), asked


def requested(browser: webdriver.Chrome, address: str) -> list[str]:
    """Every address that the page asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [request["request"]["url"] for request in sent if request["documentURL"].startswith(address)]


def test_the_sliders_begin_with_the_voices_own_manner_and_return_to_it(
    browser: webdriver.Chrome, service: app.Service, address: str
) -> None:
    assert service.serving is not None
    calm = dataclasses.replace(service.serving.manifest, preset="small")
    service.serving = dataclasses.replace(service.serving, manifest=calm)
    browser.get(address)
    speak, noise = browser.find_element(By.ID, "speak"), browser.find_element(By.ID, "noise")
    WebDriverWait(browser, PATIENCE_S).until(lambda _: speak.is_enabled())
    shown = browser.find_element(By.CSS_SELECTOR, 'output[for="noise"]')
    assert (noise.get_attribute("value"), shown.text) == ("0.2", "0.2")
    assert browser.find_element(By.ID, "sdp_ratio").get_attribute("value") == "0"
    noise.send_keys(Keys.ARROW_RIGHT)
    assert (noise.get_attribute("value"), shown.text) == ("0.3", "0.3")
    browser.find_element(By.ID, "defaults").click()
    assert (noise.get_attribute("value"), shown.text) == ("0.2", "0.2")


def test_every_control_has_a_label_and_the_sliders_keep_to_the_servers_limits(
    browser: webdriver.Chrome, address: str
) -> None:
    browser.get(address)
    found = browser.find_elements(By.CSS_SELECTOR, "textarea, select, input, button")
    shown = [control for control in found if control.is_displayed()]
    assert len(shown) >= 9
    for control in shown:
        assert control.accessible_name.strip(), control.get_attribute("outerHTML")
    slider = browser.find_element(By.ID, "length")
    assert 1 / float(slider.get_attribute("min") or 0) == 4.0, "the fastest the endpoint takes"
