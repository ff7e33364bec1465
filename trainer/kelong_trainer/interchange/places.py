"""Where imported weights go and exported ones come from: a folder, a base model in the store, a VoiceModel's place."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Callable

import torch
from kelong_contract import codec, layout, manifests, orders, patience
from kelong_contract import store as stores
from kelong_speech import synthesiser

from kelong_trainer import lease, telemetry
from kelong_trainer.interchange import conversion, original_config, original_files, weights_folder
from kelong_trainer.interchange.original_files import Unusable
from kelong_trainer.training import checkpoints, state

Done = Callable[[str], None]  # told of each file that is finished
DRAWN: orders.Fresh = "PosteriorEncoder"  # what an import can begin untrained
FRESH_SEED = 42


def open_folder(
    folder: pathlib.Path,
    *,
    step: int | None = None,
    config: pathlib.Path | None = None,
    raw: bool = False,
    weights_only: bool = False,
    is_step: bool = False,
) -> conversion.Imported:
    """Weights in a folder of ours or of the original's. Raises Unusable.

    Files of ours are a base model, whose manifest must be there, or with `is_step` a step that `fetch_step` brought.
    The original's config.json is looked for beside its files and one folder above, where it leaves it.
    """
    if weights_folder.is_ours(folder):
        if not is_step:
            weights_folder.check(folder, _base_model(folder / layout.BASE_MODEL_FILE))
        weights = weights_folder.read(folder, raw=raw)
        files = [path for path in sorted(folder.iterdir()) if path.suffix == ".safetensors"]
        digests = {path.name: stores.digest_file(path) for path in files}
        return conversion.Imported(weights=weights, sentence=f"step {weights.step} of ours", digests=digests)
    found = original_files.find(folder, step)
    beside = [path for path in (folder / "config.json", folder.parent / "config.json") if path.is_file()]
    chosen = config or (beside[0] if beside else None)
    legacy = original_config.LegacyConfig() if chosen is None else original_config.read(chosen)
    return conversion.from_original(found, legacy, weights_only=weights_only)


def to_base_model(
    store: stores.Store,
    prefix: str,
    imported: conversion.Imported,
    origin: manifests.Origin,
    folder: pathlib.Path,
    *,
    done: Done,
) -> None:
    """Put weights under `models/` as a base model. `folder` is for the files on their way.

    Raises Unusable where something lies there already: what voices began with must stay what it was. Files without a
    manifest are those of an import that was interrupted; no voice began with them, and they give way.
    """
    lying = {item.key.removeprefix(prefix) for item in store.list(prefix)}
    if not lying <= set(state.FILES):
        raise Unusable(f"something lies under {prefix} already; choose another prefix, or delete what is there")
    for name in lying:
        store.delete(layout.base_model_file(prefix, name))
    weights = imported.weights
    names = weights_folder.write(weights, origin, folder)
    files = [_put(store, layout.base_model_file(prefix, name), folder / name, done) for name in names]
    base = manifests.BaseModel(
        preset=weights.config.preset,
        variant=weights.config.variant,
        step=weights.step,
        created_at=telemetry.now(),
        files=tuple(files),
        origin=origin,
    )
    store.put(layout.base_model_file(prefix, layout.BASE_MODEL_FILE), codec.dumps(base), "application/json")
    done(layout.BASE_MODEL_FILE)


def to_voice(
    store: stores.Store,
    voice: orders.VoiceName,
    imported: conversion.Imported,
    origin: manifests.Origin,
    folder: pathlib.Path,
    *,
    done: Done,
) -> None:
    """Make weights a step of a VoiceModel that has none yet. Raises Unusable."""
    place, weights = voice.place(), imported.weights
    if checkpoints.steps(store, place):
        raise Unusable(f"{voice.namespace}/{voice.name} has steps already: import into a VoiceModel of its own")
    _check_speakable(weights)
    taken = lease.take(patience.PatientStore(store, threading.Event()), place, "import")
    names = weights_folder.write(weights, origin, folder)
    files = [
        _put(store, layout.checkpoint_file(place, weights.step, taken.attempt, name), folder / name, done)
        for name in names
    ]
    manifest = manifests.CheckpointManifest(
        voice=voice,
        step=weights.step,
        attempt=taken.attempt,
        created_at=telemetry.now(),
        order_digest="",
        corpus_digest="",
        preset=weights.config.preset,
        speakers=weights.config.speaker_ids,
        listed=True,
        files=tuple(files),
        origin=origin,
    )
    if not taken.commit(layout.checkpoint_manifest(place, weights.step), codec.dumps(manifest)):
        raise Unusable(f"a trainer of {voice.namespace}/{voice.name} has begun meanwhile; suspend it and import again")
    done("manifest.json")


def fetch_step(store: stores.Store, manifest: manifests.CheckpointManifest, folder: pathlib.Path) -> None:
    """Download what the store still has of a step, and compare digests. Raises Unusable.

    What only a resume needs may have been deleted by retention; what speaking needs must be there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stored in manifest.files:
        path = folder / stored.name
        try:
            store.get_file(stored.key, path)
        except stores.NoSuchObject:
            if stored.name in (layout.GENERATOR_FILE, layout.CONFIG_FILE, state.STATE):
                raise Unusable(f"step {manifest.step} has lost {stored.name} ({stored.key})") from None
            continue
        found = stores.digest_file(path)
        if found != stored.sha256:
            raise Unusable(f"{stored.key} has the digest {found}, its manifest says {stored.sha256}; restore it")


