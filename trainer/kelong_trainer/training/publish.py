"""Checkpoints on their way to the store, on a thread of their own: training goes on while they are written.

One may be under way and one may wait; a third makes training wait, so that memory stays bounded and nothing is lost.
The order is what makes a step whole: tensors, state, configuration, the loss log, a last look at the lease, and then
the manifest.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kelong_contract import codec, conditions, layout, manifests
from kelong_contract import store as stores
from kelong_speech.config import VoiceConfig

from kelong_trainer import telemetry
from kelong_trainer.context import BadData, RunContext, Stopped
from kelong_trainer.lease import Lease
from kelong_trainer.training import checkpoints, state

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Save:
    """A checkpoint to write. Unlisted ones are for resuming only."""

    snapshot: state.Snapshot
    facts: state.Facts
    listed: bool


class Publisher:
    """Writes checkpoints in the order they are handed over.

    `before` is called before a step comes to exist: what must not lag behind it is uploaded there. `committed` is told
    of each listed step that exists.
    """

    def __init__(
        self,
        context: RunContext,
        lease: Lease,
        config: VoiceConfig,
        corpus_digest: str,
        *,
        before: Callable[[], None],
        committed: Callable[[int], None],
    ) -> None:
        self._context, self._lease, self._config = context, lease, config
        self._corpus_digest, self._before, self._committed = corpus_digest, before, committed
        self._waiting: queue.Queue[Save | None] = queue.Queue(maxsize=1)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def save(self, save: Save) -> None:
        """Hand a checkpoint over; raises what stopped an earlier one."""
        self.check()
        self._waiting.put(save)

    def check(self) -> None:
        """Raise what stopped a checkpoint from being written."""
        if self._failure is not None:
            raise self._failure

    def wait(self) -> None:
        """Wait until everything handed over is in the store or has failed."""
        self._waiting.put(None)
        self._thread.join()

    def close(self) -> None:
        """Wait until everything handed over is in the store; raises what stopped it."""
        self.wait()
        self.check()

    def _run(self) -> None:
        while (save := self._waiting.get()) is not None:
            if self._failure is not None:
                continue  # an earlier one failed: the loop learns of it at its next step and ends
            try:
                self._publish(save)
            except Exception as error:  # handed to the loop, which raises it where it can be dealt with
                log.warning("step %d is not saved: %s", save.snapshot.step, error)
                self._failure = error

    def _publish(self, save: Save) -> None:
        started = time.monotonic()
        context, step = self._context, save.snapshot.step
        broken = state.not_finite(save.snapshot)
        if broken:  # the losses of the next step would have told, but by then this one would be published
            raise BadData(conditions.NAN_LOSS, f"step {step} is not saved: {broken} are no longer numbers")
        folder = context.work_dir / "checkpoints" / str(step)
        files = []
        for name in state.write(save.snapshot, save.facts, self._config, folder):
            key = layout.checkpoint_file(context.place, step, context.attempt, name)
            path = folder / name
            digest = stores.digest_file(path)
            context.store.put_file(key, path)
            files.append(manifests.StoredFile(name=name, key=key, sha256=digest, size_bytes=path.stat().st_size))
        shutil.rmtree(folder)
        self._before()
        manifest = codec.dumps(self._manifest(save, files))
        if not self._lease.commit(layout.checkpoint_manifest(context.place, step), manifest):
            raise Stopped(f"a newer attempt has begun; step {step} is left to it")
        took_s = time.monotonic() - started
        log.info("step %d is saved (%.1f s)", step, took_s)
        context.telemetry.checkpoint_saved(took_s)
        checkpoints.tidy(context.store, context.place, context.attempt, context.order.training.keep_last)
        if save.listed:
            self._committed(step)

    def _manifest(self, save: Save, files: list[manifests.StoredFile]) -> manifests.CheckpointManifest:
        return manifests.CheckpointManifest(
            voice=self._context.order.voice,
            step=save.snapshot.step,
            attempt=self._context.attempt,
            created_at=telemetry.now(),
            order_digest=self._context.order_digest,
            corpus_digest=self._corpus_digest,
            preset=self._config.preset,
            speakers=self._config.speaker_ids,
            listed=save.listed,
            files=tuple(files),
            origin=save.facts.origin,
        )
