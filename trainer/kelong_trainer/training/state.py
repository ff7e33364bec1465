"""Everything that training changes, and how it becomes files and comes back.

The files of a checkpoint hold all of it: a resume goes on as if nothing had happened. There is no random state among
them, because every step's randomness is a function of seed, step and clip (`kelong_speech.draws`) and the data's order
one of seed and epoch (`batches.plan`): the state is those numbers.
"""

from __future__ import annotations

import logging
import math
import pathlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import safetensors
import safetensors.torch
import torch
from kelong_contract import codec, layout, manifests
from kelong_contract.orders import Training
from kelong_speech import checkpoint, synthesiser
from kelong_speech import config as voice_config
from torch import Tensor, nn

from kelong_trainer.training import discriminators, ema, freezing
from kelong_trainer.training.batches import Position
from kelong_trainer.training.discriminators import Discriminators, DurationDiscriminator, WavLMDiscriminator

log = logging.getLogger(__name__)

DISCRIMINATORS = "discriminators.safetensors"
OPTIMISER = "optimiser.safetensors"
STATE = "state.json"
FILES = (layout.GENERATOR_FILE, DISCRIMINATORS, OPTIMISER, STATE, layout.CONFIG_FILE)
# Where a running mean of the weights is kept, the generator's file holds that mean, and this one what training goes on
# from.
RAW_GENERATOR = "raw_generator.safetensors"

BETAS = (0.8, 0.99)
EPSILON = 1e-9
DECAY_PER_EPOCH = 0.99996
SMALL_GROWS_TO_STEP, SMALL_FALLS_FROM_STEP = 300, 2000


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What state.json says.

    `batch` counts batches of at most `batch_frames` padded frames. `threads`, `ranks`, `device`, `cpu` and
    `torch_version` tell whether a resume can repeat the very numbers of a run never stopped, and so does `precision`,
    None in what was saved without this note.
    `ordered_learning_rate` is the rate before any decay. `origin` is what the voice began with. `wavlm` is
    the identity of the one that was heard with, None without. `legacy` is by network, for a step whose files were
    imported.
    """

    step: int
    epoch: int
    batch: int
    batch_frames: int
    seed: int
    learning_rate: float
    started_at: str
    threads: int
    device: str
    cpu: str
    torch_version: str
    precision: str | None = None
    ranks: int = 1
    ordered_learning_rate: float | None = None
    origin: manifests.Origin | None = None
    begun_trained: bool = False
    wavlm: str | None = None
    legacy: dict[str, manifests.LegacyNumbers] = field(default_factory=dict)
    format: int = 1

    @property
    def position(self) -> Position:
        """Where the sampler stands."""
        return Position(epoch=self.epoch, batch=self.batch)


@dataclass(kw_only=True)
class TrainingState:
    """Networks and optimisers, the last finished step, and where in the data it ended. The one thing that changes.

    Networks that the order does without are None and cost nothing. `optimisers` are by the networks' names. `torn` is
    true from where a step moves the first network until it has come to its end: what is left then is no step's state.
    """

    config: voice_config.VoiceConfig
    generator: synthesiser.Synthesiser
    discriminators: Discriminators
    wavlm_discriminator: WavLMDiscriminator | None = None
    duration_discriminator: DurationDiscriminator | None = None
    optimisers: dict[str, torch.optim.AdamW]
    average: ema.MovingAverage | None = None
    step: int = 0
    position: Position = field(default_factory=Position)
    torn: bool = False

    @property
    def judges(self) -> dict[str, nn.Module]:
        """The networks that the generator is trained against, by name."""
        return {
            name: network
            for name in ("discriminators", "wavlm_discriminator", "duration_discriminator")
            if (network := getattr(self, name)) is not None
        }

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks, by name."""
        return {"generator": self.generator, **self.judges}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A state's tensors at one step, on the CPU and shared with nobody.

    `generator` is what is heard and served; `raw_generator` what training goes on from, where that is not the same.
    """

    step: int
    position: Position
    generator: dict[str, Tensor]
    raw_generator: dict[str, Tensor] | None
    discriminators: dict[str, Tensor]
    optimiser: dict[str, Tensor]


class StateMismatch(Exception):
    """A checkpoint's tensors are not those of this model; the message names the differences."""


