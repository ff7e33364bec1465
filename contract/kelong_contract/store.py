"""The object store: one small interface over an S3 bucket (MinIO client) and over a folder (laptop, tests).

A key is a relative path with `/` between its parts; `kelong_contract.layout` is the only place that makes one.
Both stores keep the same promises, proven by one test run against both:
`put` is atomic (a reader sees the old object or the new one, never a part), `create` succeeds for one caller only.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import io
import os
import pathlib
import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import minio
import urllib3

from kelong_contract import filenames

CHUNK_BYTES = 1 << 20
PRESIGN_TTL = datetime.timedelta(minutes=5)
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class StoreError(Exception):
    """The store could not do what was asked; the message names the key and the reason."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or refuses us for now; trying again may help."""


class LocalDiskError(StoreError):
    """A file of this machine could not be read or written; the store is not to blame, and waiting for it is no help."""


class NoSuchObject(StoreError):
    """The key does not exist."""


class AlreadyExists(StoreError):
    """`create` found the key taken."""


@dataclass(frozen=True)
class StoredObject:
    """One object in a listing. `etag` changes whenever the content does (it is not always a digest).

    `is_guessed` tells that its name on the disk is not UTF-8, and `key` what that was read as (`filenames`).
    """

    key: str
    size_bytes: int
    etag: str
    modified: datetime.datetime
    is_guessed: bool = False


class Store(Protocol):
    """What Kelong asks of an object store."""

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object whole, replacing what was there."""

    def put_file(self, key: str, path: pathlib.Path, content_type: str = "application/octet-stream") -> None:
        """Upload a file of any size without reading it whole into memory."""

    def create(self, key: str, data: bytes) -> None:
        """Write an object only if its key is free; raises AlreadyExists otherwise."""

    def get(self, key: str) -> bytes:
        """Read an object whole; raises NoSuchObject."""

    def get_file(self, key: str, path: pathlib.Path) -> None:
        """Download an object to a file that appears only when complete; raises NoSuchObject."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key starts with the prefix, in key order."""

    def exists(self, key: str) -> bool:
        """Whether the key exists."""

    def delete(self, key: str) -> None:
        """Remove an object; a key that does not exist is no error."""


def check_key(key: str) -> str:
    """The key itself if it is relative and free of `..`; raises StoreError otherwise."""
    parts = key.split("/")
    if not key or key.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"'{key}' is not a store key: expected a relative path without empty, '.' or '..' parts")
    return key


class FolderStore:
    """A store in a folder of the local file system, for laptops, volumes and tests. Links to folders are not followed.

    Names that are not UTF-8 have keys all the same, as `filenames` reads them.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self._staging = root / ".staging"

    def path(self, key: str) -> pathlib.Path:
        """Where the object of a key lies."""
        return filenames.find(self.root, check_key(key))

    @contextlib.contextmanager
    def _stage(self, key: str) -> Iterator[pathlib.Path]:
        """An empty file to fill and to move to its key; nothing of it stays behind when that fails."""
        with _translated(key):
            self._staging.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._staging)
            os.close(handle)
            staged = pathlib.Path(name)
            try:
                yield staged
            finally:
                staged.unlink(missing_ok=True)

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """See Store.put."""
        path = self.path(key)
        with self._stage(key) as staged:
            staged.write_bytes(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(path)

    def put_file(self, key: str, path: pathlib.Path, content_type: str = "application/octet-stream") -> None:
        """See Store.put_file."""
        target = self.path(key)
        with self._stage(key) as staged:
            _copy(path, staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)

    def create(self, key: str, data: bytes) -> None:
        """See Store.create."""
        path = self.path(key)
        with self._stage(key) as staged:
            staged.write_bytes(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._link(key, staged, path)

    def _link(self, key: str, staged: pathlib.Path, path: pathlib.Path) -> None:
        try:
            os.link(staged, path)  # link fails when the name is taken: O_EXCL, and the content appears whole
        except FileExistsError:
            raise AlreadyExists(f"'{key}' exists already in {self.root}") from None

    def get(self, key: str) -> bytes:
        """See Store.get."""
        with _translated(key):
            try:
                return self.path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise NoSuchObject(f"'{key}' does not exist in {self.root}") from None

    def get_file(self, key: str, path: pathlib.Path) -> None:
        """See Store.get_file."""
        source = self.path(key)
        if not source.is_file():
            raise NoSuchObject(f"'{key}' does not exist in {self.root}")
        with _translated(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            _copy(source, part)
            part.replace(path)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See Store.list."""
        found = []
        for path in self._below(prefix):
            key = filenames.key(self.root, path)
            if path.is_file() and key.startswith(prefix) and not key.startswith(".staging/"):
                found.append((key, path))
        for key, path in sorted(found):
            try:
                stat = path.stat()
            except FileNotFoundError:  # deleted between the walk and now: it is no longer in the store
                continue
            modified = datetime.datetime.fromtimestamp(stat.st_mtime, tz=datetime.UTC)
            etag = f"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}"
            guessed = path != self.root / key
            yield StoredObject(key=key, size_bytes=stat.st_size, etag=etag, modified=modified, is_guessed=guessed)

    def linked_folders(self, prefix: str) -> Iterator[str]:
        """The links to folders whose key starts with the prefix, in key order: what lies behind them is not listed."""
        linked = (path for path in self._below(prefix) if path.is_symlink() and path.is_dir())
        yield from sorted(key for path in linked if (key := filenames.key(self.root, path)).startswith(prefix))

    def _below(self, prefix: str) -> Iterator[pathlib.Path]:
        """Everything in the prefix's folder and below."""
        folder = prefix.rpartition("/")[0]
        return (filenames.find(self.root, folder) if folder else self.root).rglob("*")

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self.path(key).is_file()

    def delete(self, key: str) -> None:
        """See Store.delete."""
        self.path(key).unlink(missing_ok=True)


