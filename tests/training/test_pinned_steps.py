"""Steps that the operator has pinned outlive every retention."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies
from kelong_contract import codec, layout, manifests, orders, store
from kelong_trainer.training import checkpoints, state

VOICE = orders.VoiceName(namespace="default", name="mei", uid="1")
PLACE = VOICE.place()
SPEAKING = {"generator.safetensors", "config.json", "state.json", "manifest.json"}
WHOLE = {*state.FILES, "manifest.json"}


def manifest_of(step: int, *, listed: bool = True) -> manifests.CheckpointManifest:
    files = tuple(
        manifests.StoredFile(
            name=name,
            key=layout.checkpoint_file(PLACE, step, 1, name),
            sha256=store.digest_bytes(name.encode()),
            size_bytes=len(name),
        )
        for name in state.FILES
    )
    return manifests.CheckpointManifest(
        voice=VOICE,
        step=step,
        attempt=1,
        created_at="",
        order_digest="0",
        corpus_digest="0",
        preset="tiny",
        speakers={"Mei": 0},
        listed=listed,
        files=files,
    )


class Kept(store.FolderStore):
    """A store with four steps; `pinned_late` is pinned just as its manifest is being deleted."""

    pinned_late: int | None = None

    def fill(self) -> None:
        for step in (10, 20, 30, 40):
            manifest = manifest_of(step)
            for file in manifest.files:
                self.put(file.key, file.name.encode())
            self.put(layout.checkpoint_manifest(PLACE, step), codec.dumps(manifest))
            self.put(layout.audition(PLACE, step, "hello"), b"wav")

    def pin(self, *steps: int) -> None:
        self.put(layout.pins(PLACE), codec.dumps(manifests.Pins(steps=steps)))

    def delete(self, key: str) -> None:
        if self.pinned_late is not None and key == layout.checkpoint_manifest(PLACE, self.pinned_late):
            self.pin(self.pinned_late)
        super().delete(key)

    def files(self) -> list[set[str]]:
        prefixes = [layout.checkpoint(PLACE, step) for step in (10, 20, 30, 40)]
        return [{item.key.rpartition("/")[2] for item in self.list(prefix)} for prefix in prefixes]


@pytest.fixture
def kept(tmp_path) -> Kept:
    made = Kept(tmp_path / "store")
    made.fill()
    return made


def test_pinned_steps_stay_whole_until_they_are_pinned_no_more(kept: Kept) -> None:
    kept.pin(10)
    checkpoints.tidy(kept, PLACE, 2, keep_last=1)
    assert kept.files() == [WHOLE, set(), WHOLE, WHOLE]
    assert kept.exists(layout.audition(PLACE, 10, "hello"))
    kept.pin()
    checkpoints.tidy(kept, PLACE, 2, keep_last=1)
    assert kept.files()[0] == set()
    assert not kept.exists(layout.audition(PLACE, 10, "hello"))


def test_without_a_limit_pins_keep_what_a_resume_needs(kept: Kept) -> None:
    kept.pin(20)
    checkpoints.tidy(kept, PLACE, 2, keep_last=None)
    assert kept.files() == [SPEAKING, WHOLE, WHOLE, WHOLE]


@pytest.mark.parametrize("content", [b'{"steps": "all"}', b"{", b'{"format": 9, "steps": []}'])
def test_pins_that_cannot_be_read_delete_nothing_and_are_named(
    kept: Kept, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept.put(layout.pins(PLACE), content)
    checkpoints.tidy(kept, PLACE, 2, keep_last=1)
    assert kept.files() == [WHOLE] * 4
    assert layout.pins(PLACE) in caplog.text and "no checkpoint is deleted" in caplog.text


def test_a_step_that_is_pinned_while_it_is_deleted_comes_back_as_it_was(kept: Kept) -> None:
    key = layout.checkpoint_manifest(PLACE, 10)
    before = kept.get(key)
    kept.pinned_late = 10
    checkpoints.tidy(kept, PLACE, 2, keep_last=2)
    assert kept.files() == [WHOLE, set(), WHOLE, WHOLE]
    assert kept.get(key) == before
    assert kept.exists(layout.audition(PLACE, 10, "hello"))


def test_files_of_a_pinned_step_stay_even_if_no_manifest_names_them(kept: Kept) -> None:
    kept.pin(10)
    kept.delete(layout.checkpoint_manifest(PLACE, 10))  # a process that ended between deleting and putting it back
    checkpoints.tidy(kept, PLACE, 2, keep_last=None)
    assert kept.files()[0] == set(state.FILES)


MADE = strategies.lists(
    strategies.tuples(strategies.integers(1, 50), strategies.booleans()), unique_by=lambda at: at[0]
)


@hypothesis.given(made=MADE, keep_last=strategies.none() | strategies.integers(1, 5), data=strategies.data())
def test_a_pinned_step_is_never_obsolete_and_the_others_are_as_without_pins(
    made: list[tuple[int, bool]], keep_last: int | None, data: strategies.DataObject
) -> None:
    existing = [manifest_of(step, listed=listed) for step, listed in made]
    pinned = data.draw(strategies.sets(strategies.sampled_from([step for step, _ in made] or [0])))
    going = checkpoints.obsolete(existing, keep_last, pinned)
    assert pinned.isdisjoint(item.step for item in going)
    assert going == [item for item in checkpoints.obsolete(existing, keep_last, ()) if item.step not in pinned]