def completed(weights: conversion.Weights) -> conversion.Weights:
    """The weights with an untrained posterior encoder where they have none."""
    if not weights.speaks_only:
        return weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(FRESH_SEED)
        drawn = synthesiser.Synthesiser(weights.config).state_dict()
    generator = weights.networks["G"]
    tensors = {name: generator.tensors.get(name, tensor) for name, tensor in drawn.items()}
    return dataclasses.replace(
        weights, networks=weights.networks | {"G": dataclasses.replace(generator, tensors=tensors)}
    )


def write_original(weights: conversion.Weights, folder: pathlib.Path, *, done: Done) -> list[pathlib.Path]:
    """Write the original's files of a step and their config.json; raises Unusable before it would overwrite one."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = {
        network: folder / original_files.file_name(network, weights.step)
        for network in original_files.NETWORKS
        if network in weights.networks
    }
    config = folder / "config.json"
    for path in (*targets.values(), config):
        if path.exists():
            raise Unusable(f"{path} exists already; name another folder")
    files = conversion.to_original(weights)
    for network, path in targets.items():
        original_files.write(path, files[network])
        done(path.name)
    document = original_config.document(
        weights.config, files["G"].learning_rate, wavlm="WD" in targets, durations="DUR" in targets
    )
    config.write_bytes(document)
    done(config.name)
    return [*targets.values(), config]


def _check_speakable(weights: conversion.Weights) -> None:
    channels = weights.config.model.style_channels
    mute = [speaker.name for speaker in weights.config.speakers if speaker.style is None]
    if channels is not None and mute:
        raise Unusable(
            f"{', '.join(mute)} has no usual style, without which this voice cannot speak; add --style FILE, such as "
            "the .emo.pt that the original made beside one of the clips, or a recording with --style-source"
        )
    if weights.speaks_only:
        raise Unusable(
            "G has no posterior encoder (enc_q.*), as a _release file has none: it can speak and not train; add "
            "--fresh PosteriorEncoder to begin that part untrained"
        )


def _put(store: stores.Store, key: str, path: pathlib.Path, done: Done) -> manifests.StoredFile:
    digest = stores.digest_file(path)
    store.put_file(key, path)
    done(path.name)
    return manifests.StoredFile(name=path.name, key=key, sha256=digest, size_bytes=path.stat().st_size)


def _base_model(path: pathlib.Path) -> manifests.BaseModel:
    if not path.is_file():
        raise Unusable(f"{path.parent} is not whole: it has no {path.name}, which is written last; import it again")
    try:
        return codec.loads(manifests.BaseModel, path.read_bytes(), str(path))
    except codec.Malformed as error:
        raise Unusable(f"{error}; import the model again") from None
