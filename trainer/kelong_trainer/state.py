"""Everything that training changes, and how it becomes files and comes back.

The files of a checkpoint hold all of it: a resume goes on as if nothing had happened. There is no random state among
them, because every step's randomness is a function of seed and step (`step.seed_of`) and the data's order one of seed
and epoch (`dataset.plan`): the state is those numbers.
"""

from __future__ import annotations

import pathlib
import platform
from dataclasses import dataclass, field

import safetensors
import safetensors.torch
import torch
from kelong_contract import codec, layout
from kelong_contract.orders import Training
from kelong_speech import config as voice_config
from kelong_speech import synthesiser
from torch import Tensor, nn

from kelong_trainer import discriminators
from kelong_trainer.dataset import Position

DISCRIMINATORS = "discriminators.safetensors"
OPTIMISER = "optimiser.safetensors"
STATE = "state.json"
FILES = (layout.GENERATOR_FILE, DISCRIMINATORS, OPTIMISER, STATE, layout.CONFIG_FILE)

BETAS = (0.8, 0.99)
EPSILON = 1e-9
DECAY_PER_EPOCH = 0.99996


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What state.json says.

    `batch` counts batches of at most `batch_frames` padded frames. `threads`, `device`, `cpu` and `torch_version` tell
    whether a resume can repeat the very numbers of a run never stopped.
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
    format: int = 1

    @property
    def position(self) -> Position:
        """Where the sampler stands."""
        return Position(epoch=self.epoch, batch=self.batch)


@dataclass(kw_only=True)
class TrainingState:
    """Networks and optimisers, the last finished step, and where in the data it ended. The one thing that changes."""

    config: voice_config.VoiceConfig
    generator: synthesiser.Synthesiser
    discriminators: discriminators.Discriminators
    generator_optimiser: torch.optim.AdamW
    discriminator_optimiser: torch.optim.AdamW
    step: int = 0
    position: Position = field(default_factory=Position)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A state's tensors at one step, on the CPU and shared with nobody."""

    step: int
    position: Position
    generator: dict[str, Tensor]
    discriminators: dict[str, Tensor]
    optimiser: dict[str, Tensor]


class StateMismatch(Exception):
    """A checkpoint's tensors are not those of this model; the message names the differences."""


def learning_rate(base: float, epoch: int) -> float:
    """The rate during an epoch (from 0): it decays by the epoch, as the original's does."""
    return base * DECAY_PER_EPOCH**epoch


def fresh(config: voice_config.VoiceConfig, training: Training, device: torch.device) -> TrainingState:
    """An untrained state; a function of configuration and seed."""
    torch.manual_seed(training.seed)
    generator = synthesiser.Synthesiser(config).to(device).train()
    judges = discriminators.Discriminators(discriminators.preset(config.preset)).to(device).train()
    return TrainingState(
        config=config,
        generator=generator,
        discriminators=judges,
        generator_optimiser=_optimiser(generator, training.learning_rate),
        discriminator_optimiser=_optimiser(judges, training.learning_rate),
    )


def snapshot(state: TrainingState) -> Snapshot:
    """A copy of everything that a checkpoint holds."""
    return Snapshot(
        step=state.step,
        position=state.position,
        generator=_copied(state.generator.state_dict()),
        discriminators=_copied(state.discriminators.state_dict()),
        optimiser=_copied(
            _moments("generator", state.generator, state.generator_optimiser)
            | _moments("discriminators", state.discriminators, state.discriminator_optimiser)
        ),
    )


def not_finite(taken: Snapshot) -> str:
    """The names of tensors that hold what is not a number, a few of them; empty when all is well."""
    tensors = taken.generator | taken.discriminators
    return _some([name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())])


def write(taken: Snapshot, facts: Facts, config: voice_config.VoiceConfig, folder: pathlib.Path) -> None:
    """The files of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(taken.generator, folder / layout.GENERATOR_FILE)
    safetensors.torch.save_file(taken.discriminators, folder / DISCRIMINATORS)
    safetensors.torch.save_file(taken.optimiser, folder / OPTIMISER)
    (folder / STATE).write_bytes(codec.dumps(facts))
    (folder / layout.CONFIG_FILE).write_bytes(config.to_json())


def read(folder: pathlib.Path, state: TrainingState) -> Facts:
    """Put a checkpoint's tensors into `state` and return its facts; raises StateMismatch or codec.Malformed."""
    facts = codec.loads(Facts, (folder / STATE).read_bytes(), STATE)
    _load(state.generator, folder / layout.GENERATOR_FILE)
    _load(state.discriminators, folder / DISCRIMINATORS)
    moments = safetensors.torch.load_file(folder / OPTIMISER)
    _set_moments("generator", state.generator, state.generator_optimiser, moments)
    _set_moments("discriminators", state.discriminators, state.discriminator_optimiser, moments)
    if moments:
        raise StateMismatch(f"{OPTIMISER} has tensors this model has no use for: {_some(sorted(moments))}")
    state.step, state.position = facts.step, facts.position
    return facts


def processor() -> str:
    """The CPU's model name: equal numbers can be expected on equal ones only."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _optimiser(network: nn.Module, rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(network.parameters(), lr=rate, betas=BETAS, eps=EPSILON, fused=True)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _moments(owner: str, network: nn.Module, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter name; a parameter that never had a gradient has none."""
    return {
        f"{owner}.{kind}.{name}": tensor
        for name, parameter in network.named_parameters()
        for kind, tensor in optimiser.state[parameter].items()
    }


def _set_moments(owner: str, network: nn.Module, optimiser: torch.optim.AdamW, moments: dict[str, Tensor]) -> None:
    """Take what belongs to `owner` out of `moments`."""
    for name, parameter in network.named_parameters():
        kinds = ("step", "exp_avg", "exp_avg_sq")
        own = {kind: moments.pop(f"{owner}.{kind}.{name}", None) for kind in kinds}
        given = [kind for kind, tensor in own.items() if tensor is not None]
        if not given:
            continue
        if len(given) != len(kinds) or any(_shape(own[kind]) != parameter.shape for kind in kinds[1:]):
            raise StateMismatch(f"{OPTIMISER} does not fit the parameter {owner} {name}")
        optimiser.state[parameter] = {
            kind: tensor.to(parameter.device) for kind, tensor in own.items() if tensor is not None
        }


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


def _load(network: nn.Module, path: pathlib.Path) -> None:
    own, given = network.state_dict(), safetensors.torch.load_file(path)
    wrong = sorted(own.keys() ^ given.keys()) + [
        name for name in own.keys() & given.keys() if own[name].shape != given[name].shape
    ]
    if wrong:
        raise StateMismatch(f"{path.name} does not fit the model, by name or shape: {_some(wrong)}")
    network.load_state_dict(given)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
