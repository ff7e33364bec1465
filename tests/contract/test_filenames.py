"""Names that are not UTF-8: what they are read as, and that what was read is found again."""

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import codec, filenames, store


def make(folder: pathlib.Path, name: bytes, content: bytes = b"sound") -> None:
    path = os.path.join(os.fsencode(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("录音 1.wav".encode("gb18030"), "录音 1.wav"),
        ("录音/早上.wav".encode("gb18030"), "录音/早上.wav"),
        ("录音/".encode() + "早上.wav".encode("gb18030"), "录音/早上.wav"),
        (b"caf\xe9.wav", "caf\\xe9.wav"),
    ],
)
def test_a_name_that_is_not_utf_8_is_read_and_found_by_what_was_read(
    tmp_path: pathlib.Path, name: bytes, key: str
) -> None:
    make(tmp_path, name)
    place = store.FolderStore(tmp_path)
    (item,) = place.list("")
    assert (item.key, item.is_guessed) == (key, True)
    assert codec.digest(item.key)
    assert place.exists(key) and place.get(key) == b"sound"
    place.get_file(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"sound"
    (tmp_path / "copy").unlink()
    place.put(key, b"other")
    assert [item.key for item in place.list("")] == [key], "an object is replaced where it lies"
    place.delete(key)
    assert not list(place.list(""))


def test_two_names_that_mean_the_same_stay_two_files(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "早.wav".encode(), b"one")
    make(tmp_path, "早.wav".encode("gb18030"), b"two")
    place = store.FolderStore(tmp_path)
    assert {item.key: place.get(item.key) for item in place.list("")} == {"早.wav": b"one", "\\xd4\\xe7.wav": b"two"}


def test_a_folder_that_is_not_utf_8_can_be_a_prefix(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "录音/早上.wav".encode("gb18030"))
    make(tmp_path, "录音室.wav".encode("gb18030"))
    assert [item.key for item in store.FolderStore(tmp_path).list("录音/")] == ["录音/早上.wav"]


def test_names_in_utf_8_are_not_guessed_at(tmp_path: pathlib.Path) -> None:
    for name in ("录音.wav", "a.wav", "odd\\xe9.wav"):
        make(tmp_path, name.encode())
    listed = list(store.FolderStore(tmp_path).list(""))
    assert [item.key for item in listed] == ["a.wav", "odd\\xe9.wav", "录音.wav"]
    assert not any(item.is_guessed for item in listed)


def test_links_to_folders_are_named_and_not_followed(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "elsewhere", b"a.wav")
    make(tmp_path / "store", b"in/b.wav")
    for name in ("in/link", "out"):
        (tmp_path / "store" / name).symlink_to(tmp_path / "elsewhere")
    place = store.FolderStore(tmp_path / "store")
    assert [item.key for item in place.list("")] == ["in/b.wav"]
    assert list(place.linked_folders("")) == ["in/link", "out"]
    assert list(place.linked_folders("in/")) == ["in/link"]


NAME = st.binary(min_size=1, max_size=12).filter(lambda raw: not {0, ord("/")} & set(raw) and raw not in (b".", b".."))


@settings(max_examples=200, deadline=None)
@given(st.lists(NAME, min_size=1, max_size=2))
def test_any_bytes_are_a_name_that_is_found_again(parts: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        make(root, b"/".join(parts))
        path = root.joinpath(*map(os.fsdecode, parts))
        key = filenames.key(root, path)
        assert key.encode() and filenames.find(root, key) == path
