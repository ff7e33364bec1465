"""A step that does not fit into memory is repeated in smaller parts; that a single clip does not fit is an error."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import resource
import subprocess
import sys
from typing import Any

import pytest
import torch
from kelong_contract import codec, environment, layout, manifests, names
from kelong_trainer.context import BadOrder
from kelong_trainer.training import exhaustion, memory, ranks, step

RATE = 1e-3
CLIPS = (("a", 7, 24), ("bb", 11, 36), ("ccc", 9, 30))


class Small:
    """A memory that holds so many padded frames, as seen by the posterior encoder, and says how much it was asked."""

    def __init__(self, generator: Any, frames: int) -> None:
        self.asked: list[int] = []
        self.frames = frames
        generator.enc_q.register_forward_pre_hook(self._look)

    def _look(self, _: Any, given: tuple[Any, ...]) -> None:
        items, _, frames = given[0].shape
        self.asked.append(items * frames)
        if items * frames > self.frames:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def tensors(at: Any) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor.clone()
        for name, network in at.networks.items()
        for key, tensor in network.state_dict().items()
    }


def test_a_step_that_does_not_fit_leaves_the_state_as_it_was(workshop) -> None:
    at = workshop.state()
    batch = workshop.batch(*CLIPS)
    step.run(at, batch, RATE, workshop.settings())
    before, moments = tensors(at), copy.deepcopy(at.optimisers["generator"].state_dict())
    tight = Small(at.generator, 32)
    with pytest.raises(memory.Exhausted, match="CUDA out of memory") as raised:
        step.run(at, batch, RATE, workshop.settings(), frames_at_once=40)
    assert tight.asked == [24, 30, 36]  # the last part did not fit, and two had been learned from
    assert raised.value.repeatable and at.step == 1
    assert all(tensor.equal(before[name]) for name, tensor in tensors(at).items())
    assert all(parameter.grad is None for parameter in at.generator.parameters())
    for index, kept in at.optimisers["generator"].state_dict()["state"].items():
        assert kept["exp_avg"].equal(moments["state"][index]["exp_avg"])


def test_the_step_that_was_repeated_in_parts_teaches_what_it_would_have_whole(plain_workshop) -> None:
    batch = plain_workshop.batch(*CLIPS)
    expected = step.run(plain_workshop.state(), batch, RATE, plain_workshop.settings())
    at = plain_workshop.state()
    Small(at.generator, 60)
    with pytest.raises(memory.Exhausted):
        step.run(at, batch, RATE, plain_workshop.settings())
    again = step.run(at, batch, RATE, plain_workshop.settings(), frames_at_once=54)
    assert again.losses == pytest.approx(expected.losses, rel=1e-4)


def test_what_fails_once_weights_have_moved_cannot_be_repeated(workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    at = workshop.state()

    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(at.optimisers["generator"], "step", full)
    with pytest.raises(memory.Exhausted) as raised:
        step.run(at, workshop.batch(), RATE, workshop.settings())
    assert not raised.value.repeatable and at.torn


@pytest.mark.parametrize("network", ["discriminators", "generator"])
def test_who_loses_a_rank_while_gradients_are_summed_has_the_last_step_whole(
    workshop, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    at = workshop.state()
    step.run(at, workshop.batch(*CLIPS), RATE, workshop.settings())
    before = tensors(at)

    def reduce_gradients(_: ranks.Ranks, given: torch.nn.Module) -> None:
        if given is at.networks[network]:
            raise ranks.PeersLost("another rank is gone")

    monkeypatch.setattr(ranks.Ranks, "reduce_gradients", reduce_gradients)
    with pytest.raises(ranks.PeersLost):
        step.run(at, workshop.batch(*CLIPS), RATE, workshop.settings())
    assert not at.torn and at.step == 1
    assert all(tensor.equal(before[name]) for name, tensor in tensors(at).items())


def test_other_errors_are_not_taken_for_a_lack_of_memory(workshop) -> None:
    for message in (
        "CUBLAS_STATUS_ALLOC_FAILED when calling",
        "DefaultCPUAllocator: can't allocate memory: you tried",
        "could not create a primitive",  # oneDNN's, when there is no memory for the code that it writes
    ):
        assert exhaustion.is_exhaustion(RuntimeError(message))
    assert not exhaustion.is_exhaustion(RuntimeError("expected scalar type Float but found Half"))
    assert not exhaustion.is_exhaustion(ValueError("out of memory"))


def budget(
    bench: Any, told: list[int], *, device: str = "cpu", batch_frames: int = 400, is_shared: bool = False
) -> memory.Budget:
    return memory.Budget(bench.store, bench.place, device, batch_frames, told.append, is_shared=is_shared)


def test_the_budget_is_halved_told_and_remembered_for_this_device_and_these_batches(bench, workshop) -> None:
    told: list[int] = []
    ours = budget(bench, told)
    assert ours.frames_at_once is None
    ours.halve(workshop.batch(*CLIPS))
    assert ours.frames_at_once == 54 and told == [54]
    assert budget(bench, told).frames_at_once == 54 and told == [54, 54]
    assert budget(bench, told, device="another").frames_at_once is None
    assert budget(bench, told, batch_frames=800).frames_at_once is None


def test_ranks_share_the_smallest_budget_and_notice_that_another_has_halved_it(bench, workshop) -> None:
    ours, theirs = (budget(bench, [], device=device, is_shared=True) for device in ("NVIDIA H100", "NVIDIA L4"))
    assert not ours.is_halved_elsewhere()
    theirs.halve(workshop.batch(*CLIPS))
    assert ours.is_halved_elsewhere() and not theirs.is_halved_elsewhere()
    again = budget(bench, [], device="NVIDIA H100", is_shared=True)
    assert again.frames_at_once == 54 and not again.is_halved_elsewhere()


def test_a_single_clip_that_does_not_fit_is_an_error_that_says_what_to_do(bench, workshop) -> None:
    ours = budget(bench, [])
    ours.halve(workshop.batch(*CLIPS))
    with pytest.raises(BadOrder, match=r"with a single clip of 36 frames: give training\.resources more memory"):
        ours.halve(workshop.batch(*CLIPS))
    other = budget(bench, [], device="NVIDIA H100")
    other.halve(workshop.batch(*CLIPS))
    with pytest.raises(BadOrder, match=r"memory of NVIDIA H100 .* give training\.placement another GPU"):
        other.halve(workshop.batch(*CLIPS))


def test_a_process_on_a_cpu_gets_its_share_of_the_containers_memory_as_long_as_it_trains(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def limit(device: str = "cpu", ranks: int = 1) -> int:
        with memory.bounded(torch.device(device), ranks):
            return resource.getrlimit(resource.RLIMIT_DATA)[0]

    before = resource.getrlimit(resource.RLIMIT_DATA)[0]
    monkeypatch.setattr(environment, "memory_limit_bytes", lambda: 200 << 30)
    assert limit() == 197 << 30 and limit(ranks=4) == (197 << 30) // 4
    assert limit("cuda") == before
    monkeypatch.setattr(environment, "memory_limit_bytes", lambda: None)
    assert limit() == before and not caplog.messages
    monkeypatch.setattr(environment, "memory_limit_bytes", lambda: 1 << 20)  # it would fail at its next allocation
    assert limit() == before and "it holds" in caplog.text
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == before


# Where the second argument says so, a step finds little more memory than what the process holds by then.
PROGRAM = """
import json, resource, sys
import torch
torch.set_num_threads(1)
from kelong_contract import environment
from kelong_trainer import __main__ as door
from kelong_trainer.training import loop, memory, step
environment.memory_limit_bytes = lambda: 8 << 30
real, asked, ballast, tight = step.run, [], [], int(sys.argv[2])
def limited(state, batch, *rest):
    asked.append((len(batch.clips), rest[-1]))
    if len(asked) == tight:
        held = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData"))) * 1024
        left = resource.getrlimit(resource.RLIMIT_DATA)[0] - held
        ballast.append(torch.empty(left - (8 << 20), dtype=torch.uint8))  # counts, though nothing is written to it
        try:
            return real(state, batch, *rest)
        finally:
            ballast.clear()
    return real(state, batch, *rest)
