"""The original's files become ours and ours become the original's: what each tensor and each number means in both.

Names and shapes are the same. What differs: we have six symbols more (pauses and breaths), keep an optimiser's moments
by the parameter's name instead of its number, and hold all networks of a step together.
Original to ours to original gives the same files (in full precision); ours to original to ours the same but for the six
symbols, which begin as the comma does.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from kelong_contract import manifests
from kelong_contract import store as stores
from kelong_speech import checkpoint, synthesiser
from kelong_speech import config as voice_config
from kelong_speech.text import symbols
from torch import Tensor, nn

from kelong_trainer.interchange import generations, original_config, original_files
from kelong_trainer.interchange.original_files import Unusable
from kelong_trainer.training import discriminators

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
Moments = dict[str, Tensor]  # step, exp_avg and exp_avg_sq of one parameter

ORIGINAL_ROWS = len(symbols.ORIGINAL_SYMBOLS)
NEW_ROWS = len(symbols.INLINE_MARKS)
COMMA = symbols.SYMBOL_IDS[","]
SYMBOL_TABLE = "enc_p.emb.weight"
POSTERIOR = "enc_q."
UNNAMED_SPEAKER = "0"
_INITTED = "enc_p.emo_vq._codebook.initted"
# What the original's options leave out of the optimiser, alone or together: freeze_ZH_bert and freeze_emo.
_FREEZABLE = ("enc_p.bert_proj.", "enc_p.emo_vq.")


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of a step. `moments` are by parameter and empty where the optimiser is fresh."""

    tensors: Tensors
    moments: dict[str, Moments] = field(default_factory=dict)
    legacy: manifests.LegacyNumbers | None = None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """All networks of a step, by the letters of the original's files (G, D, WD, DUR), in our form.

    `epoch` counts from 0. A generator without its posterior encoder (`enc_q`) can speak and not train.
    """

    config: voice_config.VoiceConfig
    step: int
    epoch: int
    learning_rate: float
    networks: dict[str, Network]

    @property
    def speaks_only(self) -> bool:
        """Whether the posterior encoder is missing."""
        return not any(name.startswith(POSTERIOR) for name in self.networks["G"].tensors)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Weights from the original's files, what they are, and the digest of each file."""

    weights: Weights
    sentence: str
    digests: dict[str, str]


def from_original(
    found: original_files.Found, config: original_config.LegacyConfig, *, weights_only: bool = False
) -> Imported:
    """Read the original's files of a step. Raises Unusable naming the file and all that is wrong with it.

    Tensors in half precision become float32. `weights_only` leaves the optimisers' state out.
    """
    files = {network: original_files.read(path) for network, path in found.paths.items()}
    if weights_only:
        files = {network: dataclasses.replace(content, optimiser=None) for network, content in files.items()}
    name = found.paths["G"].name
    recognised = generations.recognise(name, files["G"].model, config)
    voice = _config(name, recognised, config)
    networks = {
        network: _from_file(found.paths[network].name, network, voice, content) for network, content in files.items()
    }
    weights = Weights(
        config=voice,
        step=found.step,
        epoch=max(files["G"].iteration - 1, 0),
        learning_rate=_learning_rate(name, files["G"].learning_rate or config.learning_rate),
        networks=networks,
    )
    digests = {path.name: stores.digest_file(path) for path in found.paths.values()}
    sentence = recognised.sentence
    if config.kelong is None and not config.speakers:
        sentence += f", its speakers not named (row 0 is called {UNNAMED_SPEAKER})"
    return Imported(weights=weights, sentence=sentence, digests=digests)


def to_original(weights: Weights) -> dict[str, original_files.LegacyFile]:
    """The original's files of a step, by network. Raises Unusable for tensors that are not those of the networks."""
    files = {}
    for network, part in weights.networks.items():
        module = build(network, weights.config, part.tensors)
        _check(network, module.state_dict(), part.tensors, may_lack=POSTERIOR)
        order = [name for name, _ in module.named_parameters()]
        legacy = part.legacy or _numbers(weights)
        order = [name for name in order if not name.startswith(legacy.frozen)]
        files[network] = original_files.LegacyFile(
            model={name: _cut(name, part.tensors[name]) for name in module.state_dict() if name in part.tensors},
            iteration=legacy.iteration,
            learning_rate=legacy.learning_rate,
            optimiser=None if legacy.settings is None else _by_number(order, part.moments, legacy.settings),
        )
    return files


