"""The report of a real corpus in a real browser: its sounds, and what a person says on it."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from corpus import invented
from kelong_contract import corpora, layout, orders, store
from kelong_trainer import context, pipeline
from kelong_trainer.corpus.clips import corrections
from kelong_trainer.corpus.report import doubt, page, totals
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE_S = 60.0
PREFIX = "recordings/lab/khazix/"


@pytest.fixture
def place(prepared: Any, tmp_path: pathlib.Path) -> store.FolderStore:
    """A copy of the store in which the corpus was prepared."""
    return store.FolderStore(shutil.copytree(prepared.store.root, tmp_path / "copy"))


def show(browser: webdriver.Chrome, at: store.FolderStore, key: str) -> None:
    browser.get((at.root / key).as_uri())


def changes(browser: webdriver.Chrome) -> str | None:
    return browser.find_element(By.ID, "changes").get_attribute("data-count")


def row(browser: webdriver.Chrome, sha256: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, f'[data-sha256="{sha256}"]')


def choose(browser: webdriver.Chrome, what: str) -> None:
    Select(browser.find_element(By.ID, "show")).select_by_value(what)


def press(browser: webdriver.Chrome, button: WebElement) -> None:
    """Click where the tray at the bottom does not lie over it."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def play(browser: webdriver.Chrome, made: WebElement) -> float:
    """Play a clip and return how long the browser takes it to be."""
    audio = made.find_element(By.TAG_NAME, "audio")
    browser.execute_script("arguments[0].muted = true; arguments[0].play()", audio)
    heard = WebDriverWait(browser, PATIENCE_S)
    heard.until(lambda _: browser.execute_script("return arguments[0].currentTime > 0.1", audio))
    return float(browser.execute_script("arguments[0].pause(); return arguments[0].duration", audio))


def test_a_person_listens_corrects_undoes_and_takes_the_corrections_along(
    prepared: Any,
    place: store.FolderStore,
    browser: webdriver.Chrome,
    trainer: Callable[..., context.RunContext],
    tmp_path: pathlib.Path,
) -> None:
    voice = prepared.order.voice.place()
    worst = doubt.least_trusted(prepared.corpus)[0]
    other = next(clip for clip in prepared.corpus.clips if clip.sha256 != worst.sha256)
    show(browser, place, layout.corpus_page(voice))
    made = row(browser, worst.sha256)
    assert str(made.find_element(By.TAG_NAME, "audio").get_attribute("src")).startswith("data:audio/ogg;base64,")
    assert play(browser, made) == pytest.approx(worst.duration_s, abs=0.05)

    choose(browser, "kept")
    linked = row(browser, other.sha256)
    assert str(linked.find_element(By.TAG_NAME, "audio").get_attribute("src")).endswith(f"/clips/{other.sha256}.flac")
    assert play(browser, linked) == pytest.approx(other.duration_s, abs=0.05)

    text = row(browser, worst.sha256).find_element(By.TAG_NAME, "textarea")
    assert text.get_attribute("value") == worst.text
    text.clear()
    text.send_keys("这一句是人改的。")
    drop = linked.find_element(By.CSS_SELECTOR, '[data-choice="drop"]')
    press(browser, drop)
    assert drop.get_attribute("aria-pressed") == "true" and changes(browser) == "2"
    browser.find_element(By.ID, "undo").click()
    assert changes(browser) == "1"
    press(browser, row(browser, other.sha256).find_element(By.CSS_SELECTOR, '[data-choice="drop"]'))

    browser.refresh()  # drafts survive
    assert changes(browser) == "2"
    choose(browser, "changed")
    assert browser.find_element(By.ID, "found").get_attribute("data-count") == "2"
    value = row(browser, worst.sha256).find_element(By.TAG_NAME, "textarea").get_attribute("value")
    assert value == "这一句是人改的。"

    browser.find_element(By.ID, "download").click()
    file = tmp_path / "downloads" / "corrections.jsonl"
    WebDriverWait(browser, PATIENCE_S).until(lambda _: file.exists() and file.stat().st_size)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(lines, key=lambda line: len(line["sha256"] + line.get("text", ""))) == [
        {"sha256": other.sha256, "keep": False},
        {"sha256": worst.sha256, "text": "这一句是人改的。"},
    ]

    place.put(PREFIX + "corrections.jsonl", file.read_bytes())
    corpus = pipeline.prepare(trainer(place, prepared.order))
    texts = {clip.sha256: clip.text for clip in corpus.clips}
    assert texts[worst.sha256] == "这一句是人改的。" and other.sha256 not in texts
    dropped = [item for item in corpus.rejections if item.reason == "Dropped"]
    assert [item.sha256 for item in dropped] == [other.sha256]

    # The next page knows what was said before, and hands it on with what is said then.
    show(browser, place, layout.corpus_page(voice))
    assert changes(browser) == "0" and browser.find_element(By.ID, "download").is_enabled()
    choose(browser, "left")
    press(browser, row(browser, other.sha256).find_element(By.CSS_SELECTOR, '[data-choice="drop"]'))
    file.unlink()
    browser.find_element(By.ID, "download").click()
    WebDriverWait(browser, PATIENCE_S).until(lambda _: file.exists() and file.stat().st_size)
    assert json.loads(file.read_text(encoding="utf-8")) == {"sha256": worst.sha256, "text": "这一句是人改的。"}