def learning_rate(base: float, epoch: int) -> float:
    """The rate during an epoch (from 0): it decays by the epoch, as the original's does."""
    return base * DECAY_PER_EPOCH**epoch


def rate_of_step(preset: str, base: float, epoch: int, step: int, *, begun_trained: bool = False) -> float:
    """The rate of a step (from 1) in an epoch (from 0).

    `small` is trained from scratch at rates that it must be led to, and that are too high later on: its rate grows over
    the first steps, stays, and falls with the square root of the step (as in Vaswani et al. 2017). One that has
    `begun_trained` begins at its full rate.
    """
    if preset != "small":
        return learning_rate(base, epoch)
    grown = 1.0 if begun_trained else min(1.0, step / SMALL_GROWS_TO_STEP)
    return base * grown * min(1.0, math.sqrt(SMALL_FALLS_FROM_STEP / step))


def fresh(
    config: voice_config.VoiceConfig, training: Training, device: torch.device, wavlm_channels: int | None = None
) -> TrainingState:
    """An untrained state; a function of configuration, order and seed.

    `wavlm_channels` is the width of what a WavLM hears, None without one. Raises context.BadOrder where
    `training.freeze` names what the model does not have.
    """
    torch.manual_seed(training.seed)
    sizes = config.model
    generator = synthesiser.Synthesiser(config).to(device).train()
    judges: dict[str, nn.Module] = {"discriminators": Discriminators(discriminators.preset(config.preset))}
    if wavlm_channels is not None:
        judges["wavlm_discriminator"] = WavLMDiscriminator(wavlm_channels)
    if training.duration_discriminator == "On":
        judges["duration_discriminator"] = DurationDiscriminator(sizes.hidden_channels, sizes.speaker_channels)
    networks: dict[str, Any] = {"generator": generator}
    networks |= {name: judge.to(device).train() for name, judge in judges.items()}
    freezing.apply(generator, training.freeze, training.profile)
    return TrainingState(
        config=config,
        **networks,
        optimisers={name: _optimiser(network, training.learning_rate) for name, network in networks.items()},
        average=ema.MovingAverage(generator, training.ema_decay) if training.ema_decay is not None else None,
    )


def place_moments(optimiser: torch.optim.AdamW, parameter: nn.Parameter, moments: Mapping[str, Tensor]) -> None:
    """Let the optimiser go on from a parameter's `step`, `exp_avg` and `exp_avg_sq`: copies, on its device.

    A fused optimiser wants the step there too, unlike the other forms.
    """
    optimiser.state[parameter] = {kind: tensor.to(parameter.device, copy=True) for kind, tensor in moments.items()}


def snapshot(state: TrainingState) -> Snapshot:
    """A copy of everything that a checkpoint holds."""
    raw = state.generator.state_dict()
    moments: dict[str, Tensor] = {}
    for name, network in state.networks.items():
        moments |= _moments(name, network, state.optimisers[name])
    return Snapshot(
        step=state.step,
        position=state.position,
        generator=_copied(raw if state.average is None else state.average.state_dict(state.generator)),
        raw_generator=None if state.average is None else _copied(raw),
        discriminators=_copied(_judges_tensors(state)),
        optimiser=_copied(moments),
    )


def not_finite(taken: Snapshot) -> str:
    """The names of tensors that hold what is not a number, a few of them; empty when all is well."""
    tensors = taken.generator | (taken.raw_generator or {}) | taken.discriminators
    return checkpoint.some(checkpoint.not_finite(tensors))


