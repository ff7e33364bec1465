"""What to do when a step does not fit into memory: compute the batch in parts, half as many frames at once as before.

The batch stays what it was, and so do its losses and its gradients, which are summed over the parts; only codebooks
follow part by part. So the plan of the data and a position in it keep their meaning. What was found is left in the
store, for whoever goes on: a resumed process, or all ranks at their next start.

B batch, F frames.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import pathlib
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from kelong_contract import codec, conditions, environment, layout, manifests
from kelong_contract import store as stores
from kelong_speech.encoders import TextBatch
from kelong_speech.synthesiser import Recordings
from torch import Tensor

from kelong_trainer.context import BadOrder
from kelong_trainer.training.batches import Batch

log = logging.getLogger(__name__)

# What is left to whoever shares a CPU pod's memory with the ranks: the process that speaks and judges auditions, and
# files that are being written.
SHARE_OF_OTHERS, MOST_OF_OTHERS_BYTES = 0.25, 3 << 30
_STATUS = pathlib.Path("/proc/self/status")


@contextmanager
def bounded(device: torch.device, ranks_of_pod: int) -> Iterator[None]:
    """On a CPU: let what is more than this rank's share of the container's memory fail inside of this process.

    Beyond a container's limit the kernel kills without a word: nothing would be learnt from it, and the same batch
    would be tried again. Counted is what the process may write to (RLIMIT_DATA), so neither libraries nor mapped files.
    On a GPU its own memory is what ends, and CUDA reserves more addresses than any pod has memory.
    """
    limit, held = environment.memory_limit_bytes(), _data_bytes()
    if device.type != "cpu" or limit is None or held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    own = (limit - min(int(SHARE_OF_OTHERS * limit), MOST_OF_OTHERS_BYTES)) // ranks_of_pod
    if own <= held:
        mib = [number >> 20 for number in (limit, own, held)]
        log.warning("of the %d MiB of memory %d are this process's share, and it holds %d already", *mib)
        yield
        return
    if soft != resource.RLIM_INFINITY:
        own = min(own, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (own, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """What counts for RLIMIT_DATA now; None on a system that does not tell."""
    if not _STATUS.exists():
        return None
    found = re.search(r"^VmData:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


class Exhausted(Exception):
    """A step did not fit into memory. `repeatable` tells whether the state is as it was before the step."""

    def __init__(self, said: str, *, repeatable: bool) -> None:
        super().__init__(said)
        self.repeatable = repeatable


def release() -> None:
    """Give back what a failed step held, so that a smaller one finds it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def padded_frames(batch: Batch) -> int:
    """What a batch costs: its items times its longest."""
    items, _, frames = batch.recordings.spectrogram.shape
    return items * frames


def divide(batch: Batch, frames_at_once: int) -> tuple[Batch, ...]:
    """The batch in parts of at most so many padded frames, or of one clip if that has more; itself if it fits.

    A part's contribution to a loss is divided by what the whole batch counts, so that the contributions add up.
    """
    if padded_frames(batch) <= frames_at_once:
        return (batch,)
    return tuple(_take(batch, places) for places in _groups(batch.recordings.frame_counts.tolist(), frames_at_once))


def _groups(frame_counts: list[int], frames_at_once: int) -> Iterator[list[int]]:
    """Places in the batch, neighbours of similar length together."""
    current: list[int] = []
    for place in sorted(range(len(frame_counts)), key=lambda place: frame_counts[place]):
        if current and frame_counts[place] * (len(current) + 1) > frames_at_once:
            yield current
            current = []
        current.append(place)
    yield current


def _take(batch: Batch, places: list[int]) -> Batch:
    """Some items of a batch, padded to their own longest."""
    text, recordings, part = batch.text, batch.recordings, batch.part
    frames, phones = int(recordings.frame_counts[places].max()), int(text.phone_counts[places].max())
    hop_samples = batch.samples.shape[2] // recordings.spectrogram.shape[2]
    taken = {name: None if value is None else value[places] for name, value in vars(text).items()}
    for name in ("phone_ids", "tone_ids", "language_ids", "text_features"):
        taken[name] = _cut(taken[name], phones)
    known = recordings.durations_frames
    return Batch(
        clips=tuple(batch.clips[place] for place in places),
        # A rank that trains on another's item, having none of its own, counts nothing.
        part=dataclasses.replace(part, positions=tuple(part.positions[place] for place in places if part.positions)),
        text=TextBatch(**taken),  # type: ignore[arg-type]
        recordings=Recordings(
            spectrogram=recordings.spectrogram[places][..., :frames].contiguous(),
            frame_counts=recordings.frame_counts[places],
            durations_frames=None if known is None else _cut(known[places], phones),
        ),
        samples=batch.samples[places][..., : frames * hop_samples].contiguous(),
    )


def _cut(values: Tensor | None, length: int) -> Tensor | None:
    return None if values is None else values[..., :length].contiguous()


class Budget:
    """How many padded frames are computed at once on this device, remembered in the store. `tell` hears the number.

    With `is_shared` it is that of several ranks, each of which may halve it: then it holds whatever device they have,
    as the smallest one's memory is what all can use, and two that differ would else forget each other's number.
    """

    def __init__(
        self,
        store: stores.Store,
        place: layout.Voice,
        device: str,
        batch_frames: int,
        tell: Callable[[int], None],
        *,
        is_shared: bool = False,
    ) -> None:
        self._store, self._place, self._tell, self._is_shared = store, place, tell, is_shared
        self._found = manifests.MemoryBudget(device=device, batch_frames=batch_frames, frames_at_once=None)
        before = self._remembered()
        if before is not None and before.frames_at_once is not None:
            self._found = dataclasses.replace(self._found, frames_at_once=before.frames_at_once)
            tell(before.frames_at_once)

    @property
    def frames_at_once(self) -> int | None:
        """The most that fitted so far, None as long as everything did."""
        return self._found.frames_at_once

    def is_halved_elsewhere(self) -> bool:
        """Whether another rank has left a smaller number since this one began."""
        now = self._remembered()
        if now is None or now.frames_at_once is None:
            return False
        return self.frames_at_once is None or now.frames_at_once < self.frames_at_once

    def halve(self, batch: Batch) -> None:
        """Go on with half of what was too much; raises BadOrder if that was a single clip already."""
        at_once = self.frames_at_once or padded_frames(batch)
        largest = max(padded_frames(part) for part in divide(batch, at_once))
        if all(len(part.clips) == 1 for part in divide(batch, at_once)):
            larger = (
                "training.resources more memory" if self._found.device == "cpu" else "training.placement another GPU"
            )
            raise BadOrder(
                conditions.BAD_ORDER,
                f"the memory of {self._found.device} does not hold a training step with a single clip of {largest} "
                f"frames: give {larger}, or make a VoiceModel with a smaller model.preset",
            )
        self._found = dataclasses.replace(self._found, frames_at_once=largest // 2)
        self._store.put(layout.memory(self._place), codec.dumps(self._found), "application/json")
        self._tell(largest // 2)
        log.warning("a step did not fit into memory: from now on at most %d frames at once", largest // 2)

    def _remembered(self) -> manifests.MemoryBudget | None:
        key = layout.memory(self._place)
        try:
            before = codec.loads(manifests.MemoryBudget, self._store.get(key), key)
        except stores.NoSuchObject:
            return None
        except codec.Malformed as error:
            log.warning("what fitted into memory before cannot be told: %s", error)
            return None
        same_device = self._is_shared or before.device == self._found.device
        return before if same_device and before.batch_frames == self._found.batch_frames else None
