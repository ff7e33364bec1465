"""Addresses of models become folders, or an error that says what to do."""

import http.server
import threading

import pytest
from kelong_contract import store
from kelong_speech import sources


@pytest.fixture
def place(tmp_path):
    place = store.FolderStore(tmp_path / "store")
    place.put("models/base/config.json", b"{}")
    place.put("models/base/deep/model.bin", b"weights")
    place.put("models/lab/own/config.json", b"own")
    return place


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_source_is_fetched_once(place, tmp_path):
    folder = sources.resolve("store:base", "lab", place, tmp_path / "cache")
    assert files_in(folder) == {"config.json": b"{}", "deep/model.bin": b"weights"}
    (folder / "mark").touch()
    assert sources.resolve("store:base/", "lab", place, tmp_path / "cache") == folder
    assert (folder / "mark").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_a_namespace_has_models_of_its_own(place, tmp_path):
    assert files_in(sources.resolve("store:./own", "lab", place, tmp_path / "cache")) == {"config.json": b"own"}
    with pytest.raises(sources.ModelSourceUnavailable):
        sources.resolve("store:./own", "elsewhere", place, tmp_path / "cache")


def test_a_changed_model_has_another_identity_and_folder(place, tmp_path):
    before = sources.identity("store:base", "lab", place), sources.resolve("store:base", "lab", place, tmp_path / "c")
    place.put("models/base/config.json", b"{} ")
    after = sources.identity("store:base", "lab", place), sources.resolve("store:base", "lab", place, tmp_path / "c")
    assert before[0] != after[0] and before[1] != after[1]
    assert files_in(after[1])["config.json"] == b"{} "


def test_a_folder_is_used_where_it_lies(place, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_bytes(b"1")
    address = f"path:{tmp_path / 'model'}"
    assert sources.resolve(address, "lab", place, tmp_path / "cache") == tmp_path / "model"
    before = sources.identity(address, "lab", place)
    (tmp_path / "model" / "b").write_bytes(b"2")
    assert sources.identity(address, "lab", place) != before


def test_none_is_nothing(place, tmp_path):
    assert sources.resolve("none", "lab", place, tmp_path) is None
    assert sources.identity("none", "lab", place) == "none"


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("store:nowhere", "upload the model's files"),
        ("path:/no/such/folder", "there is no folder /no/such/folder"),
        ("store:../recordings", "expected hub:"),
        ("large-v3", "expected hub:"),
    ],
)
def test_what_is_not_there_is_named_with_what_to_do(place, tmp_path, address, hint):
    for ask in (
        lambda: sources.identity(address, "lab", place),
        lambda: sources.resolve(address, "lab", place, tmp_path / "cache"),
    ):
        with pytest.raises(sources.ModelSourceUnavailable, match=hint) as error:
            ask()
        assert f"'{address}'" in str(error.value)


class HubWithoutTheRepository(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        """Say nothing."""


def test_a_hub_without_the_repository_is_named_with_what_can_be_done(place, tmp_path, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HubWithoutTheRepository) as hub:
        threading.Thread(target=hub.serve_forever).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        with pytest.raises(sources.ModelSourceUnavailable, match="the hub has no such public repository") as error:
            sources.resolve("hub:Nobody/nothing@main", "lab", place, tmp_path / "cache")
        hub.shutdown()
    assert "copy the model into the store" in str(error.value)
    assert "token" not in str(error.value).lower()  # no field and no Secret can give one


def test_a_hub_that_cannot_be_reached_is_named_with_what_to_do(place, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    address = "hub:Systran/faster-whisper-base@main"
    with pytest.raises(sources.ModelSourceUnavailable, match="cannot be reached"):
        sources.resolve(address, "lab", place, tmp_path / "cache")
    assert sources.identity(address, "lab", place) == address
