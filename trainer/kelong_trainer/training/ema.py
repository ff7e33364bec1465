"""A running mean of the generator's weights: steadier than the weights themselves, and what is heard and served.

Polyak and Juditsky 1992, with an exponential window. Training goes on from the weights themselves, which a checkpoint
holds in a file of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WARM_UP = 10  # over the first steps the window is a part of what has been trained: (1 + step) / (10 + step)


class MovingAverage:
    """The mean of a network's parameters. Buffers are not averaged: codebooks follow their batches slowly already."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._averages = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    @torch.no_grad()
    def begin(self, network: nn.Module) -> None:
        """Forget the past: the mean is the network as it is."""
        for name, parameter in network.named_parameters():
            self._averages[name].copy_(parameter)

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Take the weights after a step (from 1) into the mean; frozen ones cannot have moved."""
        decay = min(self.decay, (1 + step) / (WARM_UP + step))
        moved = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
        averages = [self._averages[name] for name, _ in moved]
        torch._foreach_lerp_(averages, [parameter for _, parameter in moved], 1 - decay)

    def state_dict(self, network: nn.Module) -> dict[str, Tensor]:
        """The network's tensors with the means in place of the parameters."""
        return {name: self._averages.get(name, tensor) for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take the means from a file's tensors, which must hold one for every parameter."""
        for name, average in self._averages.items():
            average.copy_(tensors[name])
