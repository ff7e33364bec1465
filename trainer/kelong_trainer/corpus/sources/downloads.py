"""One file from an address to the disk: streamed, resumed where it broke off, and used only if its digest is right."""

from __future__ import annotations

import http
import logging
import pathlib
import re
import shutil
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

import urllib3
from kelong_contract import store as stores

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
MOST_REDIRECTS = 5
# Tries in a row that bring no byte, with waits that double: about four minutes in all.
MOST_TRIES = 9
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Advance = Callable[[int, int], None]


class Unavailable(Exception):
    """The address does not give the file, and asking again would not help; the message says what it answered."""


class Unreachable(Exception):
    """Nothing came for some minutes; the message says what went wrong last."""


class WrongContent(Exception):
    """The file at the address is another than the one that was ordered."""


class _TryAgain(Exception):
    """A try that failed; the next may not."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What one try brought: whether it went on where another broke off, and what kind of content it is."""

    resumed: bool
    content_type: str


def fetch(url: str, sha256: str, target: pathlib.Path, stopping: threading.Event, advance: Advance) -> None:
    """Write the file at `url` to `target`, which appears once its digest was found right.

    `advance(bytes now there, bytes in all or 0)` is called as it comes. What came before a cut, or in an attempt before
    this one, is kept beside `target` and asked for no more where the server allows ranges. Returns without a file when
    `stopping` is set. Raises Unavailable, Unreachable, WrongContent, and LocalDiskError where the disk is too small.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    answer = _insist(url, part, stopping, advance)
    if answer is not None and answer.resumed and stores.digest_file(part) != sha256:
        log.warning("%s has changed since a part of it was fetched; fetching it from the beginning", shown(url))
        part.unlink()
        answer = _insist(url, part, stopping, advance)
    if answer is None:
        return
    found = stores.digest_file(part)
    if found != sha256:
        size_bytes = part.stat().st_size
        part.unlink()
        kind = f" of the type {answer.content_type}" if answer.content_type else ""
        raise WrongContent(
            f"what {shown(url)} gave ({size_bytes} bytes{kind}) has the digest {found}, expected {sha256}: "
            "correct dataset.source.http.sha256, or put back the file it was made of"
        )
    part.replace(target)


def _insist(url: str, part: pathlib.Path, stopping: threading.Event, advance: Advance) -> _Answer | None:
    """Try until the file is there; a try that brings something begins the count anew. None when asked to stop."""
    pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False)
    tries, wait_s, resumed = 0, FIRST_WAIT_S, part.exists()
    while not stopping.is_set():
        before = _size(part)
        try:
            answer = _ask(pool, url, part, stopping, advance)
            return None if answer is None else _Answer(resumed=resumed, content_type=answer.content_type)
        except _TryAgain as error:
            came = _size(part) > before
            tries, wait_s = (1, FIRST_WAIT_S) if came else (tries + 1, min(2 * wait_s, LONGEST_WAIT_S))
            if tries >= MOST_TRIES:
                raise Unreachable(f"{shown(url)} could not be fetched in {tries} tries: {error}") from None
            resumed = True
            log.warning("%s broke off (%s); trying again in %.0f s", shown(url), error, wait_s)
        stopping.wait(wait_s)
    return None


def _ask(
    pool: urllib3.PoolManager, url: str, part: pathlib.Path, stopping: threading.Event, advance: Advance
) -> _Answer | None:
    have = _size(part)
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        response = _follow(pool, url, headers)
        try:
            if response.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                return _Answer(resumed=True, content_type="")  # all of it is there, or it is another file now
            _refuse(response, url)
            start = _start(response, part, have)
            total = start + int(response.headers.get("Content-Length") or 0)
            if total > start:
                _check_disk(part, total - start, url)
            if not _receive(response, part, start, total if total > start else 0, stopping, advance):
                return None
            return _Answer(resumed=start > 0, content_type=response.headers.get("Content-Type", ""))
        finally:
            response.close()
    except urllib3.exceptions.HTTPError as error:
        raise _TryAgain(_reason(error)) from None
    except ValueError as error:  # a Content-Length that is no number
        raise Unavailable(f"{shown(url)} does not speak HTTP as it should: {error}") from None


def _follow(pool: urllib3.PoolManager, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """The answer at the end of the redirects."""
    for _ in range(MOST_REDIRECTS + 1):
        try:
            response = pool.request("GET", url, headers=headers, preload_content=False, redirect=False)
        except (urllib3.exceptions.LocationValueError, UnicodeError):
            raise Unavailable(f"{shown(url)} is no address") from None
        location = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or not location:
            return response
        response.close()
        url = urllib.parse.urljoin(url, location)
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise Unavailable(f"{shown(url)}, where the address leads, is neither http nor https")
    raise Unavailable(f"the address leads on more than {MOST_REDIRECTS} times, last to {shown(url)}")


def _refuse(response: urllib3.BaseHTTPResponse, url: str) -> None:
    if response.status in (http.HTTPStatus.OK, http.HTTPStatus.PARTIAL_CONTENT):
        return
    words = f"{response.status} {http.client.responses.get(response.status, '')}".strip()
    if response.status in _AGAIN:
        raise _TryAgain(f"the server answered {words}")
    raise Unavailable(f"{shown(url)} answered {words}: correct dataset.source.http.url, or put the archive there")


def _start(response: urllib3.BaseHTTPResponse, part: pathlib.Path, have: int) -> int:
    """Where in the file the answer begins: where we asked, or at its beginning."""
    if response.status == http.HTTPStatus.OK:
        return 0
    told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if told is not None and int(told[1]) == have:
        return have
    if not have:
        raise Unavailable("the server answers with a part of the file that nobody asked for")
    part.unlink()
    raise _TryAgain("the server answered with another part of the file; it is now asked for all of it")


def _receive(
    response: urllib3.BaseHTTPResponse,
    part: pathlib.Path,
    start: int,
    total: int,
    stopping: threading.Event,
    advance: Advance,
) -> bool:
    """Whether all came; not if we were asked to stop."""
    done = start
    try:
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in response.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                done += len(chunk)
                advance(done, total)
                if stopping.is_set():
                    return False
    except OSError as error:
        raise stores.LocalDiskError(f"{part.name} cannot be written: {error.strerror}") from error
    return True


def _check_disk(part: pathlib.Path, needed_bytes: int, url: str) -> None:
    free_bytes = shutil.disk_usage(part.parent).free
    if needed_bytes > free_bytes:
        raise stores.LocalDiskError(
            f"{shown(url)} has {needed_bytes} bytes more, the disk of this machine {free_bytes} free: give it a "
            "larger volume"
        )


def _size(part: pathlib.Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    """What went wrong, without the address, which may carry a signature."""
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return "the server cannot be reached"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "the server does not answer"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"the connection is not secure: {error}"
    return "the connection was cut"


def shown(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
