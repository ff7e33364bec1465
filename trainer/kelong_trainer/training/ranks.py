"""Several processes (ranks) that train one voice together: what they tell each other during a step.

A batch is planned for all ranks at once and each takes a part of its items. A loss is a mean over the whole batch: each
rank computes its part's contribution (`Part`), and the contributions, like the gradients, are summed. So the numbers
are those that one process would have found with all the items. One process alone pays for none of this.

What is drawn at random for a clip depends on seed, step and clip, never on the rank (`kelong_speech.draws`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kelong_trainer.context import Faulty, Stopped
from kelong_trainer.training import exhaustion

BUCKET_ELEMENTS = 1 << 23  # 32 MB of gradients travel at once: large enough for the network, small enough to overlap
MOST_WORDS = 400  # of another's error that are told: characters


class PeersLost(Stopped):
    """Another rank is gone. All begin again at the last saved step; exit code 75, as for whoever is asked to stop."""

    @classmethod
    def by(cls, error: BaseException) -> PeersLost:
        """In the words of the error that told of it."""
        said = str(error).splitlines() or [type(error).__name__]
        return cls(f"another rank is gone or failed ({said[0][:MOST_WORDS]})")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which part of the batch of all ranks a rank trains on, and what the losses' means divide by.

    `positions` are the places of its items in the whole batch. A rank for which the batch is too small trains on an
    item that is another's, so that all ranks do the same: it then has no position and contributes zero.
    """

    positions: tuple[int, ...]
    items: int  # of the whole batch
    frames: int
    phones: int

    def mean(self, each: Tensor) -> Tensor:
        """The contribution to the mean of `each`, of which every item has equally many elements: to a scalar."""
        return each.float().mean() * (len(self.positions) / self.items)

    def per_frame(self, total: Tensor) -> Tensor:
        """The contribution to a mean over all frames, from the sum over the own items'."""
        return total * (self._counts / self.frames)

    def per_phone(self, total: Tensor) -> Tensor:
        """The contribution to a mean over all phonemes, from the sum over the own items'."""
        return total * (self._counts / self.phones)

    @property
    def _counts(self) -> float:
        return 1.0 if self.positions else 0.0


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One process's seat among those that train together; `group` is None for one process alone.

    Every method must be called by all ranks, in the same order. Raises PeersLost.
    """

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, equal on each to the last bit; without a gradient."""
        if self.group is None:
            return tensor.detach()
        summed = tensor.detach().clone()
        with _peers():
            dist.all_reduce(summed, group=self.group)
        return summed

    def gather(self, rows: Tensor, part: Part) -> Tensor:
        """The rows of all ranks' items in the whole batch's order: [B, ...] to [B of all, ...]; without a gradient."""
        if self.group is None:
            return rows.detach()
        whole = rows.new_zeros(part.items, *rows.shape[1:])
        given = rows.new_zeros(part.items, dtype=torch.int64)
        if part.positions:
            whole[list(part.positions)] = rows.detach()
            given[list(part.positions)] = 1
        return self.sum(whole)[self.sum(given) > 0]  # all of them, unless the batch is computed in pieces

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank. Also where all wait for the last of them."""
        if self.group is None:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=_device(self.group))) > 0)

    def most(self, count: int) -> int:
        """The largest of all ranks' numbers."""
        if self.group is None:
            return count
        largest = torch.tensor(count, device=_device(self.group))
        with _peers():
            dist.all_reduce(largest, dist.ReduceOp.MAX, group=self.group)
        return int(largest)

    def reduce_gradients(self, network: nn.Module) -> None:
        """Replace the gradients by their sums over all ranks."""
        if self.group is None:
            return
        with _peers():
            sent = [
                (gradients, flat, dist.all_reduce(flat, group=self.group, async_op=True))
                for gradients, flat in _buckets(network)
            ]
            for gradients, flat, work in sent:
                work.wait()
                parts = torch.split(flat, [gradient.numel() for gradient in gradients])
                for gradient, summed in zip(gradients, parts, strict=True):
                    gradient.copy_(summed.view_as(gradient))

    def share(self, network: nn.Module) -> None:
        """Give every rank the first one's tensors, so that all begin with the same."""
        if self.group is None:
            return
        with _peers(), torch.no_grad():
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, src=0, group=self.group)


ALONE = Ranks()


@contextmanager
def counted_until(stepped: Callable[[], bool], *, leads: bool) -> Iterator[None]:
    """Raise context.Faulty in place of PeersLost as long as not one step has been finished together.

    Ranks that cannot work together look like ranks that are lost, but would meet again without end: exit code 75 is
    counted by nobody. The first rank alone does this, so that a meeting that fails is counted once.
    """
    try:
        yield
    except PeersLost as error:
        if stepped() or not leads:
            raise
        raise Faulty(f"no step was finished since the ranks met: {error}") from error


def _buckets(network: nn.Module) -> Iterator[tuple[list[Tensor], Tensor]]:
    """The gradients in lists of bounded size, each list with one tensor of all its values."""
    gathered: list[Tensor] = []
    for parameter in network.parameters():
        if parameter.grad is None:
            continue
        gathered.append(parameter.grad)
        if sum(gradient.numel() for gradient in gathered) >= BUCKET_ELEMENTS:
            yield gathered, torch.cat([gradient.flatten() for gradient in gathered])
            gathered = []
    if gathered:
        yield gathered, torch.cat([gradient.flatten() for gradient in gathered])


@contextmanager
def _peers() -> Iterator[None]:
    """What fails between the ranks is told as PeersLost: gloo and NCCL raise plain RuntimeErrors for it.

    So do allocators, and what they tell is for the step to cure.
    """
    try:
        yield
    except RuntimeError as error:
        if exhaustion.is_exhaustion(error):
            raise
        raise PeersLost.by(error) from error


def _device(group: dist.ProcessGroup) -> torch.device:
    return torch.device("cuda" if dist.get_backend(group) == "nccl" else "cpu")
