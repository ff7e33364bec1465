"""Files decoded by another process: a file that crashes a decoder, or keeps it busy for ever, ends no run.

Called by whoever reads recordings (`sources.recordings`). One `decoder` process serves one file after the other, since
starting it takes longer than decoding a short clip; after a crash the next file gets a new one. Samples come through a
pipe as they are wanted, a few blocks ahead: nothing lies on the disk, memory stays flat, and both processes work at the
same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from kelong_trainer.corpus.sound import decoder, media

# Blocks that the decoder may be ahead.
AHEAD: Final = 4
# A block is less than a second of sound for most files: who gives none for so long will give none.
MOST_WAIT_S: Final = 300.0
START_WAIT_S: Final = 120.0
LEAVE_WAIT_S: Final = 10.0
MOST_VALUES: Final = 1 << 28  # a gigabyte of samples in one block
MOST_JSON_BYTES: Final = 1 << 20
# What the decoder is told of our environment: no keys of stores are in it.
PASSED_ON: Final = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "PYTHONDONTWRITEBYTECODE",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
)
# One file at a time, decoded by one thread of numpy's; more arenas would be taken for memory that is in use.
SET: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class Crashed(media.Undecodable):
    """The decoder ended or hung while it read a file; `is_lasting` where it would do so again."""

    def __init__(self, message: str, *, is_lasting: bool) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting


class Unstartable(Exception):
    """No decoder can be started on this machine; the message says why."""


class Decoder:
    """A process that decodes one file at a time. It is started when it is first needed, and again after a crash."""

    def __init__(self, most_wait_s: float = MOST_WAIT_S) -> None:
        self.most_wait_s = most_wait_s
        self._process: subprocess.Popen[bytes] | None = None
        self.is_busy = False

    def read(self, path: pathlib.Path, check: Callable[[], None] = lambda: None) -> Reader:
        """The sound of a file, as `media.Reader` gives it. `check` is called now and then and may raise."""
        return Reader(self, path, check)

    def open(self, path: pathlib.Path, check: Callable[[], None]) -> None:
        """Begin with a file; what was not read of the one before is left."""
        self.leave()
        if self._process is None:
            self._start(check)
        name = os.fsencode(path.absolute())
        self.is_busy = True
        self.send(decoder.OPEN + decoder.LENGTH.pack(len(name)) + name + AHEAD * decoder.NEXT)

    def leave(self) -> None:
        """End a file early; a decoder that does not let go of it at once is ended itself."""
        if not self.is_busy:
            return
        try:
            self.send(decoder.LEAVE)
            until_s = time.monotonic() + LEAVE_WAIT_S
            while self.is_busy and time.monotonic() < until_s:
                self.message(lambda: None, LEAVE_WAIT_S)
        except Crashed:
            self.kill()
        if self.is_busy:
            self.kill()

    def close(self) -> None:
        """End the process."""
        if self._process is not None and not self.is_busy:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()  # upon which it ends by itself
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE_WAIT_S)
        self.kill()

    def kill(self) -> int:
        """End the process at once; its exit code, negative for a signal, 0 if there is none."""
        process, self._process, self.is_busy = self._process, None, False
        if process is None:
            return 0
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel cannot be waited for
            process.wait(LEAVE_WAIT_S)
        return process.returncode or 0

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return None if self._process is None else self._process.pid

    def _start(self, check: Callable[[], None]) -> None:
        command = [sys.executable, "-P", "-m", decoder.__name__]
        told = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | SET
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=told, bufsize=0, start_new_session=True
            )
            kind, _ = self.message(check, START_WAIT_S)
        except OSError as error:
            raise Unstartable(f"no process can be started to decode with: {error.strerror}") from error
        except Crashed as error:
            raise Unstartable(f"the process that decodes does not start: {error}") from error
        if kind != decoder.READY:
            self.kill()
            raise Unstartable("the process that decodes does not say that it is ready")

    def send(self, data: bytes) -> None:
        """Tell the process something; raises Crashed if it has ended."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            raise self._ended() from None

    def message(self, check: Callable[[], None], most_wait_s: float) -> tuple[bytes, Any]:
        """What the process says next: its kind, and a Block or a document. Raises Crashed, and what `check` raises."""
        kind = bytes(self._receive(1, check, most_wait_s))
        if kind == decoder.READY:
            return kind, None
        if kind == decoder.BLOCK:
            head = self._receive(decoder.BLOCK_HEAD.size, check, most_wait_s)
            rate_hz, channels, count = decoder.BLOCK_HEAD.unpack(head)
            if not 0 < channels * count <= MOST_VALUES:
                raise self._nonsense()
            data = self._receive(4 * channels * count, check, most_wait_s)
            samples = np.frombuffer(data, "<f4").reshape(channels, count)
            return kind, media.Block(rate_hz=rate_hz, samples=samples)
        if kind not in (decoder.FACTS, decoder.END, decoder.REFUSED, decoder.FAILED):
            raise self._nonsense()
        [length] = decoder.LENGTH.unpack(self._receive(decoder.LENGTH.size, check, most_wait_s))
        if length > MOST_JSON_BYTES:
            raise self._nonsense()
        document = json.loads(self._receive(length, check, most_wait_s))
        self.is_busy = kind == decoder.FACTS
        return kind, document

    def _receive(self, count: int, check: Callable[[], None], most_wait_s: float) -> bytearray:
        assert self._process is not None and self._process.stdout is not None
        received, place = bytearray(count), 0
        view, file = memoryview(received), self._process.stdout.fileno()
        until_s = time.monotonic() + most_wait_s
        while place < count:
            while not select.select([file], [], [], 1.0)[0]:
                check()
                if time.monotonic() > until_s:
                    self.kill()
                    raise Crashed(f"the decoder gave nothing for {most_wait_s:.0f} s", is_lasting=False)
            got = os.readv(file, [view[place:]])
            if not got:
                raise self._ended()
            place += got
            until_s = time.monotonic() + most_wait_s
        return received

    def _ended(self) -> Crashed:
        """It closed its end, which it never does by itself."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            # The pipe may be closed a moment before the process is gone.
            self._process.wait(LEAVE_WAIT_S)
        code = self.kill()
        if code >= 0:
            return Crashed(f"the decoder ended on it (exit code {code})", is_lasting=True)
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        # SIGKILL is somebody else's: who ran out of memory, or was stopped, may fare better another time.
        return Crashed(f"the decoder crashed on it ({name})", is_lasting=-code != signal.SIGKILL)

    def _nonsense(self) -> Crashed:
        self.kill()
        return Crashed("the decoder gave what is no sound", is_lasting=True)


class Reader:
    """The sound of one file, decoded by another process; otherwise like `media.Reader`. Raises Crashed too."""

    def __init__(self, by: Decoder, path: pathlib.Path, check: Callable[[], None]) -> None:
        self._by, self._path, self._check = by, path, check
        self.damaged = 0
        self.codec = ""
        self.places: tuple[str, ...] = ()

    def blocks(self) -> Iterator[media.Block]:
        """From the beginning, again for each call. Raises Undecodable where nothing can be read at all."""
        self._by.open(self._path, self._check)
        try:
            while True:
                kind, told = self._by.message(self._check, self._by.most_wait_s)
                if kind == decoder.BLOCK:
                    yield told
                    self._check()
                    self._by.send(decoder.NEXT)
                elif kind == decoder.FACTS:
                    self.codec, self.places = str(told["codec"]), tuple(told["places"])
                else:
                    break
        finally:
            self._by.leave()
        if kind == decoder.REFUSED:
            raise media.Undecodable(str(told["message"]))
        if kind == decoder.FAILED:
            raise OSError(told["errno"], str(told["message"]))
        self.damaged = int(told["damaged"])
