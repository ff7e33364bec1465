"""The batch door: lines in, files and a manifest out; a bad line is named and stops nobody."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile
from kelong_contract import codec, environment, layout, manifests, names, orders, patience, store
from kelong_inference import batch, lines
from kelong_inference.endings import BadData, Stopped
from kelong_speech import audio
from kelong_speech.voice import Style, Voice

PREFIX = "synthesis/default/welcome/"
TWELVE = [f"这是第{number}句话，请仔细听。" for number in "一二三四五六七八九十"] + ["价格是 5€😀。", "我们下期再见！"]


def inline(*texts: str) -> orders.SynthesisInput:
    items = tuple(orders.Item(id=f"line{number}", text=text) for number, text in enumerate(texts, start=1))
    return orders.SynthesisInput(type="Inline", items=items)


def clear(kept: store.FolderStore) -> store.FolderStore:
    for found in list(kept.list(PREFIX)):
        kept.delete(found.key)
    return kept


def read(kept: store.Store, key: str) -> manifests.SynthesisManifest:
    return codec.loads(manifests.SynthesisManifest, kept.get(key), key)


@contextlib.contextmanager
def started(published: Any, path: pathlib.Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "kelong_inference", "batch", "--order", str(path)],
        env={**os.environ, **published.variables, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_twelve_lines_of_which_one_cannot_be_said(published: Any, voice: Voice) -> None:
    kept = clear(published.store)
    order = published.synthesis_order(inline(*TWELVE), settings=orders.SynthesisSettings(seed=5))
    made = batch.run(order, published.environment, threading.Event())
    assert made is not None
    assert made == read(kept, layout.synthesis_manifest(PREFIX, "job-1"))
    assert (made.total, len(made.items), made.finished, made.problem) == (12, 11, True, None)
    [failure] = made.failures
    assert (failure.id, failure.line, failure.reason) == ("line11", 11, "Unspeakable")
    assert failure.position is not None and TWELVE[10][failure.position] in "€😀"
    for item in made.items:
        data = kept.get(item.key)
        assert item.key == f"{PREFIX}{item.id}.wav"
        assert store.digest_bytes(data) == item.sha256
        assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(item.duration_s, abs=0.001)
    first = audio.encode(voice.say_text(TWELVE[0], Style(speaker="Khazix", seed=5)), "wav")
    assert kept.get(made.items[0].key) == first, "a file holds what the server and an audition would say"
    assert made.audio_s == pytest.approx(sum(item.duration_s for item in made.items), abs=0.01)
    assert batch.run(order, published.environment, threading.Event()) is None, "a finished job is not done again"


def test_a_file_of_json_lines_names_every_bad_line(published: Any, tmp_path: pathlib.Path) -> None:
    clear(published.store)
    path = tmp_path / "items.jsonl"
    rows = [
        json.dumps({"id": "a", "text": "你好。"}),
        "{nonsense",
        json.dumps({"id": "a", "text": "世界。"}),
        json.dumps({"id": "../b", "text": "你好。"}),
        json.dumps({"id": "c", "txt": "你好。"}),
        "",
        json.dumps({"id": "d", "text": "你好。", "speaker": "小红"}),
        json.dumps({"id": "e", "text": "好" * 4097}),
        json.dumps({"id": "f", "text": " "}),
        json.dumps({"id": "g", "text": "你好。", "speaker": "小明"}, ensure_ascii=False),
    ]
    path.write_text("\ufeff" + "\r\n".join(rows) + "\r\n", encoding="utf-8")
    source = orders.SynthesisInput(type="ConfigMap", path=str(path), format="JSONL")
    made = batch.run(published.synthesis_order(source, output_format="MP3"), published.environment, threading.Event())
    assert made is not None
    assert [item.id for item in made.items] == ["a", "g"]
    assert made.items[0].key == f"{PREFIX}a.mp3"
    assert [(failure.line, failure.reason) for failure in made.failures] == [
        (2, "BadLine"),
        (3, "BadLine"),
        (4, "BadLine"),
        (5, "BadLine"),
        (7, "UnknownSpeaker"),
        (8, "TooLong"),
        (9, "Empty"),
    ]
    said = {failure.line: failure.message for failure in made.failures}
    assert "line 1" in said[3] and "'../b'" in said[4] and "txt" in said[5] and "小红" in said[7]
    assert (made.failures[3].id, made.failures[0].id) == ("c", "line-0002")


def test_text_lines_are_numbered_as_they_stand(published: Any) -> None:
    kept = clear(published.store)
    key = f"{PREFIX}input.txt"
    kept.put(key, "第一行。\n\n第三行。\r\n  \n".encode())
    found = lines.read(orders.SynthesisInput(type="S3", key=key), kept)
    assert [(line.id, line.number, line.item and line.item.text) for line in found] == [
        ("0001", 1, "第一行。"),
        ("0003", 3, "第三行。"),
    ]


@pytest.mark.parametrize(
    ("data", "fault"), [(None, "does not exist"), (b"\n \n", "no line"), ("你好。".encode("gb18030"), "not UTF-8")]
)
def test_an_input_that_cannot_be_read_is_said_in_the_progress(published: Any, data: bytes | None, fault: str) -> None:
    kept, key = clear(published.store), f"{PREFIX}input.txt"
    if data is not None:
        kept.put(key, data)
    order = published.synthesis_order(orders.SynthesisInput(type="S3", key=key))
    with pytest.raises(BadData, match=fault):
        batch.run(order, published.environment, threading.Event())
    problem = read(kept, layout.synthesis_progress(PREFIX, "job-1")).problem
    assert problem is not None
    assert problem.reason == "InputInvalid" and key in problem.message


def test_a_progress_that_cannot_be_read_is_begun_anew(published: Any, caplog: pytest.LogCaptureFixture) -> None:
    kept, key = clear(published.store), layout.synthesis_progress(PREFIX, "job-1")
    kept.put(key, b"{half")
    made = batch.run(published.synthesis_order(inline("你好。")), published.environment, threading.Event())
    assert made is not None and [item.id for item in made.items] == ["line1"]
    assert "spoken anew" in caplog.text and key in caplog.text


@pytest.mark.parametrize("away_from", ["the beginning", "the voice on"])
def test_a_stop_while_the_store_is_away_is_no_failure_of_the_job(
    published: Any, monkeypatch: pytest.MonkeyPatch, away_from: str
) -> None:
    kept, stopping = clear(published.store), threading.Event()
    away = store.open_bucket(endpoint="http://127.0.0.1:9", bucket="away", access_key="a", secret_key="b")
    opened = iter([away] if away_from == "the beginning" else [kept, away])
    monkeypatch.setattr(environment.Environment, "open_store", lambda _: next(opened))
    monkeypatch.setattr(patience, "AFTER_STOP_S", 0.1)
    stopping.set()
    with pytest.raises(Stopped, match="asked to stop while the store was away"):
        batch.run(published.synthesis_order(inline("你好。")), published.environment, stopping)
    assert list(kept.list(PREFIX)) == [], "a stop is no problem to tell"


def test_a_disk_of_this_machine_that_takes_nothing_is_not_called_the_store(
    published: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "order.json"
    path.write_bytes(codec.dumps(published.synthesis_order(inline("你好。"))))
    published_nowhere = dataclasses.replace(published, root=tmp_path / "file")
    with started(published_nowhere, path) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a file of this machine" in said and "the store failed" not in said


def test_asked_to_stop_before_a_line_everything_is_saved(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, stopping = clear(published.store), threading.Event()
    order = published.synthesis_order(inline(*TWELVE[:4]))
    spoken: list[str] = []
    speak = batch._speak

    def stop_after_two(item: orders.Item, *rest: Any) -> manifests.SynthesisedItem:
        spoken.append(item.id)
        if len(spoken) == 2:
            stopping.set()
        return speak(item, *rest)

    monkeypatch.setattr(batch, "_speak", stop_after_two)
    with pytest.raises(Stopped):
        batch.run(order, published.environment, stopping)
    assert [item.id for item in read(kept, layout.synthesis_progress(PREFIX, "job-1")).items] == ["line1", "line2"]
    assert not kept.exists(layout.synthesis_manifest(PREFIX, "job-1"))

    kept.delete(f"{PREFIX}line1.wav")  # a file that was lost meanwhile is spoken again, no other
    stopping.clear()
    made = batch.run(order, published.environment, stopping)
    assert made is not None
    assert {item.id for item in made.items} == {"line1", "line2", "line3", "line4"}
    assert spoken == ["line1", "line2", "line1", "line3", "line4"]


def test_the_process_saves_on_sigterm_and_the_next_one_goes_on(published: Any, tmp_path: pathlib.Path) -> None:
    kept = clear(published.store)
    path = tmp_path / "order.json"
    order = published.synthesis_order(inline(*("今天天气很好，我们一起去公园散步。" * 8 for _ in range(24))))
    path.write_bytes(codec.dumps(order))
    with started(published, path) as process:
        deadline = time.monotonic() + 120
        while not kept.exists(f"{PREFIX}line2.wav"):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == names.EXIT_SAVED, said
    earlier = read(kept, layout.synthesis_progress(PREFIX, "job-1"))
    assert 2 <= len(earlier.items) < 24 and not earlier.finished
    before = {found.key: found.etag for found in kept.list(PREFIX)}

    with started(published, path) as process:
        _, said = process.communicate(timeout=240)
    assert process.returncode == names.EXIT_DONE, said
    made = read(kept, layout.synthesis_manifest(PREFIX, "job-1"))
    assert (len(made.items), made.finished) == (24, True)
    after = {found.key: found.etag for found in kept.list(PREFIX)}
    assert all(after[item.key] == before[item.key] for item in earlier.items), "finished items are not spoken again"
    assert made.elapsed_s > earlier.elapsed_s
