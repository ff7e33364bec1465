from pathlib import Path

import pytest
from kelong_contract import store
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
