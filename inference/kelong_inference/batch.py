"""The batch door behind SynthesisJob: every line of an input becomes a file of the store, or a named failure.

Progress is written now and then, the manifest last. A pod that is stopped or lost leaves its progress behind, and the
next one skips what is there.
"""

from __future__ import annotations

import logging
import threading
import time

import tqdm
from kelong_contract import codec, layout, orders, patience, store
from kelong_contract.environment import Environment
from kelong_contract.manifests import FailedItem, Problem, SynthesisedItem, SynthesisManifest
from kelong_contract.orders import Item, SynthesisOrder
from kelong_contract.store import Store

from kelong_inference import encoding, lines, loading
from kelong_inference.endings import Ending, Stopped
from kelong_inference.errors import Refused
from kelong_inference.lines import Line
from kelong_inference.speaking import Speaker

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 5.0
MOST_CHARACTERS = orders.Limits().max_characters


class _Record:
    """What is done so far, in memory and in the store."""

    def __init__(self, order: SynthesisOrder, kept: Store) -> None:
        self._order = order
        self._store = kept
        self._begun = time.monotonic()
        self._saved_at = self._begun
        self._progress_key = layout.synthesis_progress(order.output_prefix, order.uid)
        self._manifest_key = layout.synthesis_manifest(order.output_prefix, order.uid)
        earlier = self._earlier()
        self._elapsed_s = earlier.elapsed_s if earlier else 0.0
        self._items = {item.id: item for item in earlier.items if kept.exists(item.key)} if earlier else {}
        self._failures = {failure.line: failure for failure in earlier.failures} if earlier else {}
        self._total = earlier.total if earlier else 0

    def finished(self) -> bool:
        """Whether an earlier pod wrote the manifest."""
        return self._store.exists(self._manifest_key)

    def open(self, total: int) -> int:
        """Set how many lines there are; returns how many of them are done already."""
        self._total = total
        return len(self._items) + len(self._failures)

    def has(self, line: Line) -> bool:
        """Whether the line was dealt with."""
        return line.number in self._failures or (line.item is not None and line.id in self._items)

    def succeeded(self, item: SynthesisedItem) -> None:
        """A line became a file."""
        self._items[item.id] = item
        self._save_sometimes()

    def failed(self, failure: FailedItem) -> None:
        """A line did not."""
        self._failures[failure.line] = failure
        log.warning("line %d (%s) is not spoken: %s", failure.line, failure.id, failure.message)
        self._save_sometimes()

    def save(self, problem: Problem | None = None) -> None:
        """Write progress now."""
        self._saved_at = time.monotonic()
        self._put(self._progress_key, self._manifest(finished=False, problem=problem))

    def finish(self) -> SynthesisManifest:
        """Write progress a last time, then the manifest."""
        self.save()
        manifest = self._manifest(finished=True)
        self._put(self._manifest_key, manifest)
        return manifest

    def _save_sometimes(self) -> None:
        if time.monotonic() - self._saved_at >= PROGRESS_INTERVAL_S:
            self.save()

    def _put(self, key: str, manifest: SynthesisManifest) -> None:
        self._store.put(key, codec.dumps(manifest), "application/json")

    def _manifest(self, *, finished: bool, problem: Problem | None = None) -> SynthesisManifest:
        items = tuple(self._items.values())
        return SynthesisManifest(
            uid=self._order.uid,
            voice=self._order.voice,
            step=self._order.step,
            total=self._total,
            items=items,
            failures=tuple(failure for _, failure in sorted(self._failures.items())),
            audio_s=round(sum(item.duration_s for item in items), 3),
            elapsed_s=round(self._elapsed_s + time.monotonic() - self._begun, 3),
            finished=finished,
            problem=problem,
        )

    def _earlier(self) -> SynthesisManifest | None:
        """What an earlier pod left; None if there was none, or it is of no use (then all is spoken anew)."""
        try:
            data = self._store.get(self._progress_key)
        except store.NoSuchObject:
            return None
        try:
            earlier = codec.loads(SynthesisManifest, data, self._progress_key)
        except codec.Malformed as error:
            log.warning("every line is spoken anew: %s", error)
            return None
        return earlier if (earlier.voice, earlier.step) == (self._order.voice, self._order.step) else None


def run(order: SynthesisOrder, environment: Environment, stopping: threading.Event) -> SynthesisManifest | None:
    """Speak all lines; returns the manifest, None if an earlier pod wrote it.

    Raises Stopped after saving, and any other Ending after saying it in the progress too.
    """
    kept = patience.PatientStore(environment.open_store(), stopping)
    try:
        record = _Record(order, kept)
        if record.finished():
            log.info("the manifest is there already: nothing to do")
            return None
        todo, ready = _prepare(order, environment, stopping, kept, record)
    except store.StoreUnavailable as error:  # a patient store raises it only once we were told to stop
        raise Stopped("Stopped", f"asked to stop while the store was away ({error})") from None
    done = record.open(len(todo))
    with tqdm.tqdm(total=len(todo), initial=done, unit="line", disable=None) as bar:
        for line in todo:
            if record.has(line):
                continue
            if stopping.is_set():
                record.save()
                raise Stopped("Stopped", f"asked to stop with {bar.n} of {len(todo)} lines done; all of them are saved")
            _deal_with(line, order, ready.speaker, kept, record)
            bar.update()
    return record.finish()


def _prepare(
    order: SynthesisOrder, environment: Environment, stopping: threading.Event, kept: Store, record: _Record
) -> tuple[tuple[Line, ...], loading.Ready]:
    """The lines and the voice; why there are none is in the progress when this raises, unless we were told to stop."""
    try:
        return lines.read(order.input, kept), loading.load(order, environment, stopping)
    except Stopped:
        raise
    except Ending as ending:
        record.save(Problem(reason=ending.reason, message=ending.message))
        raise


def _deal_with(line: Line, order: SynthesisOrder, speaker: Speaker, kept: Store, record: _Record) -> None:
    """Speak one line into its file, or record why not."""
    if line.item is None:
        assert line.fault is not None
        record.failed(FailedItem(id=line.id, line=line.number, reason="BadLine", message=line.fault))
        return
    try:
        record.succeeded(_speak(line.item, order, speaker, kept))
    except Refused as refused:
        record.failed(
            FailedItem(
                id=line.id,
                line=line.number,
                reason=refused.reason,
                message=refused.message,
                position=refused.position,
            )
        )


def _speak(item: Item, order: SynthesisOrder, speaker: Speaker, kept: Store) -> SynthesisedItem:
    asked = order.settings
    settings = orders.SynthesisSettings(
        length=asked.length,
        sdp_ratio=asked.sdp_ratio,
        noise=asked.noise,
        noise_w=asked.noise_w,
        seed=asked.seed,
        speaker=item.speaker or asked.speaker,
    )
    speaker.check(item.text, settings, MOST_CHARACTERS)
    spoken = speaker.say(item.text, settings)
    name = encoding.BATCH_FORMATS[order.output_format]
    data = encoding.encode(spoken, name)
    key = layout.synthesis_item(order.output_prefix, item.id, name)
    kept.put(key, data, encoding.MEDIA_TYPES[name])
    return SynthesisedItem(id=item.id, key=key, sha256=store.digest_bytes(data), duration_s=round(spoken.duration_s, 3))