def write(taken: Snapshot, facts: Facts, config: voice_config.VoiceConfig, folder: pathlib.Path) -> tuple[str, ...]:
    """Write the files of a checkpoint; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(taken.generator, folder / layout.GENERATOR_FILE)
    safetensors.torch.save_file(taken.discriminators, folder / DISCRIMINATORS)
    safetensors.torch.save_file(taken.optimiser, folder / OPTIMISER)
    (folder / STATE).write_bytes(codec.dumps(facts))
    (folder / layout.CONFIG_FILE).write_bytes(config.to_json())
    if taken.raw_generator is None:
        return FILES
    safetensors.torch.save_file(taken.raw_generator, folder / RAW_GENERATOR)
    return (*FILES, RAW_GENERATOR)


def read(folder: pathlib.Path, state: TrainingState) -> Facts:
    """Put a checkpoint's tensors into `state` and return its facts; raises StateMismatch or codec.Malformed."""
    facts = codec.loads(Facts, (folder / STATE).read_bytes(), STATE)
    _read_generator(folder, state)
    given = safetensors.torch.load_file(folder / DISCRIMINATORS)
    _compare(DISCRIMINATORS, _judges_tensors(state), given)
    for name, network in state.judges.items():
        prefix = _prefix(name)
        network.load_state_dict({key: given[prefix + key] for key in network.state_dict()})
    moments = safetensors.torch.load_file(folder / OPTIMISER)
    for name, network in state.networks.items():
        _set_moments(name, network, state.optimisers[name], moments)
    if moments:
        raise StateMismatch(f"{OPTIMISER} has tensors this model has no use for: {checkpoint.some(sorted(moments))}")
    state.step, state.position = facts.step, facts.position
    return facts


def processor() -> str:
    """The CPU's model name: equal numbers can be expected on equal ones only."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _read_generator(folder: pathlib.Path, state: TrainingState) -> None:
    """The weights, and their running mean where both the file and the order have one."""
    served = safetensors.torch.load_file(folder / layout.GENERATOR_FILE)
    _compare(layout.GENERATOR_FILE, state.generator.state_dict(), served)
    has_raw = (folder / RAW_GENERATOR).exists()
    if has_raw != (state.average is not None):
        log.warning("the running mean of the weights %s", "is given up" if has_raw else "begins here")
    if not has_raw:
        state.generator.load_state_dict(served)
        if state.average is not None:
            state.average.begin(state.generator)
        return
    raw = safetensors.torch.load_file(folder / RAW_GENERATOR)
    _compare(RAW_GENERATOR, state.generator.state_dict(), raw)
    state.generator.load_state_dict(raw)
    if state.average is not None:
        state.average.load(served)


def _judges_tensors(state: TrainingState) -> dict[str, Tensor]:
    """What discriminators.safetensors holds: the tensors of all judges by name."""
    return {
        _prefix(name) + key: tensor
        for name, network in state.judges.items()
        for key, tensor in network.state_dict().items()
    }


def _prefix(judge: str) -> str:
    """The judges of sound call their tensors `discriminators.…` already, as in the original's file."""
    return "" if judge == "discriminators" else f"{judge}."


def _optimiser(network: nn.Module, rate: float) -> torch.optim.AdamW:
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(learning, lr=rate, betas=BETAS, eps=EPSILON, fused=True)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _moments(owner: str, network: nn.Module, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter name; a parameter that never had a gradient has none."""
    return {
        f"{owner}.{kind}.{name}": tensor
        for name, parameter in network.named_parameters()
        for kind, tensor in optimiser.state.get(parameter, {}).items()
    }


def _set_moments(owner: str, network: nn.Module, optimiser: torch.optim.AdamW, moments: dict[str, Tensor]) -> None:
    """Take what belongs to `owner` out of `moments`."""
    for name, parameter in network.named_parameters():
        kinds = ("step", "exp_avg", "exp_avg_sq")
        own = {kind: moments.pop(f"{owner}.{kind}.{name}", None) for kind in kinds}
        given = [kind for kind, tensor in own.items() if tensor is not None]
        if not given or not parameter.requires_grad:  # what is frozen now had moments before: they are of no use
            continue
        if len(given) != len(kinds) or any(_shape(own[kind]) != parameter.shape for kind in kinds[1:]):
            raise StateMismatch(f"{OPTIMISER} does not fit the parameter {owner} {name}")
        place_moments(optimiser, parameter, {kind: tensor for kind, tensor in own.items() if tensor is not None})


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


def _compare(file: str, own: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    faults = checkpoint.differences(own, given)
    if faults:
        raise StateMismatch(f"{file} does not fit the model: " + "; ".join(faults))
