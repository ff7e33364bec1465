"""A rank's batches, loaded ahead on one thread. What it leaves out by chance depends on seed, epoch and clip alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kelong_trainer.training import batches
from kelong_trainer.training.batches import Batch, Position
from kelong_trainer.training.dataset import Dataset
from kelong_trainer.training.ranks import ALONE, Part, Ranks

BATCHES_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A batch and the position that training has once it is done."""

    batch: Batch
    after: Position


class Loader:
    """A rank's part of the batches from a position on, without end, loaded ahead on a thread. Close it when done."""

    def __init__(
        self,
        dataset: Dataset,
        batch_frames: int,
        seed: int,
        start: Position,
        hop_samples: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self._dataset, self._batch_frames, self._seed, self._hop_samples = dataset, batch_frames, seed, hop_samples
        self._ranks = ranks
        self._frame_counts = dataset.frame_counts
        self._ready: queue.Queue[Loaded | BaseException] = queue.Queue(maxsize=BATCHES_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(start,), name="loader", daemon=True)
        self._thread.start()

    def next(self) -> Loaded:
        """The next batch; raises what went wrong while loading it."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop loading."""
        self._closed.set()
        self._thread.join()

    def _run(self, start: Position) -> None:
        try:
            for loaded in self._batches(start):
                if not self._offer(loaded):
                    return
        except Exception as error:  # handed to the loop, which raises it where it can be dealt with
            self._offer(error)

    def _offer(self, item: Loaded | BaseException) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def _batches(self, start: Position) -> Iterator[Loaded]:
        epoch, first = start.epoch, start.batch
        while True:
            planned = batches.plan(self._frame_counts, self._batch_frames, self._seed, epoch)
            for index in range(first, len(planned)):
                last = index + 1 == len(planned)
                after = Position(epoch=epoch + 1) if last else Position(epoch=epoch, batch=index + 1)
                yield Loaded(batch=self._batch(planned[index], epoch), after=after)
            epoch, first = epoch + 1, 0

    def _batch(self, clips: Sequence[int], epoch: int) -> Batch:
        frame_counts, dataset = self._frame_counts, self._dataset
        plain = {clip: batches.is_plain(dataset.digest(clip), self._seed, epoch) for clip in clips}
        positions = batches.divide([frame_counts[clip] for clip in clips], self._ranks.size)[self._ranks.rank]
        part = Part(
            positions=positions,
            items=len(clips),
            frames=sum(frame_counts[clip] for clip in clips),
            phones=sum(dataset.phone_count(clip, plain=plain[clip]) for clip in clips),
        )
        own = [clips[place] for place in positions] or [min(clips, key=lambda clip: frame_counts[clip])]
        examples = (dataset.fetch(clip) for clip in own)
        chosen = [
            batches.without_marks(each) if plain[clip] else each for clip, each in zip(own, examples, strict=True)
        ]
        return batches.collate(chosen, self._hop_samples, part)