step.run = limited
code = door.main(["--order", sys.argv[1]])
print(json.dumps(asked))
sys.exit(code)
"""


def environment_of(bench: Any) -> dict[str, str]:
    return os.environ | {
        names.ENV_STORE_URL: bench.store.root.as_uri(),
        names.ENV_WORK_DIR: str(bench.folder / "work"),
        names.ENV_THREADS: "1",
        names.ENV_METRICS_PORT: "0",
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",  # what a step has given back is not there for the next one
    }


def test_a_trainer_whose_memory_ends_goes_on_with_half_the_frames(bench) -> None:
    """The limit that the front door sets from the container's, and the allocator's real error, in a real training."""
    file = bench.folder / "order.json"
    file.write_bytes(codec.dumps(bench.order(max_steps=3, interval_steps=3)))
    variables = environment_of(bench)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file), "2"], env=variables, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == names.EXIT_DONE, ended.stderr
    assert "a step did not fit into memory" in ended.stderr
    asked = json.loads(ended.stdout.splitlines()[-1])
    assert len(asked) > 3 and asked[1][1] is None and asked[2][1] is not None
    assert bench.steps() == [3] and [line.step for line in bench.losses(1)] == [1, 2, 3]
    kept = codec.loads(manifests.MemoryBudget, bench.store.get(layout.memory(bench.place)), "memory")
    assert bench.progress().frames_at_once == kept.frames_at_once == asked[-1][1]


NEVER = 0
PATIENCE_S = 900.0  # for machines that do much else meanwhile


def trained_together(bench: Any, port: int, *, tight: int) -> list[tuple[int, str]]:
    """How two ranks end, and what they say; the second one's memory ends in the step `tight` of its process."""
    file = bench.folder / "order.json"
    order = bench.order(max_steps=4, interval_steps=4, workers=2, batch_frames=1000)
    file.write_bytes(codec.dumps(order))
    meet = {names.ENV_RENDEZVOUS: f"127.0.0.1:{port}", "GLOO_SOCKET_IFNAME": "lo"}
    with contextlib.ExitStack() as opened:
        begun = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(file), str(tight if rank == 1 else NEVER)],
                env=environment_of(bench) | meet | {names.ENV_RANK: str(rank), names.ENV_WORKER_INDEX: str(rank)},
                stdin=subprocess.PIPE,  # a rank stops once this is closed
                stdout=subprocess.DEVNULL,
                stderr=opened.enter_context((bench.folder / f"errors-{rank}").open("wb")),
            )
            for rank in (0, 1)
        ]
        bench.processes.extend(begun)
        codes = [process.wait(timeout=PATIENCE_S) for process in begun]
        for process in begun:
            assert process.stdin is not None
            opened.enter_context(process.stdin)
    return [(code, (bench.folder / f"errors-{rank}").read_text()) for rank, code in enumerate(codes)]


@pytest.mark.parametrize("tight", [1, 3])
def test_ranks_of_which_ones_memory_ends_begin_again_with_half_the_frames_and_lose_no_step(
    bench, unused_port: int, tight: int
) -> None:
    (first, said), (second, why) = trained_together(bench, unused_port, tight=tight)
    assert (first, second) == (names.EXIT_SAVED, names.EXIT_SAVED), said + why
    assert "training begins again at the last saved step, in smaller pieces" in why
    assert "a step did not fit into another rank's memory" in said
    kept = codec.loads(manifests.MemoryBudget, bench.store.get(layout.memory(bench.place)), "memory")
    assert kept.frames_at_once is not None
    assert bench.steps() == ([] if tight == 1 else [2])  # the step before the one that failed, though it was not due

    assert [code for code, _ in trained_together(bench, unused_port, tight=NEVER)] == [names.EXIT_DONE] * 2
    assert bench.progress().resumed_from == tight - 1
    assert [line.step for line in bench.losses(2)] == list(range(tight, 5))
    assert bench.progress().frames_at_once == kept.frames_at_once
