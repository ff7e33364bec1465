"""Several processes train one voice: they find the numbers that one would have found, stop together and meet again."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import codec, names, orders
from kelong_trainer import launch
from kelong_trainer.context import BadOrder
from kelong_trainer.training import batches, ranks

RANK = pathlib.Path(__file__).with_name("one_rank.py")
PATIENCE_S = 900.0  # for machines that do much else meanwhile; nothing here takes a minute by itself


@settings(max_examples=50, deadline=None)
@given(frames=st.lists(st.integers(170, 2600), min_size=1, max_size=32), size=st.integers(1, 9))
def test_every_clip_of_a_batch_is_taken_by_one_rank_and_the_shares_are_even(frames: list[int], size: int) -> None:
    shares = batches.divide(frames, size)
    assert sorted(place for share in shares for place in share) == list(range(len(frames)))
    heavy, *_, light = sorted((sum(frames[place] for place in share) for share in (*shares, shares[0])), reverse=True)
    assert heavy - light <= max(frames)


def test_contributions_add_up_to_the_mean_over_all_items() -> None:
    each = torch.tensor([[1.0, 2.0], [3.0, 4.0], [11.0, 0.0]])
    first = ranks.Part(positions=(0, 2), items=3, frames=60, phones=12)
    second = ranks.Part(positions=(1,), items=3, frames=60, phones=12)
    assert first.mean(each[[0, 2]]) + second.mean(each[[1]]) == pytest.approx(each.mean().item())
    assert first.per_frame(torch.tensor(30.0)) == 0.5
    assert first.per_phone(torch.tensor(30.0)) == 2.5


def test_a_rank_without_an_item_of_its_own_contributes_nothing() -> None:
    lent = ranks.Part(positions=(), items=3, frames=60, phones=12)
    each = torch.tensor([[5.0, 5.0]])
    assert [lent.mean(each), lent.per_frame(each.sum()), lent.per_phone(each.sum())] == [0.0, 0.0, 0.0]


def _order(workers: int = 1, **device: Any) -> orders.TrainingOrder:
    return orders.TrainingOrder(
        voice=orders.VoiceName(namespace="default", name="mei", uid="1"),
        speakers=(orders.Speaker(name="Mei"),),
        dataset=orders.Dataset(type="S3"),
        training=orders.Training(workers=workers),
        device=orders.Device(**device),
    )


MEET = {names.ENV_RENDEZVOUS: "mei-0.mei:29400"}


@pytest.mark.parametrize(
    ("order", "variables", "expected"),
    [
        (_order(), {}, launch.Seat()),
        (_order(gpus=1), {}, launch.Seat()),
        (_order(ranks=2), {}, None),
        (_order(gpus=4), {}, None),
        (_order(workers=2), MEET, None),
        (
            _order(workers=3, ranks=2),
            MEET | {names.ENV_RANK: "3"},
            launch.Seat(rank=3, size=6, local_size=2, host="mei-0.mei", port=29400),
        ),
    ],
)
def test_a_process_knows_its_seat(order: orders.TrainingOrder, variables: dict[str, str], expected: object) -> None:
    assert launch.seat(order, variables) == expected


def test_a_rank_uses_the_gpu_of_its_number_in_its_pod() -> None:
    assert [launch.Seat(rank=rank, size=8, local_size=4).local_rank for rank in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("order", "variables", "said"),
    [
        (_order(workers=2), {}, "KELONG_RENDEZVOUS is '', expected HOST:PORT"),
        (_order(workers=2), {names.ENV_RENDEZVOUS: "mei-0.mei"}, "KELONG_RENDEZVOUS is 'mei-0.mei'"),
        (_order(workers=2), MEET | {names.ENV_WORKER_INDEX: "2"}, "JOB_COMPLETION_INDEX is '2'"),
    ],
)
def test_a_pod_that_is_not_told_where_to_meet_says_so(
    order: orders.TrainingOrder, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(BadOrder, match=said):
        launch.run(pathlib.Path("order.json"), order, variables)


def test_more_ranks_than_gpus_are_refused() -> None:
    with pytest.raises(BadOrder, match=r"device.ranks is 3, but the pod has 2 GPU"):
        launch.seat(_order(gpus=2, ranks=3), {})


def _computed(folder: pathlib.Path, size: int, port: int) -> dict[str, Any]:
    """What `size` processes find in a few steps over the same batches, by kind of voice."""
    begun = [
        subprocess.Popen(
            [sys.executable, str(RANK), str(rank), str(size), str(port), str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(size)
    ]
    assert [process.wait(timeout=PATIENCE_S) for process in begun] == [0] * size
    said = [json.loads((folder / f"found-{rank}-{size}.json").read_text()) for rank in range(size)]
    found: dict[str, Any] = said[0]
    for other in said:
        for kind, its in found.items():
            assert other[kind]["sums"] == its["sums"], f"{kind}: the ranks' weights have drifted apart"
    return found


def test_two_processes_find_what_one_finds_with_all_the_clips(tmp_path: pathlib.Path, unused_port: int) -> None:
    alone = _computed(tmp_path, 1, unused_port)
    together = _computed(tmp_path, 2, unused_port)
    every_judge = {"generator", "discriminators", "wavlm_discriminator", "duration_discriminator"}
    assert {kind: set(found["gradient_norms"][0]) for kind, found in alone.items()} == {
        "fixed": every_judge,
        "as-original": every_judge - {"duration_discriminator"},  # whose losses there depend on padding
        "small": every_judge,
    }
    for kind, ours in alone.items():
        for what in ("losses", "gradient_norms"):
            for one, two in zip(ours[what], together[kind][what], strict=True):
                assert two == pytest.approx(one, rel=1e-4), (kind, what)
        codes = pytest.approx(ours["codes"], rel=1e-4, abs=1e-5)
        assert together[kind]["codes"] == codes, f"{kind}: codebooks follow the whole batch"


@dataclasses.dataclass(frozen=True)
class Pods:
    """Training pods on this machine: the first process of each, and the ranks that it started."""

    bench: Any
    port: int

    def start(self, order: orders.TrainingOrder, index: int = 0) -> subprocess.Popen[str]:
        file = self.bench.folder / f"order-{index}.json"
        file.write_bytes(codec.dumps(order))
        process = subprocess.Popen(
            [sys.executable, "-m", "kelong_trainer", "--order", str(file)],
            env=os.environ
            | {
                names.ENV_STORE_URL: self.bench.store.root.as_uri(),
                names.ENV_WORK_DIR: str(self.bench.folder / f"work-{index}"),
                names.ENV_THREADS: "1",
                names.ENV_METRICS_PORT: "0",
                names.ENV_RENDEZVOUS: f"127.0.0.1:{self.port}",
                names.ENV_WORKER_INDEX: str(index),
                "GLOO_SOCKET_IFNAME": "lo",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.bench.processes.append(process)
        return process

    def rank_of(self, pod: subprocess.Popen[str]) -> int:
        """The process id of the first rank that a pod started."""
        children = pathlib.Path(f"/proc/{pod.pid}/task/{pod.pid}/children")
        wait_for(lambda: bool(children.read_text().split()))
        return int(children.read_text().split()[0])


def wait_for(happened: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def pods(new_bench: Callable[[str], Any], unused_port: int) -> Iterator[Callable[[str], Pods]]:
    yield lambda name: Pods(new_bench(name), unused_port)


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


def _judged(bench: Any, wavlm: pathlib.Path, **training: Any) -> orders.TrainingOrder:
    """An order for a voice that every kind of judge teaches."""
    order: orders.TrainingOrder = bench.order(duration_discriminator="On", **training)
    sources = dataclasses.replace(order.model.sources, wavlm=f"path:{wavlm}")
    return dataclasses.replace(order, model=dataclasses.replace(order.model, sources=sources))


def test_pods_whose_ranks_are_killed_meet_again_and_go_on_to_the_last_bit(
    pods: Callable[[str], Pods], wavlm_folder: pathlib.Path
) -> None:
    whole, broken = pods("whole"), pods("broken")
    plan: dict[str, Any] = {"max_steps": 12, "interval_steps": 6}

    # One pod of two ranks, never stopped.
    one_pod = dataclasses.replace(_judged(whole.bench, wavlm_folder, **plan), device=orders.Device(ranks=2))
    code, errors = _ended(whole.start(one_pod))
    assert code == names.EXIT_DONE, errors

    # Two pods of one rank each; the second is there first. Its rank is killed after the first checkpoint.
    two_pods = _judged(broken.bench, wavlm_folder, **plan, workers=2)
    second, first = broken.start(two_pods, 1), broken.start(two_pods, 0)
    wait_for(lambda: bool(broken.bench.steps()))
    os.kill(broken.rank_of(second), signal.SIGKILL)
    assert _ended(second)[0] == 128 + signal.SIGKILL
    code, errors = _ended(first)
    assert code == names.EXIT_SAVED, errors
    assert "another rank is gone" in errors
    saved = broken.bench.steps()[-1]
    assert saved < 12, "it came to its end before it was killed"
    assert saved == broken.bench.losses(1)[-1].step, "a step that was whole is lost"

    second, first = broken.start(two_pods, 1), broken.start(two_pods, 0)
    assert [_ended(process)[0] for process in (first, second)] == [names.EXIT_DONE, names.EXIT_DONE]
    assert [line.step for line in broken.bench.losses(2)] == list(range(saved + 1, 13))

    expected = {line.step: line.losses for line in whole.bench.losses(1)}
    assert {line.step: line.losses for line in broken.bench.losses(2)} == {
        step: losses for step, losses in expected.items() if step > saved
    }
    for name in ("generator.safetensors", "discriminators.safetensors", "optimiser.safetensors"):
        assert broken.bench.manifest(12).file(name).sha256 == whole.bench.manifest(12).file(name).sha256, name

    # A pod that comes back when all is done finds nothing to do, and one process alone may go on, which it says.
    assert _ended(broken.start(two_pods, 1))[0] == names.EXIT_DONE
    code, errors = whole.bench.run(_judged(whole.bench, wavlm_folder, max_steps=13, interval_steps=6))
    assert code == names.EXIT_DONE, errors
    assert "ranks was 2 and is 1 now" in errors


def test_ranks_stop_at_the_same_step_when_any_pod_is_asked_to_stop(pods: Callable[[str], Pods]) -> None:
    both = pods("both")
    order = both.bench.order(max_steps=1000, interval_steps=1000, workers=2)
    second, first = both.start(order, 1), both.start(order, 0)
    wait_for(lambda: both.bench.store.exists("voices/default/mei/1/progress.json") and both.bench.progress().step >= 2)
    second.send_signal(signal.SIGTERM)
    assert [_ended(process)[0] for process in (first, second)] == [names.EXIT_SAVED, names.EXIT_SAVED]
    assert both.bench.steps() == [both.bench.losses(1)[-1].step]
    assert not both.bench.manifest(both.bench.steps()[0]).listed


def test_a_process_that_is_killed_goes_on_to_the_last_bit(
    new_bench: Callable[[str], Any], wavlm_folder: pathlib.Path
) -> None:
    whole, broken = new_bench("whole"), new_bench("broken")
    order = _judged(whole, wavlm_folder, max_steps=12, interval_steps=6)
    assert whole.run(order)[0] == names.EXIT_DONE

    process = broken.start(order)
    wait_for(lambda: bool(broken.steps()))
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    saved = broken.steps()[-1]
    assert saved < 12, "it came to its end before it was killed"
    assert broken.run(order)[0] == names.EXIT_DONE

    assert broken.progress().resumed_from == saved
    expected = {line.step: line.losses for line in whole.losses(1)}
    found = {line.step: line.losses for line in broken.losses(2)}
    assert found == {step: expected[step] for step in range(saved + 1, 13)}
    for name in ("generator.safetensors", "discriminators.safetensors", "optimiser.safetensors"):
        assert broken.manifest(12).file(name).sha256 == whole.manifest(12).file(name).sha256, name


def test_a_pod_whose_first_rank_refuses_ends_with_its_code(pods: Callable[[str], Pods]) -> None:
    refused = pods("refused")
    model = orders.Model(preset="tiny", sources=orders.Sources(wavlm="path:/nowhere"))
    order = dataclasses.replace(refused.bench.order(), model=model, device=orders.Device(ranks=2))
    code, errors = _ended(refused.start(order))
    assert code == names.EXIT_BAD_ORDER, errors
    assert "model.sources.wavlm 'path:/nowhere'" in errors
    assert refused.bench.progress().problem.reason == "ModelSourceUnavailable"
