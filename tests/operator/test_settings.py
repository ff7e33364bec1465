from __future__ import annotations

import pathlib
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
import yaml
from kelong_contract import names
from kelong_operator import quantity, settings

USABLE: dict[str, Any] = {
    "store": {"endpoint": "http://store:9000", "bucket": "kelong", "secretName": "kelong-store"},
    "images": {"trainer": "trainer:1", "inference": "inference:1"},
    "presets": {
        name: {
            "sources": {"recogniser": "store:whisper"},
            "training": {"gpuCount": 1, "resources": {"requests": {"cpu": 1, "memory": "2Gi"}}},
            "serving": {"gpuCount": 0},
        }
        for name in settings.PRESETS
    },
}


def with_sources(**sources: str) -> dict[str, Any]:
    """The usable configuration with other model sources of `tiny`."""
    tiny = USABLE["presets"]["tiny"]
    return USABLE | {"presets": USABLE["presets"] | {"tiny": tiny | {"sources": tiny["sources"] | sources}}}


def write(folder: pathlib.Path, document: Any) -> pathlib.Path:
    path = folder / "config.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_what_is_left_out_has_a_default(tmp_path: pathlib.Path) -> None:
    read = settings.read(write(tmp_path, USABLE))
    assert read.namespaces == ()
    assert read.intervals.training_seconds == 15
    sources = read.presets["tiny"].sources
    assert (sources.style, sources.wavlm, sources.polyphone) == ("none", "none", "bundled")
    assert sources.speaker_embedding == "bundled"
    assert [text.name for text in read.auditions] == ["greeting", "weather", "question"]


def test_every_fault_is_reported_at_once(tmp_path: pathlib.Path) -> None:
    wrong = USABLE | {"shmSize": "a lot", "workers": 0, "namespaces": ["A b"], "endpointDelaySeconds": -1}
    wrong["store"] = USABLE["store"] | {"endpoint": "store:9000"}
    wrong["presets"] = {"tiny": USABLE["presets"]["tiny"] | {"sources": {"recogniser": "whisper"}}, "huge": {}}
    wrong["presets"]["huge"] = USABLE["presets"]["tiny"]
    with pytest.raises(settings.BadSettings) as caught:
        settings.read(write(tmp_path, wrong))
    said = str(caught.value)
    for part in ("shmSize is 'a lot'", "workers is 0", "'A b'", "endpointDelaySeconds is -1", "store.endpoint"):
        assert part in said
    for part in ("presets.zh-clap is missing", "presets.huge is not a preset", "presets.tiny.sources.recogniser"):
        assert part in said


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("store: [", "it is not YAML"),
        (USABLE | {"imageRegistry": "x"}, "imageRegistry is not a known field"),
        (with_sources(wavlm="bundled"), "presets.tiny.sources.wavlm is 'bundled', expected hub:ORG/NAME@REV"),
        (with_sources(polyphone="g2pw"), "presets.tiny.sources.polyphone is 'g2pw', expected hub:ORG/NAME@REV"),
        (with_sources(speakerEmbedding="ecapa"), "path:/… or none or bundled"),
        ({key: value for key, value in USABLE.items() if key != "images"}, "images is missing"),
        (USABLE | {"workers": "four"}, "workers is 'four', expected a whole number"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(tmp_path: pathlib.Path, document: Any, why: str) -> None:
    with pytest.raises(settings.BadSettings, match=r"the configuration .* is not usable") as caught:
        settings.read(write(tmp_path, document))
    assert why in str(caught.value)


def test_the_operator_refuses_to_start_without_a_traceback(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "kelong_operator", f"--config={tmp_path / 'nothing.yaml'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == names.EXIT_BAD_ORDER
    assert "cannot be read (No such file or directory)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        ("500m", "0.5"),
        ("2Gi", str(2**31)),
        ("1.5", "1.5"),
        (3, "3"),
        ("10G", "1e10"),
        ("4 Gi", None),
        (-1, None),
        ("", None),
    ],
)
def test_quantities_are_read_exactly(amount: Any, value: str | None) -> None:
    assert quantity.parse(amount) == (Decimal(value) if value is not None else None)