def downloaded(browser: webdriver.Chrome, folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What the page lets a person take along, by clip."""
    file = folder / "downloads" / "corrections.jsonl"
    file.unlink(missing_ok=True)
    browser.find_element(By.ID, "download").click()
    WebDriverWait(browser, PATIENCE_S).until(lambda _: file.exists() and file.stat().st_size)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["sha256"]: line for line in lines}


def test_what_was_said_before_is_handed_on_whole_also_of_clips_that_other_settings_cut(
    prepared: Any,
    place: store.FolderStore,
    browser: webdriver.Chrome,
    trainer: Callable[..., context.RunContext],
    tmp_path: pathlib.Path,
) -> None:
    left, other = prepared.corpus.clips[:2]
    before = [
        {"sha256": left.sha256, "text": "改好了，又去掉了。", "keep": False},
        {"sha256": "e" * 64, "keep": True, "speaker": "Khazix"},
        {"sha256": "f" * 64, "text": "别的切法切出来的一句。"},
    ]
    given = {str(line["sha256"]): line for line in before}

    def correct() -> None:
        lines = (json.dumps(line, ensure_ascii=False) for line in given.values())
        place.put(PREFIX + "corrections.jsonl", "\n".join(lines).encode())
        pipeline.prepare(trainer(place, prepared.order))
        show(browser, place, layout.corpus_page(prepared.order.voice.place()))
        assert changes(browser) == "0"

    correct()
    assert downloaded(browser, tmp_path) == given
    choose(browser, "kept")
    press(browser, row(browser, other.sha256).find_element(By.CSS_SELECTOR, '[data-choice="drop"]'))
    choose(browser, "left")
    made = row(browser, left.sha256)
    assert made.find_element(By.TAG_NAME, "textarea").get_attribute("value") == "改好了，又去掉了。"
    press(browser, made.find_element(By.CSS_SELECTOR, '[data-choice="drop"]'))  # and back it comes, as it was mended
    given[left.sha256] = {"sha256": left.sha256, "text": "改好了，又去掉了。"}
    given[other.sha256] = {"sha256": other.sha256, "keep": False}
    assert downloaded(browser, tmp_path) == given

    # Another text of a clip that is not there changes nothing in the corpus, but what the page hands on.
    given["f" * 64] = {"sha256": "f" * 64, "text": "别的切法切出来的另一句。"}
    correct()
    assert downloaded(browser, tmp_path) == given
    given["f" * 64] = {"sha256": "f" * 64, "text": "又一句。"}
    correct()
    assert downloaded(browser, tmp_path) == given


def test_a_speaker_who_was_named_before_can_be_taken_back(browser: webdriver.Chrome, tmp_path: pathlib.Path) -> None:
    corpus = invented.corpus(recordings=2, clips_each=3)
    left = next(clip for clip in corpus.clips if clip.speaker == "Mei")
    line = corpora.Correction(sha256=left.sha256, keep=False, speaker="Ada")
    corpus = corrections.apply(corpus, corrections.Corrections(lines={left.sha256: line}), 44_100)
    made = page.make(corpus, totals.summarise(corpus), (), (), {}, "mei", orders.Slicing(), (line,))
    (tmp_path / "report.html").write_bytes(made)
    browser.get((tmp_path / "report.html").as_uri())
    choose(browser, "left")
    speaker = Select(row(browser, left.sha256).find_element(By.TAG_NAME, "select"))
    assert speaker.first_selected_option.text == "Ada"
    speaker.select_by_value("Mei")
    assert downloaded(browser, tmp_path)[left.sha256] == {"sha256": left.sha256, "keep": False, "speaker": "Mei"}
    speaker.select_by_value("Ada")
    assert changes(browser) == "0"
    assert downloaded(browser, tmp_path)[left.sha256] == {"sha256": left.sha256, "keep": False, "speaker": "Ada"}


def test_the_page_asks_nobody_and_its_controls_have_names(
    prepared: Any, place: store.FolderStore, browser: webdriver.Chrome
) -> None:
    show(browser, place, layout.corpus_page(prepared.order.voice.place()))
    choose(browser, "kept")
    found = browser.find_elements(By.CSS_SELECTOR, "textarea, select, input, button, audio")
    assert len(found) > 10
    for control in found:
        assert control.accessible_name.strip(), control.get_attribute("outerHTML")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [item["params"]["request"]["url"] for item in events if item["method"] == "Network.requestWillBeSent"]
    assert asked and all(url.startswith(("file:", "data:", "chrome:")) for url in asked), asked


def test_the_keyboard_is_enough(prepared: Any, place: store.FolderStore, browser: webdriver.Chrome) -> None:
    show(browser, place, layout.corpus_page(prepared.order.voice.place()))
    choose(browser, "kept")
    first, second = browser.find_elements(By.CSS_SELECTOR, ".clip")[:2]
    text = first.find_element(By.TAG_NAME, "textarea")
    text.send_keys("啊")
    assert changes(browser) == "1" and "changed" in str(first.get_attribute("class")).split()
    text.send_keys(Keys.CONTROL, Keys.ARROW_DOWN)
    assert browser.switch_to.active_element == second.find_element(By.TAG_NAME, "textarea")
    playing = "return !arguments[0].querySelector('audio').paused"
    WebDriverWait(browser, PATIENCE_S).until(lambda _: browser.execute_script(playing, second))
    browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
    assert not browser.execute_script(playing, second)
    browser.find_element(By.ID, "show").send_keys(Keys.CONTROL, "z")
    assert changes(browser) == "0"


def test_a_page_without_its_clips_says_what_is_missing(
    prepared: Any, place: store.FolderStore, browser: webdriver.Chrome, tmp_path: pathlib.Path
) -> None:
    worst = {clip.sha256 for clip in doubt.least_trusted(prepared.corpus)}
    alone = tmp_path / "alone.html"
    alone.write_bytes(place.get(layout.corpus_page(prepared.order.voice.place())))
    browser.get(alone.as_uri())
    choose(browser, "kept")
    lost = next(
        item
        for item in browser.find_elements(By.CSS_SELECTOR, ".clip")
        if item.get_attribute("data-sha256") not in worst
    )
    browser.execute_script("arguments[0].play().catch(() => {})", lost.find_element(By.TAG_NAME, "audio"))
    problem = lost.find_element(By.CSS_SELECTOR, ".problem")
    WebDriverWait(browser, PATIENCE_S).until(lambda _: problem.is_displayed())
    assert "is not beside this page" in problem.text
