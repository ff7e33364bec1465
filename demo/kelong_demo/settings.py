"""What the demo is asked to do, from `make demo NAME=value` or from flags: read once, all faults reported together."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kelong_contract import orders

DEFAULT_STEPS = 300
DEFAULT_TEXT = "大家好，很高兴认识你们。"
DEFAULT_PORT = 8080
# Names of Whisper sizes that people know, as the repositories that hold them for faster-whisper.
WHISPER_SIZES = {
    size: f"hub:Systran/faster-whisper-{size}@main"
    for size in ("tiny", "base", "small", "medium", "large-v1", "large-v2", "large-v3")
}


class BadSettings(Exception):
    """The demo cannot do what it was asked; the message lists every reason."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run of the demo. Recordings None means the stand-in speaker, recogniser None the stand-in Whisper."""

    out: Path
    recordings: Path | None
    recogniser: str | None
    steps: int
    text: str
    port: int
    keep: bool
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
    if given.keep not in ("", "0", "1"):
        faults.append(f"KEEP is '{given.keep}', expected 1 (leave the server running) or 0")
    recogniser = _recogniser(given.whisper, faults)
    if not given.text.strip():
        faults.append("TEXT is empty, expected a sentence in Chinese")
    if not given.minutes > 0:
        faults.append(f"--minutes is {given.minutes:g}, expected more than 0")
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
        minutes=given.minutes,
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
    flag("keep", "", "1: leave the server running until Ctrl-C, 0: end by itself (default: 1 on a terminal)")
    parser.add_argument("--minutes", type=float, default=4.0, help="length of the stand-in recordings")
    return parser


def _number(name: str, text: str, least: int, most: int, faults: list[str]) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    faults.append(f"{name} is '{text}', expected a whole number from {least} to {most}")
    return least


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
