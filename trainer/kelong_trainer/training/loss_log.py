"""The loss log of one attempt: a line per step, kept in a local file and uploaded whole now and then.

An object store cannot append. The upload runs on a thread of its own and takes longer breaks the longer it takes.
"""

from __future__ import annotations

import json
import logging
import pathlib
import threading
import time

from kelong_contract import codec, manifests
from kelong_contract.store import Store, StoreError

log = logging.getLogger(__name__)

UPLOAD_INTERVAL_S = 5.0
UPLOAD_SHARE = 0.05  # of the time at most is spent uploading


class LossLog:
    """Lines of one attempt. `close` uploads the last of them."""

    def __init__(self, store: Store, key: str, path: pathlib.Path) -> None:
        self._store, self._key, self._path = store, key, path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)  # one write per line: an upload never sees half of one
        self._closing, self._uploading = threading.Event(), threading.Lock()
        self._written = self._uploaded = 0
        self._thread = threading.Thread(target=self._run, name="loss log", daemon=True)
        self._thread.start()

    def add(self, line: manifests.LossLine) -> None:
        """Note a step."""
        self._file.write((json.dumps(codec.encode(line), allow_nan=False, sort_keys=True) + "\n").encode())
        self._written += 1

    def upload(self) -> None:
        """Bring the store's copy up to date."""
        with self._uploading:
            written = self._written
            if written > self._uploaded:
                self._store.put_file(self._key, self._path, "application/jsonl")
                self._uploaded = written

    def close(self) -> None:
        """Upload what is left and end the thread; raises StoreError if that fails."""
        self._closing.set()
        self._thread.join()
        self._file.close()
        self.upload()

    def _run(self) -> None:
        pause_s = UPLOAD_INTERVAL_S
        while not self._closing.wait(pause_s):
            started = time.monotonic()
            try:
                self.upload()
            except StoreError as error:
                log.warning("the loss log was not uploaded: %s", error)
            pause_s = max(UPLOAD_INTERVAL_S, (time.monotonic() - started) / UPLOAD_SHARE)
