"""An archive fetched by its address: resumed, checked, unpacked with nothing that leads out, or refused."""

import contextlib
import dataclasses
import http.server
import io
import os
import stat
import tarfile
import threading
import types
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kelong_contract import orders, store
from kelong_trainer import context
from kelong_trainer.corpus.sources import archives, downloads, recordings

FILES = {"talk/一.wav": os.urandom(300_000), "talk/b/2.mp3": os.urandom(10), "readme.txt": b"x"}


def zipped(files=FILES, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def tarred(files=FILES, mode="w:gz", extra=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        for info in extra:
            packed.addfile(info)
    return buffer.getvalue()


class Server:
    """An address that answers as it is told, and remembers what it was asked."""

    def __init__(self):
        self.data, self.type, self.ranges, self.chunked = b"", "application/zip", True, False
        self.cuts, self.statuses, self.asked = [], [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://user:secret@127.0.0.1:{self._server.server_port}/set.zip?signature=secret"
        self.shown = f"http://127.0.0.1:{self._server.server_port}/set.zip"

    def answer(self, handler):
        self.asked.append(handler.headers.get("Range"))
        if self.statuses:
            status, headers = self.statuses.pop(0)
            handler.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            return
        start = int(handler.headers["Range"][6:-1]) if self.ranges and handler.headers.get("Range") else 0
        if start >= len(self.data) > 0:
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Type", self.type)
        handler.send_header("Content-Length", str(len(self.data) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        handler.end_headers()
        end = self.cuts.pop(0) if self.cuts else len(self.data)
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(self.data[start:end])
        if end < len(self.data):
            handler.close_connection = True

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(downloads, "LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 10_000)
    server = Server()
    yield server
    server.close()


def fetch(server, tmp_path, sha256=None):
    told = []
    target = tmp_path / "archives" / "set"
    digest = sha256 or store.digest_bytes(server.data)
    downloads.fetch(server.url, digest, target, threading.Event(), lambda *progress: told.append(progress))
    assert target.read_bytes() == server.data
    return told


def test_a_file_comes_with_its_progress(server, tmp_path):
    server.data = os.urandom(100_000)
    told = fetch(server, tmp_path)
    assert told[-1] == (100_000, 100_000) and len(told) == 10
    assert server.asked == [None]


def test_a_cut_connection_is_taken_up_where_it_broke_off(server, tmp_path):
    server.data, server.cuts = os.urandom(100_000), [30_000, 70_000]
    fetch(server, tmp_path)
    assert server.asked[0] is None and len(server.asked) == 3
    begun = [int(asked[6:-1]) for asked in server.asked[1:]]
    assert 0 < begun[0] <= 30_000 and begun[0] < begun[1] <= 70_000


def test_a_server_without_ranges_is_asked_from_the_beginning(server, tmp_path):
    server.data, server.cuts, server.ranges = os.urandom(100_000), [30_000], False
    fetch(server, tmp_path)
    assert len(server.asked) == 2


def test_what_an_attempt_before_this_one_fetched_is_used(server, tmp_path):
    server.data = os.urandom(100_000)
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "set.part").write_bytes(server.data[:60_000])
    fetch(server, tmp_path)
    assert server.asked == ["bytes=60000-"]
    (tmp_path / "archives" / "set.part").write_bytes(server.data)
    fetch(server, tmp_path)


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.data = os.urandom(100_000)
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "set.part").write_bytes(os.urandom(60_000))
    fetch(server, tmp_path)
    assert server.asked == ["bytes=60000-", None]


def test_a_server_that_answers_another_part_is_asked_for_all(server, tmp_path):
    server.data, server.statuses = os.urandom(100_000), [(206, {"Content-Range": "bytes 5-9/10"})]
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "set.part").write_bytes(server.data[:60_000])
    fetch(server, tmp_path)
    assert server.asked == ["bytes=60000-", None]


def test_redirects_are_followed(server, tmp_path):
    server.data = b"data"
    server.statuses = [(302, {"Location": "/elsewhere"}), (307, {"Location": server.url})]
    fetch(server, tmp_path)
    assert len(server.asked) == 3


def test_a_server_that_is_busy_is_asked_again(server, tmp_path):
    server.data, server.statuses = b"data", [(503, {}), (429, {}), (500, {})]
    fetch(server, tmp_path)


@pytest.mark.parametrize(
    ("statuses", "why"),
    [
        ([(404, {})], "answered 404 Not Found: correct dataset.source.http.url"),
        ([(403, {})], "answered 403 Forbidden"),
        ([(302, {"Location": "file:///etc/passwd"})], "is neither http nor https"),
        ([(301, {"Location": "/again"})] * 10, "leads on more than 5 times"),
        ([(206, {"Content-Range": "bytes 5-9/10"})], "answers with a part of the file that nobody asked for"),
        ([(304, {})], "answered 304 Not Modified"),
    ],
)
def test_an_address_without_the_archive_is_refused(server, tmp_path, statuses, why):
    server.statuses = statuses
    with pytest.raises(downloads.Unavailable, match=why) as error:
        fetch(server, tmp_path, "0" * 64)
    assert "secret" not in str(error.value)


def test_a_server_that_stays_away_is_given_up_after_some_tries(server, tmp_path, monkeypatch):
    server.statuses = [(503, {})] * downloads.MOST_TRIES
    with pytest.raises(
        downloads.Unreachable, match=r"in 9 tries: the server answered 503 Service Unavailable"
    ) as error:
        fetch(server, tmp_path, "0" * 64)
    assert "secret" not in str(error.value)
    with pytest.raises(downloads.Unreachable, match="the server cannot be reached"):
        downloads.fetch("http://127.0.0.1:9/a", "0" * 64, tmp_path / "a", threading.Event(), lambda *_: None)


def test_other_content_than_was_ordered_is_refused_with_both_digests(server, tmp_path):
    server.data, server.type = b"<html>log in</html>", "text/html"
    with pytest.raises(downloads.WrongContent) as error:
        fetch(server, tmp_path, "0" * 64)
    assert str(error.value).startswith(
        f"what {server.shown} gave (19 bytes of the type text/html) has the digest {store.digest_bytes(server.data)}, "
        f"expected {'0' * 64}: correct dataset.source.http.sha256"
    )
    assert not list((tmp_path / "archives").iterdir())


def test_a_disk_that_is_too_small_is_named_before_anything_is_fetched(server, tmp_path, monkeypatch):
    server.data = b"x" * 1000
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=999))
    with pytest.raises(store.LocalDiskError, match="has 1000 bytes more, the disk of this machine 999 free"):
        fetch(server, tmp_path)


def test_a_stop_leaves_what_came_for_the_next_attempt(server, tmp_path):
    server.data, stopping = os.urandom(100_000), threading.Event()
    target = tmp_path / "set"
    downloads.fetch(server.url, store.digest_bytes(server.data), target, stopping, lambda *_: stopping.set())
    assert not target.exists()
    assert 0 < (tmp_path / "set.part").stat().st_size < 100_000


def unpack(data, tmp_path, prefix="", **limits):
    (tmp_path / "archive").write_bytes(data)
    archives.unpack(
        tmp_path / "archive", tmp_path / "out", prefix, lambda: None, archives.Limits(**limits) if limits else None
    )
    root = tmp_path / "out"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_of_any_usual_kind_is_unpacked(tmp_path, mode):
    assert unpack(zipped() if mode == "zip" else tarred(mode=mode), tmp_path) == FILES


def test_only_what_lies_below_the_prefix_is_unpacked(tmp_path):
    assert set(unpack(tarred(), tmp_path, prefix="talk/")) == {"talk/一.wav", "talk/b/2.mp3"}


def test_names_that_windows_wrote_in_china_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "made", "w") as packed:
        packed.writestr("XXXX.wav", b"1")
    data = (tmp_path / "made").read_bytes().replace(b"XXXX", "录音".encode("gbk"))
    assert unpack(data, tmp_path) == {"录音.wav": b"1"}


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "C:\\x", "..\\x", "a/..", "\\\\host\\x"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_is_refused(tmp_path, name, kind):
    data = zipped({"good.wav": b"1", name: b"2"}) if kind == "zip" else tarred({"good.wav": b"1", name: b"2"})
    with pytest.raises(archives.BadArchive, match="leads out of its folder"):
        unpack(data, tmp_path)
    assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out.part"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("bad")
    info.type, info.linkname = kind, "../../etc/passwd"
    with pytest.raises(archives.BadArchive, match="'bad', which is no regular file"):
        unpack(tarred(extra=[info]), tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "made", "w") as packed:
        info = zipfile.ZipInfo("bad")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(archives.BadArchive, match="'bad', which is no regular file"):
        unpack((tmp_path / "made").read_bytes(), tmp_path)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"file_bytes": 1000}, "of more than 1000 bytes: cut it"),
        ({"bytes": 300_005}, "more than 300005 bytes in all"),
        ({"files": 2}, "more than 2 files"),
    ],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_that_holds_too_much_is_refused(tmp_path, limits, why, pack):
    with pytest.raises(archives.BadArchive, match=why):
        unpack(pack(), tmp_path, **limits)


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path):
    data = bytearray(zipped({"a.wav": b"\0" * 100_000}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(archives.BadArchive):
        unpack(bytes(data), tmp_path)


def test_an_encrypted_zip_is_named(tmp_path):
    data = bytearray(zipped())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(archives.BadArchive, match="encrypted: pack it without a password"):
        unpack(bytes(data), tmp_path)


def test_the_same_name_twice_is_refused(tmp_path):
    with pytest.raises(archives.BadArchive, match="twice"):
        unpack(tarred({"a": b"1", "./a": b"2"}), tmp_path)
    with pytest.raises(archives.BadArchive, match="twice"):
        unpack(tarred({"a": b"1", "a/b": b"2"}), tmp_path)


@pytest.mark.parametrize(
    ("magic", "kind"), [(b"\x28\xb5\x2f\xfd", "zstd"), (b"Rar!\x1a", "RAR"), (b"7z\xbc\xaf\x27\x1c", "7z")]
)
def test_other_kinds_of_archive_are_named(tmp_path, magic, kind):
    with pytest.raises(archives.BadArchive, match=f"is packed as {kind}, which cannot be unpacked here"):
        unpack(magic + bytes(100), tmp_path)


WHOLE = {"zip": zipped({"a.wav": b"1" * 2000, "b": b"2"}), "tar": tarred({"a.wav": b"1" * 2000, "b": b"2"})}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["zip", "tar"]), cut=st.integers(0, 400), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_archive_is_refused_or_unpacked_inside_its_folder(tmp_path, kind, cut, at, byte):
    data = bytearray(WHOLE[kind])
    data[at % len(data)] = byte
    with contextlib.suppress(archives.BadArchive):
        unpack(bytes(data[: len(data) - cut % len(data)]), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"archive", "out", "out.part"}
    if (tmp_path / "out").exists():
        archives.shutil.rmtree(tmp_path / "out")


@pytest.fixture
def order(order_of):
    def make(server, sha256=None, prefix="talk"):
        digest = sha256 or store.digest_bytes(server.data)
        return order_of(dataset=orders.Dataset(type="HTTP", url=server.url, sha256=digest, prefix=prefix))

    return make


def test_an_archive_is_a_source_like_any_other_and_fetched_once(server, tmp_path, trainer, order):
    server.data = zipped()
    started = trainer(store.FolderStore(tmp_path / "store"), order(server))
    for _ in range(2):
        source = recordings.Source(started)
        assert [item.key for item in source.listing().files] == ["talk/b/2.mp3", "talk/一.wav"]
    assert len(server.asked) == 1
    assert source.name == f"'talk' in the archive {server.shown}"
    assert [path.suffix for path in (started.work_dir / "archives").iterdir()] == [""]


@pytest.mark.parametrize(
    ("data", "sha256", "statuses", "error", "reason"),
    [
        (b"x", "0" * 64, [], context.BadData, "ChecksumMismatch"),
        (b"x", None, [], context.BadData, "DatasetInvalid"),
        (b"x", None, [(404, {})], context.BadData, "DatasetUnavailable"),
        (b"x", None, [(500, {})] * 9, context.Faulty, None),
    ],
)
def test_an_archive_that_cannot_be_used_says_so(
    server, tmp_path, trainer, order, data, sha256, statuses, error, reason
):
    server.data, server.statuses = data, statuses
    with pytest.raises(error) as raised:
        recordings.Source(trainer(store.FolderStore(tmp_path / "store"), order(server, sha256)))
    assert reason is None or raised.value.reason == reason
    assert "secret" not in str(raised.value)


def test_a_stop_while_an_archive_comes_is_a_stop(server, tmp_path, trainer, order):
    server.data, stopping = os.urandom(100_000), threading.Event()
    stopping.set()
    started = trainer(store.FolderStore(tmp_path / "store"), order(server))
    with pytest.raises(context.Stopped):
        recordings.Source(dataclasses.replace(started, stopping=stopping))
