"""What the demo is asked to do, from `make demo NAME=value` or from flags: read once, all faults reported together."""

import argparse
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kelong_contract import orders

DEFAULT_STEPS = 300
DEFAULT_TEXT = "大家好，很高兴认识你们。"
DEFAULT_PORT = 8080
DEFAULT_MINUTES = "4"
# Names of Whisper sizes that people know, as the repositories that hold them for faster-whisper.
WHISPER_SIZES = {
    size: f"hub:Systran/faster-whisper-{size}@main"
    for size in ("tiny", "base", "small", "medium", "large-v1", "large-v2", "large-v3")
}


class BadSettings(Exception):
    """The demo cannot do what it was asked; the message lists every reason."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run of the demo. Recordings None means the stand-in speaker, recogniser None the stand-in Whisper.

    `review` ends it when the report of the recordings is there; `command` is what trains then, with the same wishes.
    """

    out: Path
    recordings: Path | None
    recogniser: str | None
    steps: int
    text: str
    port: int
    keep: bool
    review: bool
    command: str
    minutes: float
    cache: Path


def read(arguments: list[str], environment: Mapping[str, str], *, at_terminal: bool, cache: Path) -> Settings:
    """The settings from flags, where they are missing from the environment; raises BadSettings."""
    given = _parser(environment).parse_args(arguments)
    faults: list[str] = []
    recordings = Path(given.recordings).expanduser() if given.recordings else None
    if recordings is not None and not recordings.is_dir():
        faults.append(f"RECORDINGS is '{recordings}', expected a folder with sound files")
    steps = _number("STEPS", given.steps, 1, 1_000_000, faults)
    port = _number("PORT", given.port, 1, 65_535, faults)
    for name, value, meaning in (
        ("KEEP", given.keep, "leave the server running"),
        ("REVIEW", given.review, "stop when the report of the recordings is there"),
    ):
        if value not in ("", "0", "1"):
            faults.append(f"{name} is '{value}', expected 1 ({meaning}) or 0")
    recogniser = _recogniser(given.whisper, faults)
    if not given.text.strip():
        faults.append("TEXT is empty, expected a sentence in Chinese")
    minutes = _minutes(given.minutes, faults)
    if faults:
        raise BadSettings("The demo cannot start: " + "; ".join(faults) + ".")
    return Settings(
        out=Path(given.out).expanduser().resolve(),
        recordings=recordings.resolve() if recordings else None,
        recogniser=recogniser,
        steps=steps,
        text=given.text.strip(),
        port=port,
        keep=at_terminal if given.keep == "" else given.keep == "1",
        review=given.review == "1",
        command=_command(given),
        minutes=minutes,
        cache=cache,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kelong_demo",
        description="Recordings in, a voice out, on this machine: no cluster, no GPU, no root.",
        epilog="Each flag can also be given as 'make demo NAME=value', the name in capitals.",
    )

    def flag(name: str, default: str, meaning: str) -> None:
        parser.add_argument(f"--{name}", default=environment.get(name.upper(), "") or default, help=meaning)

    flag("recordings", "", "folder of your own recordings (default: four minutes of a stand-in speaker)")
    flag("whisper", "", "recogniser: a size such as large-v3, a folder in CTranslate2 form, or hub:ORG/NAME@REVISION")
    flag("steps", str(DEFAULT_STEPS), "steps to train (default: %(default)s)")
    flag("out", "demo-voice", "folder for all that is made; run again to go on from it (default: %(default)s)")
    flag("text", DEFAULT_TEXT, "what the voice shall say (default: %(default)s)")
    flag("port", str(DEFAULT_PORT), "where the server listens, or the next free port (default: %(default)s)")
    flag("review", "", "1: stop when the recordings are cut and judged, to look at the report and correct it")
    flag("keep", "", "1: leave the server running until Ctrl-C, 0: end by itself (default: 1 on a terminal)")
    flag("minutes", DEFAULT_MINUTES, "length of the stand-in recordings (default: %(default)s)")
    return parser


def _command(given: argparse.Namespace) -> str:
    """What was asked for as `make demo` takes it, but for the review."""
    usual = vars(_parser({}).parse_args([]))
    wishes = {name: value for name, value in vars(given).items() if value != usual[name] and name != "review"}
    return shlex.join(["make", "demo", *(f"{name.upper()}={value}" for name, value in wishes.items())])


def _number(name: str, text: str, least: int, most: int, faults: list[str]) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    faults.append(f"{name} is '{text}', expected a whole number from {least} to {most}")
    return least


def _minutes(text: str, faults: list[str]) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        faults.append(f"MINUTES is '{text}', expected a number more than 0")
    return minutes


def _recogniser(given: str, faults: list[str]) -> str | None:
    """A model source from a source, a folder or one of faster-whisper's names."""
    if not given:
        return None
    if Path(given).expanduser().is_dir():
        return f"path:{Path(given).expanduser().resolve()}"
    if given in WHISPER_SIZES:
        return WHISPER_SIZES[given]
    if given.startswith(("hub:", "path:")) and orders.is_source(given):
        return given
    faults.append(
        f"WHISPER is '{given}', expected a folder, hub:ORG/NAME@REVISION, or one of {', '.join(WHISPER_SIZES)}"
    )
    return None