def build(network: str, config: voice_config.VoiceConfig, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network that these tensors belong to, untrained and undrawn: its names, shapes and order of parameters."""
    with checkpoint.undrawn():
        if network == "G":
            return synthesiser.Synthesiser(config)
        if network == "D":
            return discriminators.Discriminators(discriminators.preset(config.preset))
        if network == "WD":
            heard = tensors.get("pre.weight_v")
            return discriminators.WavLMDiscriminator(9984 if heard is None else heard.shape[1])
        return discriminators.DurationDiscriminator(config.model.hidden_channels, config.model.speaker_channels)


def _config(
    name: str, recognised: generations.Recognised, config: original_config.LegacyConfig
) -> voice_config.VoiceConfig:
    """The configuration of a generator: our own where an export of ours brought it, ZH-Clap's otherwise."""
    if config.kelong is not None:
        try:
            ours = voice_config.from_json(json.dumps(config.kelong).encode())
        except voice_config.ConfigError as error:
            raise Unusable(f"the part 'kelong' of the config.json beside {name} cannot be used: {error}") from None
        if ours.model.speakers != recognised.speakers or ours.variant != recognised.variant:
            raise Unusable(
                f"{name} is {recognised.sentence}, its config.json says {ours.variant} with {ours.model.speakers} rows"
            )
        return ours
    beyond = [f"{speaker} {row}" for speaker, row in config.speakers.items() if not 0 <= row < recognised.speakers]
    if beyond:
        raise Unusable(
            f"{name} has {recognised.speakers} speaker rows, and its config.json gives rows that are not among them to "
            f"{', '.join(beyond)}: they do not belong together; name the right one (--config FILE)"
        )
    speakers = [voice_config.Speaker(name=speaker, id=row) for speaker, row in config.speakers.items()]
    plain = voice_config.VoiceConfig(
        preset="zh-clap",
        speakers=tuple(speakers) or (voice_config.Speaker(name=UNNAMED_SPEAKER, id=0),),
        model=voice_config.ModelConfig(speakers=recognised.speakers),
    )
    return voice_config.as_variant(plain, recognised.variant)


def _learning_rate(name: str, said: float | None) -> float:
    if not said:
        log.warning("%s names no learning rate: the original's, %g, is taken", name, original_config.LEARNING_RATE)
    return said or original_config.LEARNING_RATE


def _from_file(
    name: str, network: str, config: voice_config.VoiceConfig, content: original_files.LegacyFile
) -> Network:
    tensors = {key: _grown(key, _full(key, value)) for key, value in content.model.items()}
    module = build(network, config, tensors)
    _check(name, module.state_dict(), tensors, may_lack=POSTERIOR)
    if broken := checkpoint.not_finite(tensors):
        raise Unusable(
            f"{name} holds numbers that are not finite, in {checkpoint.some(broken)}: training had failed when it was "
            "saved; take an earlier step"
        )
    shapes = {key: _cut(key, value).shape for key, value in module.named_parameters()}
    frozen: tuple[str, ...] = ()
    moments: dict[str, Moments] = {}
    if content.optimiser is not None:
        frozen = _left_out(name, shapes, content.optimiser)
        order = [key for key in shapes if not key.startswith(frozen)]
        moments = {
            order[number]: {kind: _grown(order[number], value.float(), moment=True) for kind, value in entry.items()}
            for number, entry in sorted(content.optimiser.moments.items())
        }
    return Network(
        tensors=tensors,
        moments=moments,
        legacy=manifests.LegacyNumbers(
            iteration=content.iteration,
            learning_rate=content.learning_rate,
            settings=None if content.optimiser is None else content.optimiser.settings,
            frozen=frozen,
        ),
    )


def _full(name: str, tensor: Tensor) -> Tensor:
    """Single precision, and the flag of the codebook as one number in a list, whatever library version wrote it."""
    if name == _INITTED:
        return tensor.float().reshape(1)
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _grown(name: str, tensor: Tensor, *, moment: bool = False) -> Tensor:
    """With rows for the new symbols: those of the comma, or no momentum yet."""
    if name != SYMBOL_TABLE or tensor.dim() != 2 or tensor.shape[0] != ORIGINAL_ROWS:
        return tensor
    comma = tensor[COMMA].expand(NEW_ROWS, -1)
    return torch.cat([tensor, torch.zeros_like(comma) if moment else comma])


def _cut(name: str, tensor: Tensor) -> Tensor:
    """Without the rows of the new symbols."""
    return tensor[:ORIGINAL_ROWS].clone() if name == SYMBOL_TABLE and tensor.dim() == 2 else tensor


def _check(name: str, expected: Tensors, found: Tensors, *, may_lack: str) -> None:
    """Raise Unusable unless a file holds exactly a network's tensors; all of one part may be missing."""
    if not any(key.startswith(may_lack) for key in found):
        expected = {key: value for key, value in expected.items() if not key.startswith(may_lack)}
    faults = checkpoint.differences(expected, found)
    if faults:
        raise Unusable(f"{name} does not hold the tensors of its network: " + "; ".join(faults))


def _left_out(name: str, shapes: dict[str, torch.Size], optimiser: original_files.Optimiser) -> tuple[str, ...]:
    """The parameters that the original's options had frozen: the choice that the moments' shapes agree with."""
    if not optimiser.moments:
        return ()
    for count in range(len(_FREEZABLE) + 1):
        for frozen in itertools.combinations(_FREEZABLE, count):
            order = [shape for key, shape in shapes.items() if not key.startswith(frozen)]
            fits = len(order) == optimiser.parameters and all(
                entry[kind].shape == order[number]
                for number, entry in optimiser.moments.items()
                for kind in ("exp_avg", "exp_avg_sq")
            )
            if fits and (not frozen or any(key.startswith(frozen) for key in shapes)):
                return frozen
    raise Unusable(
        f"{name}: its optimiser knows {optimiser.parameters} parameters and the network has {len(shapes)}, or their "
        "shapes do not agree; leave the optimiser out (--weights-only), or take a file that was saved whole"
    )


def _by_number(
    order: list[str], moments: Mapping[str, Moments], settings: Mapping[str, Any]
) -> original_files.Optimiser:
    return original_files.Optimiser(
        moments={
            number: {kind: _cut(name, value) for kind, value in moments[name].items()}
            for number, name in enumerate(order)
            if name in moments
        },
        parameters=len(order),
        settings=dict(settings),
    )


def _numbers(weights: Weights) -> manifests.LegacyNumbers:
    """What the original would have written beside the tensors of a step that we trained."""
    reference = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=weights.learning_rate)
    settings = {key: value for key, value in reference.state_dict()["param_groups"][0].items() if key != "params"}
    settings |= {"betas": [0.8, 0.99], "eps": 1e-9, "initial_lr": weights.learning_rate}
    return manifests.LegacyNumbers(
        iteration=weights.epoch + 1, learning_rate=weights.learning_rate, settings=settings, frozen=()
    )
