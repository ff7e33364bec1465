"""The trainer's doors for models that come and go: import, export, mirror. `__main__` opens them by their verb.

They work on the store that the environment names and need no cluster. Exit codes as the trainer's: 64 for a wrong
environment, 65 for files that cannot be used, 75 when stopped, 1 for a store that failed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import tempfile
import typing
from collections.abc import Callable, Iterator, Sequence

from kelong_contract import environment, farewell, layout, manifests, names, orders
from kelong_contract import store as stores
from kelong_speech import config as voice_config
from kelong_speech import sources

from kelong_trainer import telemetry
from kelong_trainer.context import Refused
from kelong_trainer.interchange import (
    conversion,
    mirror,
    original_files,
    places,
    usual_style,
    weights_folder,
)
from kelong_trainer.interchange.original_files import Unusable
from kelong_trainer.training import checkpoints, state

PROGRAM = "kelong-trainer"
_STORE = (
    "The store is named by the environment: KELONG_STORE_URL (s3://BUCKET or file:///FOLDER) and, for S3, "
    "KELONG_STORE_ENDPOINT, KELONG_STORE_ACCESS_KEY and KELONG_STORE_SECRET_KEY."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Carry out one verb of `VERBS`; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    describe, carry_out = VERBS[verb]
    parser = argparse.ArgumentParser(prog=f"python -m kelong_trainer {verb}", epilog=_STORE)
    describe(parser)
    given = parser.parse_args(arguments)
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        carry_out(given, environment.read(os.environ).open_store())
    except KeyboardInterrupt:
        farewell.say(PROGRAM, f"{verb}: stopped before it was done; what is not whole is not used, so run it again")
        return names.EXIT_SAVED
    except environment.BadEnvironment as error:
        farewell.say(PROGRAM, str(error))
        return names.EXIT_BAD_ORDER
    except (Unusable, sources.ModelSourceUnavailable, voice_config.ConfigError, Refused) as error:
        farewell.say(PROGRAM, f"{verb}: {error}")
        return names.EXIT_BAD_DATA
    except stores.StoreError as error:
        farewell.say(PROGRAM, f"{verb}: the store failed: {error}")
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return names.EXIT_DONE


def _describe_import(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read the files that Bert-VITS2 (Extra, ZH-Clap, Extra-Fix) saved, G_<step>.pth with D_, WD_ and DUR_ where "
        "they are, and store them as ours: as a base model that voices begin with, or as a step of a VoiceModel that "
        "can be promoted and trained on. Only tensors and numbers are read from them; nothing in them is run."
    )
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER", help="where the files are")
    _describe_target(parser)
    parser.add_argument("--step", type=int, metavar="N", help="the step to take (default: the newest in the folder)")
    parser.add_argument("--weights-only", action="store_true", help="leave the optimisers' state out")
    parser.add_argument(
        "--fresh",
        action="append",
        default=[],
        choices=[part for part in typing.get_args(orders.Fresh) if part != "Speakers"],
        help="with --voice: what may begin untrained when it is trained on, because the files lack it (repeatable)",
    )
    _describe_speakers(parser)


def _describe_target(parser: argparse.ArgumentParser) -> None:
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--to",
        metavar="store:PREFIX",
        help="become a base model under models/PREFIX, for spec.training.init.pretrained.source: store:PREFIX "
        "(PREFIX = NAMESPACE/… for a namespace's own)",
    )
    target.add_argument(
        "--voice",
        type=_voice,
        metavar="NAMESPACE/NAME/UID",
        help="become a step of this VoiceModel, which must have none yet (create it with suspend: true)",
    )


def _describe_speakers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=pathlib.Path,
        metavar="FILE",
        help="the original's config.json, for the names of its speakers (default: in FOLDER or one above)",
    )
    parser.add_argument(
        "--speaker",
        action="append",
        default=[],
        type=_speaker,
        metavar="NAME=ROW",
        help="a speaker and the row of the speaker table that is theirs (repeatable; default: as config.json says)",
    )
    parser.add_argument(
        "--style",
        type=pathlib.Path,
        metavar="FILE",
        help="the usual style of the speakers: what the original saved beside a clip, .emo.pt, or a recording",
    )
    parser.add_argument(
        "--style-source", metavar="SOURCE", help="the style encoder that hears the recording, such as store:PREFIX"
    )


def _import(given: argparse.Namespace, store: stores.Store) -> None:
    prefix = None if given.to is None else layout.model_source("", _prefix(given.to))
    if prefix is not None and given.fresh:
        raise Unusable(
            f"--fresh {given.fresh[0]} is for --voice: a base model stays as its files are, and the order that begins "
            "with it says in init.pretrained.fresh what may begin untrained"
        )
    imported = places.open_folder(given.folder, step=given.step, config=given.config, weights_only=given.weights_only)
    channels = imported.weights.config.model.style_channels
    style = None if given.style is None else usual_style.read(given.style, channels, given.style_source, store)
    weights = _named(imported.weights, given.speaker, style)
    fresh = set(given.fresh) if weights.speaks_only else set(given.fresh) - {places.DRAWN}
    if places.DRAWN in fresh:
        weights = places.completed(weights)
    imported = dataclasses.replace(imported, weights=weights)
    print(f"{', '.join(imported.digests)}: {imported.sentence}", flush=True)
    origin = manifests.Origin(
        source=given.folder.name, step=weights.step, files=imported.digests, fresh=tuple(sorted(fresh))
    )
    with tempfile.TemporaryDirectory(prefix="kelong-import-") as work:
        folder = pathlib.Path(work)
        with _bar("import", 6) as done:
            if prefix is None:
                places.to_voice(store, given.voice, imported, origin, folder, done=done)
            else:
                places.to_base_model(store, prefix, imported, origin, folder, done=done)
    lacking = [original_files.file_name(name, weights.step) for name in ("D", "WD", "DUR")]
    lacking = [name for name in lacking if name.partition("_")[0] not in weights.networks]
    if lacking:
        print(
            f"not among the files: {', '.join(lacking)}; a training that begins here refuses to begin these untrained "
            "unless it is told that they may be fresh"
        )
    print(_next_step(given, weights.step))


def _next_step(given: argparse.Namespace, step: int) -> str:
    if given.voice is not None:
        return f"step {step} of {given.voice.namespace}/{given.voice.name} exists: promote it with promotedStep: {step}"
    return f"a voice begins with it by spec.training.init: {{from: Pretrained, pretrained: {{source: {given.to}}}}}"


def _describe_export(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a step as the original's files, G_<step>.pth, D_, WD_ and DUR_ as far as the step has them, and a "
        "config.json. Bert-VITS2 ZH-Clap (or Extra-Fix, by the voice's variant) loads those of the preset zh-clap; of "
        "other presets only Kelong can read them."
    )
    parser.add_argument("step", type=int, metavar="STEP", help="the step")
    parser.add_argument(
        "--voice", type=_voice, metavar="NAMESPACE/NAME/UID", required=True, help="the VoiceModel it belongs to"
    )
    parser.add_argument(
        "--to", metavar="FOLDER|store:PREFIX", required=True, help="a folder, or a prefix under models/ of the store"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="where a running mean of the weights was kept: what training goes on from instead of what is heard",
    )


def _export(given: argparse.Namespace, store: stores.Store) -> None:
    place = given.voice.place()
    prefix = layout.model_source("", _prefix(given.to)) if given.to.startswith("store:") else None
    if prefix is not None and any(True for _ in store.list(prefix)):
        raise Unusable(f"something lies under {prefix} already; choose another prefix, or delete what is there")
    if given.step not in (known := checkpoints.steps(store, place)):
        steps = ", ".join(map(str, known)) or "none"
        raise Unusable(f"{given.voice.namespace}/{given.voice.name} has no step {given.step}; it has {steps}")
    manifest = checkpoints.manifest(store, place, given.step)
    with tempfile.TemporaryDirectory(prefix="kelong-export-") as work:
        held = pathlib.Path(work) / "step"
        places.fetch_step(store, manifest, held)
        weights = weights_folder.read(held, raw=given.raw)
        folder = pathlib.Path(given.to) if prefix is None else pathlib.Path(work) / "export"
        with _bar("export", len(weights.networks) + 1) as done:
            written = places.write_original(weights, folder, done=done)
        if prefix is not None:
            with _bar("upload", len(written)) as done:
                for path in reversed(written):  # G comes last: without it the others are no model
                    store.put_file(layout.base_model_file(prefix, path.name), path)
                    done(path.name)
    print(f"{', '.join(path.name for path in written)} in {given.to}")
    for sentence in _missing(weights, whole=(held / state.DISCRIMINATORS).name in _names(manifest)):
        print(sentence)


def _missing(weights: conversion.Weights, *, whole: bool) -> list[str]:
    """What was not written, and why, a sentence each."""
    step, said = weights.step, []
    if "D" not in weights.networks:
        why = "retention has deleted its discriminators and optimisers" if whole else "it was imported without them"
        return [f"no D_{step}.pth, WD_{step}.pth and DUR_{step}.pth: of step {step} only the generator is left, {why}"]
    if "WD" not in weights.networks:
        said.append(f"no WD_{step}.pth: this voice is trained without a WavLM discriminator")
    if "DUR" not in weights.networks:
        said.append(f"no DUR_{step}.pth: this voice is trained without a duration discriminator")
    if weights.config.preset != "zh-clap":
        said.append(f"the original cannot load the preset {weights.config.preset}; Kelong can")
    return said


def _describe_mirror(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fetch model sources once and keep them under models/ in the store, weights as safetensors, so that pods need "
        "no hub. pytorch_model.bin is read as plain tensors; other pickles are left out and named."
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="hub:ORG/NAME@REV or path:/FOLDER")
    parser.add_argument(
        "--to",
        metavar="store:PREFIX",
        help="where to keep it, for a single source (default: store:ORG/NAME/REV of a hub source)",
    )
    parser.add_argument("--onnx", action="store_true", help="also a hub's ONNX files, as a polyphone model has them")


def _mirror(given: argparse.Namespace, store: stores.Store) -> None:
    if given.to is not None and len(given.sources) > 1:
        raise Unusable(
            f"--to {given.to} is one place, and {len(given.sources)} sources are named: mirror them one by one"
        )
    for address in given.sources:
        prefix = mirror.usual_prefix(address) if given.to is None else _prefix(given.to)
        with tempfile.TemporaryDirectory(prefix="kelong-mirror-") as work, _bar(f"mirror {address}", 0) as done:
            mirrored = mirror.mirror(address, prefix, store, pathlib.Path(work), done=done, onnx=given.onnx)
        print(f"{address} is {mirrored.address}: {len(mirrored.files)} files, {mirrored.size_bytes / 1e6:.1f} MB")
        if mirrored.left_out:
            print(f"left out, because pickles can run programs: {', '.join(mirrored.left_out)}")


VERBS: dict[
    str, tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace, stores.Store], None]]
] = {
    "import": (_describe_import, _import),
    "export": (_describe_export, _export),
    "mirror": (_describe_mirror, _mirror),
}


def _named(
    weights: conversion.Weights, speakers: Sequence[tuple[str, int]], style: tuple[float, ...] | None
) -> conversion.Weights:
    """The weights with the speakers and the style that the command names. Raises config.ConfigError."""
    config = weights.config
    found = [voice_config.Speaker(name=name, id=row) for name, row in speakers] or list(config.speakers)
    return dataclasses.replace(
        weights,
        config=dataclasses.replace(
            config,
            speakers=tuple(dataclasses.replace(one, style=one.style if style is None else style) for one in found),
        ),
    )


def _names(manifest: manifests.CheckpointManifest) -> list[str]:
    return [stored.name for stored in manifest.files]


def _prefix(address: str) -> str:
    kind, _, prefix = address.partition(":")
    if kind != "store" or not orders.is_source(address) or prefix.startswith("./"):
        raise Unusable(
            f"'{address}' is not a place in the store, expected store:PREFIX (store:NAMESPACE/… for one's own)"
        )
    return prefix


def _voice(text: str) -> orders.VoiceName:
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not NAMESPACE/NAME/UID (the uid: kubectl get voicemodel NAME -o jsonpath={{.metadata.uid}})"
        )
    return orders.VoiceName(namespace=parts[0], name=parts[1], uid=parts[2])


def _speaker(text: str) -> tuple[str, int]:
    name, _, row = text.rpartition("=")
    if not name or not (row.isascii() and row.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=ROW, such as Khazix=0")
    return name, int(row)


@contextlib.contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, which is told of each file that is done."""
    bar = telemetry.Bar(name, total, " files")
    with contextlib.closing(bar):
        yield lambda file: bar.advance(note=file)