class BucketStore:
    """A store in an S3 bucket, through the MinIO client."""

    def __init__(self, client: minio.Minio, http: urllib3.PoolManager, bucket: str) -> None:
        self._client = client
        self._http = http
        self.bucket = bucket

    def make_bucket(self) -> None:
        """Create the bucket unless it exists: for trying out; an installation brings its own bucket."""
        with _translated(self.bucket):
            if not self._client.bucket_exists(self.bucket):
                self._client.make_bucket(self.bucket)

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """See Store.put."""
        with _translated(key):
            self._client.put_object(self.bucket, check_key(key), io.BytesIO(data), len(data), content_type=content_type)

    def put_file(self, key: str, path: pathlib.Path, content_type: str = "application/octet-stream") -> None:
        """See Store.put_file."""
        with _translated(key):
            self._client.fput_object(self.bucket, check_key(key), str(path), content_type=content_type)

    def create(self, key: str, data: bytes) -> None:
        """See Store.create. The MinIO client cannot send If-None-Match on a PUT, so a presigned request carries it.

        Its URL holds the access key and a signature. urllib3 shows a URL when it tries again or follows a redirect, in
        its log and in its errors: it may do neither here.
        """
        with _translated(key):
            url = self._client.presigned_put_object(self.bucket, check_key(key), expires=PRESIGN_TTL)
            headers = {"If-None-Match": "*"}
            answer = self._http.request("PUT", url, body=data, headers=headers, retries=False, redirect=False)
        if answer.status in (409, 412):
            raise AlreadyExists(f"'{key}' exists already in bucket {self.bucket}")
        if answer.status >= 500 or answer.status == 429:
            raise StoreUnavailable(f"'{key}': the store answered {answer.status}")
        if answer.status != 200:
            raise StoreError(f"'{key}': the store refused to create it ({answer.status})")

    def get(self, key: str) -> bytes:
        """See Store.get."""
        with _translated(key):
            answer = self._client.get_object(self.bucket, check_key(key))
            try:
                data: bytes = answer.read()
            finally:
                answer.close()
                answer.release_conn()
        return data

    def get_file(self, key: str, path: pathlib.Path) -> None:
        """See Store.get_file."""
        with _translated(key):
            self._client.fget_object(self.bucket, check_key(key), str(path))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See Store.list."""
        with _translated(prefix):
            for item in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield StoredObject(
                    key=item.object_name, size_bytes=item.size, etag=item.etag, modified=item.last_modified
                )

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        try:
            with _translated(key):
                self._client.stat_object(self.bucket, check_key(key))
        except NoSuchObject:
            return False
        return True

    def delete(self, key: str) -> None:
        """See Store.delete."""
        with _translated(key):
            self._client.remove_object(self.bucket, check_key(key))


class _translated:
    """Turns the client's exceptions into ours, so that callers know one tree of errors."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, minio.error.S3Error):
            if error.code in ("NoSuchKey", "NoSuchObject", "ResourceNotFound"):
                raise NoSuchObject(f"'{self.key}' does not exist") from error
            if error.code in ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"):
                raise StoreUnavailable(f"'{self.key}': {error.code}: {error.message}") from error
            raise StoreError(f"'{self.key}': {error.code}: {error.message}") from error
        if isinstance(error, minio.error.ServerError | minio.error.InvalidResponseError):
            raise StoreUnavailable(f"'{self.key}': {error}") from error
        if isinstance(error, urllib3.exceptions.HTTPError | ConnectionError | TimeoutError):
            # Without the URL that was asked for, which may carry a signature: what went wrong is enough.
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise StoreUnavailable(f"'{self.key}': the store cannot be reached: {reason}") from None
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise _local(self.key, error) from error


def open_bucket(
    *, endpoint: str, bucket: str, access_key: str, secret_key: str, region: str = "us-east-1", timeout_s: float = 30.0
) -> BucketStore:
    """A BucketStore over `endpoint` (http:// or https:// URL). No request is made yet."""
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise StoreError(f"the store endpoint '{endpoint}' is not of the form http[s]://host[:port]")
    if not _BUCKET_NAME.fullmatch(bucket):
        raise StoreError(f"'{bucket}' is not a bucket name: expected 3 to 63 of a-z, 0-9, '.' and '-'")
    http = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5.0, read=timeout_s),
        maxsize=16,
        retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
    )
    client = minio.Minio(
        parts.netloc,
        access_key=access_key,
        secret_key=secret_key,
        secure=parts.scheme == "https",
        region=region,
        http_client=http,
    )
    return BucketStore(client, http, bucket)


def digest_file(path: pathlib.Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_bytes(data: bytes) -> str:
    """The SHA-256 of the bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_listing(objects: Iterator[StoredObject]) -> str:
    """One digest of what lies under a prefix: changes when an object comes, goes or changes."""
    digest = hashlib.sha256()
    for item in objects:
        digest.update(f"{item.key}\0{item.size_bytes}\0{item.etag}\n".encode())
    return digest.hexdigest()


def _local(key: str, error: OSError) -> LocalDiskError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalDiskError(f"'{key}': the disk of this machine is full; free some space or give it a larger volume")
    where = f" {error.filename}" if error.filename else ""
    return LocalDiskError(f"'{key}': a file of this machine{where} cannot be read or written: {error.strerror}")


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
