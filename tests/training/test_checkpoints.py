"""Which files of which steps stay, and who may write them."""

from __future__ import annotations

import pytest
import torch
from kelong_contract import codec, layout, manifests, store
from kelong_speech import config
from kelong_trainer import telemetry
from kelong_trainer.context import BadData, Stopped
from kelong_trainer.training import checkpoints, state


def _manifest(bench, step: int, *, listed: bool = True, attempt: int = 1) -> manifests.CheckpointManifest:
    files = tuple(
        manifests.StoredFile(
            name=name,
            key=layout.checkpoint_file(bench.place, step, attempt, name),
            sha256=store.digest_bytes(name.encode()),
            size_bytes=len(name),
        )
        for name in state.FILES
    )
    return manifests.CheckpointManifest(
        voice=bench.voice,
        step=step,
        attempt=attempt,
        created_at=telemetry.now(),
        order_digest="0",
        corpus_digest="0",
        preset="tiny",
        speakers={"Mei": 0},
        listed=listed,
        files=files,
    )


def _put(bench, manifest: manifests.CheckpointManifest) -> None:
    for file in manifest.files:
        bench.store.put(file.key, file.name.encode())
    bench.store.put(layout.checkpoint_manifest(bench.place, manifest.step), codec.dumps(manifest))


def _files(bench, step: int) -> set[str]:
    prefix = layout.checkpoint_manifest(bench.place, step).removesuffix("manifest.json")
    return {item.key.rpartition("/")[2] for item in bench.store.list(prefix)}


SPEAKING = {"generator.safetensors", "config.json", "state.json", "manifest.json"}
WHOLE = {*state.FILES, "manifest.json"}


def test_only_the_two_newest_steps_keep_what_a_resume_needs(bench) -> None:
    for step in (10, 20, 30, 40):
        _put(bench, _manifest(bench, step))
    checkpoints.tidy(bench.store, bench.place, 2, None)
    assert [_files(bench, step) for step in (10, 20, 30, 40)] == [SPEAKING, SPEAKING, WHOLE, WHOLE]


def test_a_step_saved_for_resuming_goes_once_two_newer_ones_exist(bench) -> None:
    for step, listed in ((10, True), (13, False), (20, True)):
        _put(bench, _manifest(bench, step, listed=listed))
    checkpoints.tidy(bench.store, bench.place, 2, None)
    assert bench.steps() == [10, 13, 20]
    _put(bench, _manifest(bench, 30))
    checkpoints.tidy(bench.store, bench.place, 2, None)
    assert bench.steps() == [10, 20, 30]
    assert _files(bench, 13) == set()


def test_keep_last_removes_older_steps_with_their_auditions(bench) -> None:
    for step in (10, 20, 30, 40):
        _put(bench, _manifest(bench, step))
        bench.store.put(layout.audition(bench.place, step, "hello"), b"wav")
    checkpoints.tidy(bench.store, bench.place, 2, keep_last=3)
    assert bench.steps() == [20, 30, 40]
    assert not bench.store.exists(layout.audition(bench.place, 10, "hello"))


def test_what_an_earlier_attempt_did_not_finish_is_removed(bench) -> None:
    orphan = layout.checkpoint_file(bench.place, 20, 1, layout.GENERATOR_FILE)
    ours = layout.checkpoint_file(bench.place, 20, 2, layout.GENERATOR_FILE)
    bench.store.put(orphan, b"half")
    bench.store.put(ours, b"being written")
    checkpoints.tidy(bench.store, bench.place, 2, None)
    assert not bench.store.exists(orphan)
    assert bench.store.exists(ours)


def test_a_file_that_is_not_as_it_was_saved_is_named(bench) -> None:
    manifest = _manifest(bench, 10)
    _put(bench, manifest)
    checkpoints.fetch(bench.store, manifest, bench.folder / "resume")
    key = manifest.file(state.OPTIMISER).key
    bench.store.put(key, b"changed")
    with pytest.raises(BadData, match=key):
        checkpoints.fetch(bench.store, manifest, bench.folder / "resume")


def test_each_process_takes_the_next_number_and_the_older_one_learns_of_it(bench) -> None:
    first = bench.lease("one")
    assert (first.attempt, first.lost()) == (1, False)
    second = bench.lease("two")
    assert (second.attempt, second.lost(), first.lost()) == (2, False, True)


def test_a_checkpoint_is_whole_and_comes_back_as_it_was(bench) -> None:
    publisher, save, committed = bench.publisher(bench.lease("one"))
    publisher.save(save)
    publisher.close()
    assert committed == [2]
    checkpoints.fetch(bench.store, bench.manifest(2), bench.folder / "resume")
    again = state.fresh(
        config.from_json((bench.folder / "resume" / layout.CONFIG_FILE).read_bytes()),
        bench.order(seed=99).training,
        torch.device("cpu"),
    )
    state.read(bench.folder / "resume", again)
    for name, tensor in save.snapshot.generator.items():
        assert again.generator.state_dict()[name].equal(tensor), name
    assert (again.step, again.position.batch) == (2, 2)


def test_a_process_that_was_overtaken_commits_nothing(bench) -> None:
    publisher, save, committed = bench.publisher(bench.lease("one"))
    bench.lease("two")
    publisher.save(save)
    with pytest.raises(Stopped, match="newer attempt"):
        publisher.close()
    assert bench.steps() == [] and committed == []


def test_a_process_that_is_overtaken_while_the_store_is_away_commits_nothing(bench) -> None:
    class Away(type(bench.store)):  # type: ignore[misc]
        """Gone when the manifest is written; back once a successor has begun."""

        def put(self, key: str, data: bytes, content_type: str = "") -> None:
            if not bench.store.exists(layout.lease(bench.place, 2)):
                bench.lease("two")
                raise store.StoreUnavailable("it is away")
            super().put(key, data, content_type)

    publisher, save, committed = bench.publisher(bench.lease("one", at=Away(bench.store.root)))
    publisher.save(save)
    with pytest.raises(Stopped, match="newer attempt"):
        publisher.close()
    assert bench.steps() == [] and committed == []


def test_weights_that_are_not_numbers_are_never_committed(bench) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"))
    next(iter(save.snapshot.generator.values())).fill_(float("nan"))
    publisher.save(save)
    with pytest.raises(BadData, match="no longer numbers"):
        publisher.close()
    assert bench.steps() == []
