"""A zip or tar of recordings to a folder, with nothing in it that leads out of that folder or fills the disk."""

from __future__ import annotations

import functools
import lzma
import pathlib
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from kelong_contract import store as stores

CHUNK_BYTES = 1 << 20
_ZIP_UTF8, _ZIP_ENCRYPTED = 0x800, 0x1
_LONGEST_PART_BYTES, _LONGEST_NAME_BYTES = 255, 2048
_OTHER_KINDS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7z",
    b"\x04\x22\x4d\x18": "LZ4",
    b"LZIP": "lzip",
}
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)


class BadArchive(Exception):
    """An archive that cannot or must not be unpacked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may hold. 20 hours of 32-bit stereo at 192 kHz are 110 GB."""

    files: int = 1_000_000
    file_bytes: int = 64 << 30
    bytes: int = 256 << 30


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A regular file in an archive."""

    name: str
    size_bytes: int
    open: Callable[[], IO[bytes]]


def unpack(
    archive: pathlib.Path, target: pathlib.Path, prefix: str, check: Callable[[], None], limits: Limits | None = None
) -> int:
    """Write the archive's files below `prefix` to the folder `target`, which appears once all are there.

    Returns how many there are. `check` is called between files and may raise to leave off. Raises BadArchive, and
    LocalDiskError where the disk is too small. Links, devices, absolute names and names with `..` are refused, not
    passed over: an archive with one of them was not made of recordings alone.
    """
    limits = limits or Limits()
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    count = total = 0
    try:
        for entry in _entries(archive):
            check()
            count += 1
            if count > limits.files:
                raise BadArchive(f"holds more than {limits.files} files: split it")
            name = _safe(entry.name)
            if name.startswith(prefix):
                total += _write(entry, part / name, _room(name, total, part, limits))
    except NotImplementedError as error:
        raise BadArchive(f"is packed in a way that cannot be unpacked here ({_words(error)}): use deflate") from None
    except _DAMAGE as error:
        raise BadArchive(f"is no zip or tar, or is damaged ({_words(error)})") from None
    part.replace(target)
    return count


@dataclass(frozen=True, kw_only=True)
class _Room:
    """How many bytes the next file may have, and what to say if it has more."""

    bytes: int
    error: Exception


def _room(name: str, total: int, folder: pathlib.Path, limits: Limits) -> _Room:
    free = shutil.disk_usage(folder).free
    rooms = (
        _Room(
            bytes=limits.file_bytes,
            error=BadArchive(f"holds '{name}' of more than {limits.file_bytes} bytes: cut it into several files"),
        ),
        _Room(bytes=limits.bytes - total, error=BadArchive(f"holds more than {limits.bytes} bytes in all: split it")),
        _Room(
            bytes=free,
            error=stores.LocalDiskError(
                f"'{name}' does not fit on this machine's disk, which has {free} bytes free: give it a larger volume"
            ),
        ),
    )
    return min(rooms, key=lambda room: room.bytes)


def _entries(archive: pathlib.Path) -> Iterator[_Entry]:
    with archive.open("rb") as file:
        magic = file.read(4)
    for start, kind in _OTHER_KINDS.items():
        if magic.startswith(start):
            raise BadArchive(f"is packed as {kind}, which cannot be unpacked here: pack it as zip, tar or tar.gz")
    yield from _zipped(archive) if magic[:2] == b"PK" else _tarred(archive)


def _zipped(archive: pathlib.Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise BadArchive(f"holds '{name}', which is no regular file: pack it without links and devices")
            if info.flag_bits & _ZIP_ENCRYPTED:
                raise BadArchive(f"holds '{name}' encrypted: pack it without a password")
            yield _Entry(name=name, size_bytes=info.file_size, open=functools.partial(packed.open, info))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: Windows in China writes GBK and does not say so; Python takes it for code page 437."""
    if info.flag_bits & _ZIP_UTF8:
        return info.filename
    try:
        return _decoded(info.filename.encode("cp437"))
    except UnicodeEncodeError:
        return info.filename


def _tarred(archive: pathlib.Path) -> Iterator[_Entry]:
    with tarfile.open(archive, "r|*") as packed:
        for member in packed:
            name = _decoded(member.name.encode("utf-8", "surrogateescape"))
            if member.isdir():
                continue
            if not member.isreg():
                raise BadArchive(f"holds '{name}', which is no regular file: pack it without links and devices")
            yield _Entry(name=name, size_bytes=member.size, open=functools.partial(_member, packed, member))


def _member(packed: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = packed.extractfile(member)
    assert file is not None  # it is a regular file
    return file


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadArchive(f"holds a name in an unknown encoding ({raw[:80]!r}): pack it with names in UTF-8")


def _safe(name: str) -> str:
    """The name as a path below the folder."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    drive = parts and len(parts[0]) > 1 and parts[0][1] == ":"
    if path.startswith("/") or drive or ".." in parts or "\0" in path or not parts:
        raise BadArchive(f"holds the name '{name}', which leads out of its folder: pack it with relative names")
    longest = max(len(part.encode()) for part in parts)
    if longest > _LONGEST_PART_BYTES or len(path.encode()) > _LONGEST_NAME_BYTES:
        raise BadArchive(f"holds the name '{name[:60]}…', which is too long: shorten it")
    return posixpath.join(*parts)


def _write(entry: _Entry, path: pathlib.Path, room: _Room) -> int:
    """How many bytes it had: what an archive says of a file's size may be a lie."""
    if entry.size_bytes > room.bytes:
        raise room.error
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise BadArchive(f"holds '{entry.name}' twice, or as a file and a folder: pack it anew") from None
    with file, entry.open() as packed:
        while chunk := packed.read(CHUNK_BYTES):
            written += len(chunk)
            if written > room.bytes:
                raise room.error
            try:
                file.write(chunk)
            except OSError as error:
                raise stores.LocalDiskError(f"'{entry.name}' cannot be unpacked: {error.strerror}") from error
    return written


def _words(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
