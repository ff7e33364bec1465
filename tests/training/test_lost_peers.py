"""Ranks that cannot work together end with a code that is counted, and with the words of what went wrong."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.distributed as dist
from kelong_contract import conditions, orders
from kelong_trainer.context import Faulty
from kelong_trainer.training import ranks

LOST = ranks.PeersLost("another rank is gone or failed (Connection closed by peer)")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Two ranks' sum, with the error that their network raises."""

    def fail(message: str) -> None:
        def all_reduce(*_: object, **__: object) -> None:
            raise RuntimeError(message)

        monkeypatch.setattr(dist, "all_reduce", all_reduce)
        ranks.Ranks(size=2, group=object()).sum(torch.ones(1))  # type: ignore[arg-type]

    return fail


def test_a_lack_of_memory_between_ranks_is_left_for_the_step_to_cure(failing) -> None:
    with pytest.raises(RuntimeError, match="can't allocate memory") as raised:
        failing("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried 5 bytes")
    assert not isinstance(raised.value, ranks.PeersLost)


def test_any_other_error_between_ranks_is_told_in_its_own_words(failing) -> None:
    with pytest.raises(ranks.PeersLost, match="tensors of 3 and 4 elements"):
        failing("tensors of 3 and 4 elements. More\nand more")


def test_the_first_rank_that_loses_the_others_before_a_step_is_counted() -> None:
    with (
        pytest.raises(Faulty, match=r"no step was finished since the ranks met: .*Connection closed by peer"),
        ranks.counted_until(lambda: False, leads=True),
    ):
        raise LOST


@pytest.mark.parametrize(("stepped", "leads"), [(True, True), (False, False), (True, False)])
def test_who_loses_the_others_later_or_follows_begins_again_uncounted(stepped: bool, leads: bool) -> None:
    with pytest.raises(ranks.PeersLost), ranks.counted_until(lambda: stepped, leads=leads):
        raise LOST


def test_ranks_that_cannot_be_joined_end_with_a_counted_code_and_say_why(bench, monkeypatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nosuch0")
    code, errors = bench.run(dataclasses.replace(bench.order(), device=orders.Device(ranks=2)))
    assert code == 1, errors
    assert "no step was finished since the ranks met" in errors, errors[-3000:]
    assert "nosuch0" in errors
    assert "Traceback" not in errors
    problem = bench.progress().problem
    assert problem.reason == conditions.TRAINING_FAILED and "nosuch0" in problem.message
