"""The checkpoints that a voice has in the store: which there are, how one comes back, which of their files may go.

A step exists when its manifest does. Its files are named by attempt, so that two writers never share one.
"""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kelong_contract import codec, conditions, layout, manifests
from kelong_contract import store as stores

from kelong_trainer import documents
from kelong_trainer.context import BadData
from kelong_trainer.training import state

log = logging.getLogger(__name__)

KEEP_WHOLE = 2  # the newest steps keep what a resume needs; older ones only what speaking needs
FOR_RESUMING = (state.DISCRIMINATORS, state.OPTIMISER, state.RAW_GENERATOR)


@dataclass(frozen=True, kw_only=True)
class Obsolete:
    """What a step may lose: files by name, or all of it, the manifest first."""

    step: int
    names: tuple[str, ...]
    whole: bool


def steps(store: stores.Store, place: layout.Voice) -> list[int]:
    """All steps that exist, ascending."""
    found = (layout.checkpoint_step(place, item.key) for item in store.list(layout.checkpoints(place)))
    return sorted(step for step in found if step is not None)


def manifest(store: stores.Store, place: layout.Voice, step: int) -> manifests.CheckpointManifest:
    """The manifest of a step; raises BadData or NoSuchObject."""
    key = layout.checkpoint_manifest(place, step)
    remedy = "restore it, or delete it to do without that step"
    return documents.parse(manifests.CheckpointManifest, store.get(key), key, remedy)


def fetch(store: stores.Store, wanted: manifests.CheckpointManifest, folder: pathlib.Path) -> None:
    """Download a step's files and compare their digests; raises BadData naming the first that does not match."""
    averaged = any(stored.name == state.RAW_GENERATOR for stored in wanted.files)
    for name in (*state.FILES, state.RAW_GENERATOR) if averaged else state.FILES:
        try:
            stored = wanted.file(name)
            store.get_file(stored.key, folder / name)
        except KeyError:
            raise _damaged(wanted.step, f"its manifest names no {name}") from None
        except stores.NoSuchObject:
            raise _damaged(wanted.step, f"{stored.key} is missing") from None
        found = stores.digest_file(folder / name)
        if found != stored.sha256:
            raise _damaged(wanted.step, f"{stored.key} has the digest {found}, its manifest says {stored.sha256}")


def pins(store: stores.Store, place: layout.Voice) -> frozenset[int] | None:
    """The steps that must stay whatever retention says; None, with a line in the log, if that cannot be told."""
    key = layout.pins(place)
    try:
        return frozenset(codec.loads(manifests.Pins, store.get(key), key).steps)
    except stores.NoSuchObject:
        return frozenset()
    except (codec.Malformed, stores.StoreError) as error:
        log.warning("no checkpoint is deleted, because it cannot be told which are pinned: %s", error)
        return None


def obsolete(
    existing: Sequence[manifests.CheckpointManifest], keep_last: int | None, pinned: Collection[int]
) -> list[Obsolete]:
    """What retention lets go of; a pure function of the manifests. Pinned steps stay as they are.

    Saves between two intervals were for resuming only and go whole once two newer steps exist. Of the others the
    tensors for resuming go; with `keep_last` all but that many of the newest go whole.
    """
    older = sorted(existing, key=lambda item: item.step)[:-KEEP_WHOLE]
    listed = [item.step for item in sorted(existing, key=lambda item: item.step) if item.listed]
    kept = set(listed if keep_last is None else listed[-keep_last:])
    return [
        Obsolete(step=item.step, names=FOR_RESUMING, whole=item.step not in kept)
        for item in older
        if item.step not in pinned
    ]


def tidy(store: stores.Store, place: layout.Voice, attempt: int, keep_last: int | None) -> None:
    """Apply retention, and remove what earlier attempts left behind without a manifest."""
    pinned = pins(store, place)
    if pinned is None:
        return
    keys = {item.key for item in store.list(layout.checkpoints(place))}
    found = (layout.checkpoint_step(place, key) for key in keys)
    existing = [manifest(store, place, step) for step in found if step is not None]
    by_step = {item.step: item for item in existing}
    for going in obsolete(existing, keep_last, pinned):
        if going.whole:
            if not _withdraw(store, place, going.step):
                continue
            for item in store.list(layout.auditions(place, going.step)):
                store.delete(item.key)
            log.info("step %d is no longer kept", going.step)
        files = [item.key for item in by_step[going.step].files if going.whole or item.name in going.names]
        for key in keys.intersection(files):
            store.delete(key)
    named = {stored.key for item in existing for stored in item.files}
    for key in sorted(keys - named):
        if key.startswith(tuple(layout.checkpoint(place, step) for step in pinned)):
            continue
        owner = layout.checkpoint_attempt(place, key)
        if owner is not None and owner < attempt:
            store.delete(key)
            log.info("removed %s, which attempt %d did not finish", key, owner)


def _withdraw(store: stores.Store, place: layout.Voice, step: int) -> bool:
    """Delete a step's manifest, so that the step no longer exists; False if it has been pinned meanwhile and stays.

    Who rolls a step out pins it and looks for its manifest afterwards; here the manifest goes first and the pins are
    read afterwards. So at least one of the two learns of the other, and no step serves whose files are deleted.
    """
    key = layout.checkpoint_manifest(place, step)
    whole = store.get(key)
    store.delete(key)
    pinned = pins(store, place)
    if pinned is not None and step not in pinned:
        return True
    store.put(key, whole, "application/json")
    log.info("step %d stays: it was pinned while it was being deleted", step)
    return False


def _damaged(step: int, what: str) -> BadData:
    return BadData(
        conditions.CHECKSUM_MISMATCH,
        f"training cannot resume from step {step}: {what}; restore the object, or delete the manifest of step {step} "
        "to resume from the step before",
    )
