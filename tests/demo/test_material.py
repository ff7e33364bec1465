import os
from pathlib import Path

import pytest
from kelong_contract import layout, store
from kelong_demo import material, settings


def asked(tmp_path: Path, recordings: Path, recogniser: str = "path:/somewhere") -> settings.Settings:
    arguments = ["--out", str(tmp_path / "out"), "--recordings", str(recordings)]
    if recogniser:
        arguments += ["--whisper", recogniser]
    return settings.read(arguments, {}, at_terminal=False, cache=tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine" / "second").mkdir(parents=True)
    (tmp_path / "mine" / "a.wav").write_bytes(b"first")
    (tmp_path / "mine" / "second" / "录音 b.mp3").write_bytes(b"second")
    (tmp_path / "mine" / ".DS_Store").write_bytes(b"not a recording")
    return tmp_path / "mine"


def test_recordings_are_uploaded_to_where_a_cluster_would_look(tmp_path: Path, folder: Path) -> None:
    bucket = store.FolderStore(tmp_path / "store")
    prepared = material.gather(asked(tmp_path, folder))
    material.upload(prepared, bucket)
    assert prepared.prefix.startswith("recordings/demo/")
    assert [item.key for item in bucket.list("")] == [prepared.prefix + "a.wav", prepared.prefix + "second/录音 b.mp3"]
    assert bucket.get(prepared.prefix + "a.wav") == b"first"


def test_what_was_uploaded_stays(tmp_path: Path, folder: Path) -> None:
    bucket = store.FolderStore(tmp_path / "store")
    prepared = material.gather(asked(tmp_path, folder))
    material.upload(prepared, bucket)
    before = [item.modified for item in bucket.list("")]
    material.upload(prepared, bucket)
    assert [item.modified for item in bucket.list("")] == before


def test_other_recordings_or_another_recogniser_make_another_voice(tmp_path: Path, folder: Path) -> None:
    first = material.gather(asked(tmp_path, folder)).uid
    assert material.gather(asked(tmp_path, folder)).uid == first
    assert material.gather(asked(tmp_path, folder, "path:/elsewhere")).uid != first
    (folder / "a.wav").write_bytes(b"another take")
    assert material.gather(asked(tmp_path, folder)).uid != first


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(material.NoMaterial, match=r"There is no file in .*empty; put recordings there"):
        material.gather(asked(tmp_path, tmp_path / "empty"))


def test_a_folder_keeps_its_place_and_its_review_when_files_and_corrections_come_and_go(
    tmp_path: Path, folder: Path
) -> None:
    bucket = store.FolderStore(tmp_path / "store")
    before = material.gather(asked(tmp_path, folder))
    material.upload(before, bucket)
    untouched = {item.key: item.etag for item in bucket.list("")}
    (folder / "corrections.jsonl").write_bytes(b"{}\n")
    (folder / "c.wav").write_bytes(b"third")
    after = material.gather(asked(tmp_path, folder))
    material.upload(after, bucket)
    assert (after.prefix, after.review_uid) == (before.prefix, before.review_uid)
    assert after.uid != before.uid, "a voice that was trained without them is frozen"
    present = {item.key: item.etag for item in bucket.list("")}
    assert untouched.items() <= present.items()
    assert {key.removeprefix(after.prefix) for key in present.keys() - untouched} == {"corrections.jsonl", "c.wav"}


def test_what_was_changed_or_removed_is_so_in_the_store(tmp_path: Path, folder: Path) -> None:
    bucket = store.FolderStore(tmp_path / "store")
    material.upload(material.gather(asked(tmp_path, folder)), bucket)
    (folder / "a.wav").write_bytes(b"FIRST")  # as long as before
    (folder / "second" / "录音 b.mp3").unlink()
    prepared = material.gather(asked(tmp_path, folder))
    material.upload(prepared, bucket)
    assert {item.key: bucket.get(item.key) for item in bucket.list("")} == {prepared.prefix + "a.wav": b"FIRST"}


def test_names_that_are_not_utf_8_and_links_to_folders_are_told(tmp_path: Path, folder: Path) -> None:
    with open(os.path.join(os.fsencode(folder), "早.wav".encode("gb18030")), "wb") as file:
        file.write(b"morning")
    (folder / "more").symlink_to(tmp_path)
    prepared = material.gather(asked(tmp_path, folder))
    assert prepared.notes == (
        "'早.wav' has a name that is not UTF-8 on the disk: rename it.",
        "'more' is a link to a folder and is not followed.",
    )
    bucket = store.FolderStore(tmp_path / "store")
    material.upload(prepared, bucket)
    assert bucket.get(prepared.prefix + "早.wav") == b"morning"


def test_a_voice_begins_with_what_was_found_out_for_others_and_with_nothing_of_their_own(tmp_path: Path) -> None:
    bucket = store.FolderStore(tmp_path / "store")
    known, new = (layout.Voice(namespace="demo", name="demo", uid=uid) for uid in ("known", "new"))
    lent = {layout.stage(known, "files", "1"): b"heard", layout.clip(known, "2"): b"sound"}
    kept = (
        layout.corpus(known),
        layout.corpus_report(known),
        layout.stage(known, "align", "3"),
        layout.feature(known, "text", "4"),
        layout.checkpoint_manifest(known, 1),
    )
    for key, data in {**lent, **dict.fromkeys(kept, b"own")}.items():
        bucket.put(key, data)
    bucket.put(layout.stage(new, "files", "1"), b"mine")
    material.lend(bucket, new)
    material.lend(bucket, new)
    assert {item.key: bucket.get(item.key) for item in bucket.list(new.prefix)} == {
        layout.stage(new, "files", "1"): b"mine",
        layout.clip(new, "2"): b"sound",
    }
