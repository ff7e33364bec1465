"""The demo for real, in small: forty seconds of recordings and six steps, through to speech."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kelong_contract import corpora
from kelong_demo import __main__ as door

STEPS = 6
TEXT = "今天天气很好。"
CORRECTED = "今天我们改一个字。"


def command(out: Path, **wishes: str) -> tuple[list[str], dict[str, str]]:
    """What `make demo OUT=… NAME=value` runs."""
    environment = {**os.environ, "OUT": str(out), "TEXT": TEXT, "STEPS": str(STEPS), "PORT": "18400", **wishes}
    return [sys.executable, "-m", "kelong_demo", "--minutes", "0.7"], environment


def run(out: Path, **wishes: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(out, **wishes)
    return subprocess.run(line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400)


def loss_steps(out: Path) -> list[int]:
    """Every step in the loss logs, attempt after attempt."""
    logs = sorted(out.glob("store/voices/demo/demo/*/losses/*.jsonl"), key=lambda path: int(path.stem))
    return [json.loads(line)["step"] for log in logs for line in log.read_text().splitlines()]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("demo") / "voice"
    return out, run(out)


def test_it_ends_by_itself_with_a_wav_that_can_be_heard(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, finished = first
    assert finished.returncode == 0, finished.stderr
    samples, sample_rate_hz = soundfile.read(out / f"step-{STEPS}.wav")
    assert 0.3 < len(samples) / sample_rate_hz < 15
    assert np.isfinite(samples).all()
    assert np.sqrt((samples**2).mean()) > 1e-4


def test_it_says_in_plain_words_what_it_made_and_where(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, finished = first
    assert TEXT in finished.stdout
    assert str(out / f"step-{STEPS}.wav") in finished.stdout
    assert "babbles" in finished.stdout and "page at http://127.0.0.1:" in finished.stdout
    assert re.search(r"\d+ s became [1-9]\d* clips", finished.stdout)
    made = Path(re.search(r"all else +(\S+)", finished.stdout)[1])
    assert (made / "corpus" / "corpus.json").exists()


def test_recordings_that_could_not_be_used_are_named() -> None:
    unusable = corpora.Rejection(
        recording="recordings/demo/x/notes.txt", start_s=0, end_s=0, reason="Undecodable", message="it is no sound file"
    )
    report = corpora.CorpusReport(
        digest="",
        clips=1,
        recordings=2,
        duration_s=12,
        kept_s=10,
        speakers=(),
        dropped=(
            corpora.Dropped(reason="Silence", count=3, duration_s=2),
            corpora.Dropped(reason="Undecodable", count=1, duration_s=0),
        ),
        rejected_recordings=(unusable,),
    )
    assert door.left_out(report) == [
        "  left out     2 s Silence, 0 s Undecodable",
        "    notes.txt: it is no sound file",
    ]


def test_every_checkpoint_was_published_with_its_auditions(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = first
    (voice,) = (path.parent for path in out.glob("store/voices/demo/demo/*/checkpoints"))
    assert sorted(path.parent.name for path in voice.glob("checkpoints/*/manifest.json")) == ["2", "4", "6"]
    assert sorted(path.parent.name for path in voice.glob("auditions/*/report.json")) == ["2", "4", "6"]


def test_a_second_run_goes_on_where_the_first_ended_and_stays_until_told(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = first
    before = {path: path.stat().st_mtime_ns for path in (out / "recordings").iterdir()}
    line, environment = command(out, STEPS=str(STEPS + 3), KEEP="1")
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        try:
            address = next(found[1] for said in demo.stdout if (found := re.search(r"The page is at (\S+)", said)))
            with urllib.request.urlopen(address, timeout=10) as page:
                assert "<html" in page.read().decode().lower()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
            assert demo.wait(60) == 0
    assert loss_steps(out) == list(range(1, STEPS + 4))
    assert {path: path.stat().st_mtime_ns for path in (out / "recordings").iterdir()} == before
    assert (out / f"step-{STEPS + 3}.wav").exists()
    with pytest.raises(OSError):
        urllib.request.urlopen(address, timeout=2)


def test_ctrl_c_saves_and_the_same_command_goes_on(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, _ = first
    line, environment = command(out, STEPS="100000")
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        while len(loss_steps(out)) < STEPS + 5 and demo.poll() is None:
            demo.stderr.readline()
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=120)
    assert "Run the same command again to go on" in said
    assert demo.returncode == 1
    reached = loss_steps(out)
    assert run(out, STEPS=str(reached[-1] + 2)).returncode == 0
    assert loss_steps(out) == list(range(1, reached[-1] + 3))


def test_a_review_ends_at_the_report_and_again_with_the_corrections_in_it(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = first
    reviewed = run(out, REVIEW="1")
    assert reviewed.returncode == 0, reviewed.stderr
    next_command = f"make demo STEPS={STEPS} OUT={out} {shlex.quote(f'TEXT={TEXT}')} PORT=18400 MINUTES=0.7"
    assert f"Train with them:  {next_command}\n" in reviewed.stdout
    page = Path(re.search(r"file://(\S+report\.html)", reviewed.stdout)[1])
    assert b"<html" in page.read_bytes() and not (page.parent / "corpus.json").exists()
    assert "transcribe was done before" in reviewed.stderr, "what was heard to train is known"

    (stage,) = page.parent.glob("align/*.json")
    sha256 = json.loads(stage.read_bytes())["clips"][0]["sha256"]
    corrections = Path(re.search(r"(/\S+corrections\.jsonl)", reviewed.stdout)[1])
    corrections.write_text(json.dumps({"sha256": sha256, "text": CORRECTED}) + "\n")
    again = run(out, REVIEW="1")
    corrections.unlink()
    assert str(page) in again.stdout and CORRECTED in page.read_text()
    assert json.loads((page.parent / "report.json").read_bytes())["corrections"] == 1
    for stage_name in ("ingest", "listen", "transcribe", "slice", "judge"):
        assert f"{stage_name} was done before" in again.stderr


def test_a_wish_it_cannot_meet_is_refused_in_a_sentence(tmp_path: Path) -> None:
    refused = run(tmp_path / "out", STEPS="many", RECORDINGS=str(tmp_path / "nowhere"))
    assert refused.returncode == 1
    assert "STEPS is 'many'" in refused.stderr and "nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr
