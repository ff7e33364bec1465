"""What a voice's weights begin with, as its order's `init` says: chance, a base model, or a step of another voice.

`beginning` asks for it before it builds the networks, because a base model may be of another variant, and fills
them after. A tensor that the files lack is an error that names it, unless the order says that its part may begin
untrained; nothing is random that nobody asked to be.
"""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Collection
from dataclasses import dataclass

import torch
from kelong_contract import conditions, layout, manifests, orders
from kelong_contract import store as stores
from kelong_speech import checkpoint, sources
from kelong_speech import config as voice_config
from torch import Tensor, nn

from kelong_trainer.context import BadData, BadOrder, RunContext
from kelong_trainer.interchange import conversion, places, weights_folder
from kelong_trainer.interchange.original_files import Unusable
from kelong_trainer.training import checkpoints, state
from kelong_trainer.training.batches import Position

log = logging.getLogger(__name__)

SPEAKER_TABLE = "emb_g.weight"
DISCRIMINATORS = "Discriminators"
POSTERIOR_ENCODER = places.DRAWN
# Which part of the order's `fresh` lets a network begin untrained, by the original's letters.
_ALLOWS = {"D": DISCRIMINATORS, "WD": "WavLMDiscriminator", "DUR": "DurationDiscriminator"}


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Weights to begin with, none for a voice from scratch.

    `resumes` takes the step and the optimisers too. `source` is where they came from, `where` says it in messages,
    `fresh` is what may be lacking, and `untrained` what of them an import has drawn that nobody trained since.
    """

    source: str = ""
    where: str = ""
    imported: conversion.Imported | None = None
    resumes: bool = False
    fresh: Collection[str] = ()
    untrained: tuple[str, ...] = ()

    def adapt(self, config: voice_config.VoiceConfig) -> voice_config.VoiceConfig:
        """The voice's configuration with the variant of what it begins with. Raises BadOrder for another preset."""
        if self.imported is None:
            return config
        base = self.imported.weights.config
        if base.preset != config.preset:
            raise BadOrder(
                conditions.BAD_ORDER,
                f"{self.where} is a model of the preset {base.preset}, the order asks for {config.preset}: order that "
                "preset, or begin with a model of this one",
            )
        return voice_config.as_variant(config, base.variant)

    def fill(self, at: state.TrainingState) -> manifests.Origin | None:
        """Put the weights into a fresh state; what it began with. Raises BadData naming every tensor that differs."""
        if self.imported is None:
            return None
        weights = self.imported.weights
        faults: list[str] = []
        lacking = list(self.untrained)
        speakers = _Speakers.match(at, weights, self.fresh)
        faults += speakers.faults
        lacking += speakers.fresh
        with torch.no_grad():
            for letter, owner in weights_folder.OWNERS.items():
                network = at.networks.get(owner)
                if network is None:
                    if letter in weights.networks:
                        log.info("%s has a %s, for which this order has no use", self.where, owner.replace("_", " "))
                    continue
                faults += self._fill(letter, network, speakers, lacking)
        if faults:
            raise BadData(conditions.BAD_DATA, f"{self.where} cannot be begun with: " + "; ".join(faults))
        if self.resumes:
            self._resume(at, speakers)
        if at.average is not None:
            at.average.begin(at.generator)
        for part in lacking:
            log.warning("%s begin untrained: %s has none that fit", part, self.where)
        log.info("training begins with %s (%s)", self.where, self.imported.sentence)
        return manifests.Origin(
            source=self.source, step=weights.step, files=dict(self.imported.digests), fresh=tuple(lacking)
        )

    def _fill(self, letter: str, network: nn.Module, speakers: _Speakers, lacking: list[str]) -> list[str]:
        """Load one network; what is wrong with the files, and into `lacking` what begins untrained."""
        assert self.imported is not None
        part, own = self.imported.weights.networks.get(letter), network.state_dict()
        if part is None:
            allowed = _ALLOWS.get(letter, "")
            if allowed in self.fresh:
                lacking.append(allowed)
                return []
            return [f"there is no {weights_folder.OWNERS[letter]} (add {allowed} to fresh to begin it untrained)"]
        given = dict(part.tensors)
        if letter == "G":
            given[SPEAKER_TABLE] = speakers.table
            if self.imported.weights.speaks_only:
                if POSTERIOR_ENCODER not in self.fresh:
                    return [f"there is no posterior encoder (add {POSTERIOR_ENCODER} to fresh to begin it untrained)"]
                given |= {name: tensor for name, tensor in own.items() if name.startswith(conversion.POSTERIOR)}
                lacking.append(POSTERIOR_ENCODER)
        faults = checkpoint.differences(own, given)
        if not faults:
            network.load_state_dict(given)
        return faults

    def _resume(self, at: state.TrainingState, speakers: _Speakers) -> None:
        """Step, epoch and moments. A parameter without moments, or with rows that moved, begins without any."""
        assert self.imported is not None
        weights = self.imported.weights
        for letter, owner in weights_folder.OWNERS.items():
            network, part = at.networks.get(owner), weights.networks.get(letter)
            if network is None or part is None:
                continue
            if not part.moments:
                log.warning("%s has no optimiser's state for the %s: it begins anew", self.where, owner)
            for name, parameter in network.named_parameters():
                moments = part.moments.get(name)
                if moments is None or not parameter.requires_grad or (name == SPEAKER_TABLE and speakers.moved):
                    continue
                state.place_moments(at.optimisers[owner], parameter, moments)
        at.step, at.position = weights.step, Position(epoch=weights.epoch)


@dataclass(frozen=True, kw_only=True)
class _Speakers:
    """The speaker table to begin with: `moved` unless every row is the file's, `fresh` when some are untrained."""

    table: Tensor
    moved: bool
    fresh: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @classmethod
    def match(cls, at: state.TrainingState, weights: conversion.Weights, allowed: Collection[str]) -> _Speakers:
        """Rows go by the speaker's name where both know it; else a table of equal size is taken as it is."""
        own = at.generator.state_dict()[SPEAKER_TABLE].clone()
        given = weights.networks["G"].tensors.get(SPEAKER_TABLE)
        if given is None or given.dim() != 2 or given.shape[1] != own.shape[1]:
            return cls(table=own if given is None else given, moved=True)  # the comparison of tensors will tell
        theirs, ours = weights.config.speaker_ids, at.config.speaker_ids
        table = (given if given.shape == own.shape else own).to(own.device).clone()
        for name in theirs.keys() & ours.keys():
            table[ours[name]] = given[theirs[name]]
        moved = given.shape != own.shape or not torch.equal(table.cpu(), given.cpu())
        unknown = sorted(ours.keys() - theirs.keys())
        if given.shape == own.shape or not unknown:
            return cls(table=table, moved=moved)
        if "Speakers" in allowed:
            return cls(table=table, moved=moved, fresh=("Speakers",))
        fault = (
            f"its table has {given.shape[0]} speakers and this voice's {own.shape[0]}, and {', '.join(unknown)} is in "
            "neither name nor row among them (add Speakers to fresh to begin their rows untrained)"
        )
        return cls(table=table, moved=moved, faults=(fault,))


def find(context: RunContext) -> Beginning:
    """What the order says to begin with, fetched and recognised. Raises BadOrder or BadData.

    A step that was imported into the voice's own place comes before all else: training goes on from it.
    """
    init = context.order.init
    own = _imported_step(context)
    if own is not None:
        return own
    if init.pretrained is not None:
        return _pretrained(context, init.pretrained)
    if init.voice_model is not None:
        return _other_voice(context, init.voice_model)
    return Beginning()


def is_imported(manifest: manifests.CheckpointManifest) -> bool:
    """Whether a step was imported, so that no corpus and no batches belong to it."""
    return not manifest.corpus_digest


def _imported_step(context: RunContext) -> Beginning | None:
    existing = checkpoints.steps(context.store, context.place)
    if not existing:
        return None
    newest = checkpoints.manifest(context.store, context.place, existing[-1])
    if not is_imported(newest):
        return None
    where = f"the imported step {newest.step}"
    allowed = (*(newest.origin.fresh if newest.origin else ()), "Speakers")
    source = newest.origin.source if newest.origin else where
    imported = _fetched(context, newest, where)
    drawn = _drawn(newest)
    return Beginning(source=source, where=where, imported=imported, resumes=True, fresh=allowed, untrained=drawn)


def _pretrained(context: RunContext, wanted: orders.Pretrained) -> Beginning:
    where = f"init.pretrained.source '{wanted.source}'"
    resumes = wanted.mode == "Resume"
    if wanted.source in ("none", "bundled"):
        raise BadOrder(conditions.BAD_ORDER, f"{where} is no model: choose init.type Scratch to begin with none")
    try:
        folder = sources.resolve(
            wanted.source, context.order.voice.namespace, context.store, context.work_dir / "models"
        )
    except sources.ModelSourceUnavailable as error:
        raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, f"{where}: {error}") from None
    assert folder is not None  # only `none` has no folder
    try:
        imported = places.open_folder(folder, raw=resumes)
    except Unusable as error:
        raise BadData(conditions.BAD_DATA, f"{where}: {error}") from None
    most = context.order.training.max_steps
    if resumes and imported.weights.step >= most:
        raise BadOrder(
            conditions.BAD_ORDER,
            f"{where} is of step {imported.weights.step}, and training.max_steps is {most}: order more steps, or mode "
            "Base to begin at step 0",
        )
    return Beginning(source=wanted.source, where=where, imported=imported, resumes=resumes, fresh=wanted.fresh)


def _other_voice(context: RunContext, wanted: orders.OtherVoice) -> Beginning:
    place = wanted.voice.place()
    where = f"step {wanted.step} of {wanted.voice.namespace}/{wanted.voice.name}"
    try:
        manifest = checkpoints.manifest(context.store, place, wanted.step)
    except stores.NoSuchObject:
        known = ", ".join(map(str, checkpoints.steps(context.store, place))) or "none"
        raise BadOrder(conditions.STEP_NOT_FOUND, f"init.voice_model: there is no {where}; it has {known}") from None
    drawn = _drawn(manifest)
    if not set(drawn) <= set(wanted.fresh):
        raise BadData(
            conditions.BAD_DATA,
            f"{where} cannot be begun with: it was imported without {POSTERIOR_ENCODER} and not trained since (add "
            f"{POSTERIOR_ENCODER} to fresh to begin it untrained)",
        )
    source = f"{wanted.voice.namespace}/{wanted.voice.name}/{wanted.voice.uid}"
    imported = _fetched(context, manifest, where)
    return Beginning(source=source, where=where, imported=imported, fresh=wanted.fresh, untrained=drawn)


def _drawn(manifest: manifests.CheckpointManifest) -> tuple[str, ...]:
    """What an import drew of a step, as long as that is what the step still holds."""
    drawn = manifest.origin is not None and is_imported(manifest) and POSTERIOR_ENCODER in manifest.origin.fresh
    return (POSTERIOR_ENCODER,) if drawn else ()


def _fetched(context: RunContext, manifest: manifests.CheckpointManifest, where: str) -> conversion.Imported:
    """The weights of a step in the store; the files stay in the work folder as long as the pod does."""
    folder = pathlib.Path(context.work_dir) / "models" / f"step-{manifest.file(layout.GENERATOR_FILE).sha256[:32]}"
    try:
        places.fetch_step(context.store, manifest, folder)
        return places.open_folder(folder, is_step=True)
    except Unusable as error:
        raise BadData(conditions.CHECKSUM_MISMATCH, f"{where} cannot be begun with: {error}") from None
