"""Orders the training and runs it: the same order and the same program that a pod gets, with the progress in sight."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kelong_contract import codec, corpora, layout, manifests, names, orders
from kelong_contract.store import NoSuchObject, Store, digest_bytes

from kelong_demo import material, processes, settings

VOICE_NAME = "demo"
SPEAKER = "Demo"
CHECKPOINTS = 3
POLL_S = 0.5


class TrainingEnded(Exception):
    """Training ended before its last step; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A checkpoint that exists, and the digest of its manifest."""

    number: int
    manifest_sha256: str


def order(asked: settings.Settings, prepared: material.Material) -> orders.TrainingOrder:
    """What the trainer is asked to do: the `tiny` preset, from scratch, on the CPU.

    A review has a place of its own, in which nothing is ever trained and so nothing is frozen.
    """
    uid = prepared.review_uid if asked.review else prepared.uid
    return orders.TrainingOrder(
        voice=orders.VoiceName(namespace=material.NAMESPACE, name=VOICE_NAME, uid=uid),
        speakers=(orders.Speaker(name=SPEAKER),),
        dataset=orders.Dataset(type="S3", prefix=prepared.prefix),
        model=orders.Model(preset="tiny", sources=orders.Sources(recogniser=prepared.recogniser)),
        training=orders.Training(max_steps=asked.steps, interval_steps=-(-asked.steps // CHECKPOINTS)),
        auditions=(orders.AuditionText(name="greeting", text=asked.text),),
        review=asked.review,
    )


def train(asked: orders.TrainingOrder, order_file: Path, store: Store, environment: Mapping[str, str]) -> None:
    """Runs the trainer to its last step; it goes on from whatever an earlier run left. Raises TrainingEnded."""
    order_file.write_bytes(codec.dumps(asked))
    with processes.running("kelong_trainer", ["--order", str(order_file)], environment) as trainer:
        try:
            code = trainer.wait()
        except KeyboardInterrupt:
            print("\nStopping; the trainer saves its state first.")
            code = processes.end(trainer)
    if code == names.EXIT_SAVED:
        raise TrainingEnded("Training was stopped and its state saved. Run the same command again to go on.")
    if code != names.EXIT_DONE:
        raise _ended(code, asked, store)


def prepare(asked: orders.TrainingOrder, order_file: Path, store: Store, environment: Mapping[str, str]) -> None:
    """Runs the trainer until it waits for a review, and ends it then. Raises TrainingEnded."""
    before = _progress(asked, store)
    order_file.write_bytes(codec.dumps(asked))
    with processes.running("kelong_trainer", ["--order", str(order_file)], environment) as trainer:
        while trainer.poll() is None:
            now = _progress(asked, store)
            if now is not None and now.stage == "review" and (before is None or now.attempt > before.attempt):
                return
            time.sleep(POLL_S)
        raise _ended(trainer.returncode, asked, store)


def _ended(code: int, asked: orders.TrainingOrder, store: Store) -> TrainingEnded:
    if code < 0:
        return TrainingEnded(
            f"Training was killed by signal {-code}, most often for want of memory; close other programs."
        )
    return TrainingEnded(f"Training ended with code {code}: {_problem(asked, store)}")


def report(asked: orders.TrainingOrder, store: Store) -> corpora.CorpusReport:
    """What became of the recordings."""
    data = store.get(layout.corpus_report(asked.voice.place()))
    return codec.loads(corpora.CorpusReport, data, "the corpus report")


def last_step(asked: orders.TrainingOrder, store: Store) -> Step:
    """The newest checkpoint that can be promoted; raises TrainingEnded where there is none."""
    place = asked.voice.place()
    found = (layout.checkpoint_step(place, stored.key) for stored in store.list(layout.checkpoints(place)))
    for number in sorted((step for step in found if step is not None), reverse=True):
        data = store.get(layout.checkpoint_manifest(place, number))
        if codec.loads(manifests.CheckpointManifest, data, f"the manifest of step {number}").listed:
            return Step(number=number, manifest_sha256=digest_bytes(data))
    raise TrainingEnded("Training ended without a checkpoint. Start again with more STEPS.")


def _problem(asked: orders.TrainingOrder, store: Store) -> str:
    """The trainer's own last sentence, as a cluster's operator would show it."""
    progress = _progress(asked, store)
    if progress is None:
        return "it could not even begin; the reason stands above."
    return progress.problem.message if progress.problem else "the reason stands above."


def _progress(asked: orders.TrainingOrder, store: Store) -> manifests.Progress | None:
    try:
        data = store.get(layout.progress(asked.voice.place()))
    except NoSuchObject:
        return None
    return codec.loads(manifests.Progress, data, "the progress")
