"""What every part of one trainer process is given, and the ways in which it can end early.

`__main__` builds the one RunContext; stages, loop and publishing take it and never look at the environment themselves.
"""

from __future__ import annotations

import pathlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kelong_contract import layout
from kelong_contract.environment import Environment
from kelong_contract.orders import TrainingOrder
from kelong_contract.store import Store

from kelong_trainer.telemetry import Telemetry

if TYPE_CHECKING:  # the front door imports this module and must answer a signal before torch is there
    import torch

PROGRAM = "kelong-trainer"  # as it calls itself when it says why it ends


class Refused(Exception):
    """The trainer cannot go on and trying again as things are would not help: `reason` is one word, for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class BadOrder(Refused):
    """The order or the environment asks for what cannot be done; exit code 64."""


class BadData(Refused):
    """Recordings, models or training itself gave nothing usable; exit code 65."""


class Stopped(Exception):
    """Asked to stop (SIGTERM) or overtaken by a newer attempt, with everything saved; exit code 75."""


class Faulty(Exception):
    """What a person may have to cure but another try might: exit code 1, which the Job's failure policy counts."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One trainer process.

    `store` tries again by itself while the store is away, so a call may take long but does not fail for that.
    `attempt` is the number of our lease. `stopping` is set on SIGTERM: call `check_stopping` wherever work can be
    left, with what is finished already in the store.
    """

    order: TrainingOrder
    order_digest: str
    attempt: int
    store: Store
    environment: Environment
    work_dir: pathlib.Path
    threads: int
    device: torch.device
    telemetry: Telemetry
    stopping: threading.Event

    @property
    def place(self) -> layout.Voice:
        """The voice's part of the store."""
        return self.order.voice.place()

    def check_stopping(self) -> None:
        """Raise Stopped if the process was asked to stop."""
        if self.stopping.is_set():
            raise Stopped("asked to stop")
