"""bfloat16 is used where it is fast; elsewhere training says once that it computes in full precision."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from kelong_contract import codec, names, orders
from kelong_speech import device
from kelong_trainer import launch
from kelong_trainer.training import beginning, step

CPU = torch.device("cpu")


def test_a_cpu_is_fast_with_bfloat16_if_it_multiplies_it_in_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.platform, "machine", lambda: "x86_64")
    for flags, fast in (
        ({}, False),
        ({"avx512_vnni": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags)
        assert device.fast_bfloat16(CPU) is fast
    monkeypatch.setattr(device.platform, "machine", lambda: "aarch64")
    for features, fast in (("fp asimd", False), ("fp asimd i8mm bf16 dgh", True)):
        monkeypatch.setattr(device, "_cpu_features", lambda features=features: features)
        assert device.fast_bfloat16(CPU) is fast


@pytest.mark.parametrize(("fast", "used"), [(True, "BF16"), (False, "FP32")])
def test_bf16_is_computed_in_full_precision_where_it_is_slow(
    monkeypatch: pytest.MonkeyPatch, caplog, fast, used
) -> None:
    monkeypatch.setattr(device, "fast_bfloat16", lambda _: fast)
    assert step.precision(orders.Training(precision="BF16"), CPU) == used
    assert ("no fast bfloat16" in caplog.text) is not fast
    assert step.precision(orders.Training(precision="FP32"), CPU) == "FP32"


def test_a_step_in_mixed_precision_has_nearly_the_losses_of_one_in_full(workshop) -> None:
    options = {"duration_discriminator": "On"}
    full = step.run(workshop.state(**options), workshop.batch(), 1e-3, workshop.settings(**options))
    at = workshop.state(**options)
    mixed = dataclasses.replace(workshop.settings(**options), precision="BF16")
    half = step.run(at, workshop.batch(), 1e-3, mixed)
    for name in ("mel", "divergence", "durations", "feature_match"):
        assert half.losses[name] == pytest.approx(full.losses[name], rel=0.1), name
    assert all(
        tensor.dtype == torch.float32 for tensor in at.generator.state_dict().values() if tensor.is_floating_point()
    )


def test_status_tells_what_is_computed_in(bench, run_here) -> None:
    order = bench.order(max_steps=1, interval_steps=1, precision="BF16")
    assert run_here(codec.dumps(order).decode()) == names.EXIT_DONE
    assert bench.progress().precision == ("BF16" if device.fast_bfloat16(CPU) else "FP32")


@pytest.fixture
def slow_context(bench, monkeypatch: pytest.MonkeyPatch):
    """A trainer whose order asks for bfloat16, on a processor that is slow with it."""
    monkeypatch.setattr(device, "fast_bfloat16", lambda _: False)
    return dataclasses.replace(bench.context(), order=bench.order(precision="BF16"))


def test_a_rank_computes_in_what_the_first_one_says(bench, slow_context) -> None:
    seat = launch.Seat(rank=1, size=2)
    alone = beginning.make(slow_context, bench.corpus(), None, seat)
    told = beginning.make(slow_context, bench.corpus(), None, seat, "BF16")
    assert (alone.settings.precision, told.settings.precision) == ("FP32", "BF16")
    assert slow_context.telemetry.progress.precision == "BF16"


def test_a_resume_in_another_precision_says_so(bench, slow_context, caplog: pytest.LogCaptureFixture) -> None:
    training = beginning.make(slow_context, bench.corpus(), None, launch.Seat())
    now = beginning.facts(slow_context, training, launch.Seat())
    assert now.precision == "FP32"
    caplog.clear()
    beginning.compare(now, now)
    beginning.compare(dataclasses.replace(now, precision=None), now)  # a step that was saved without this note
    assert not caplog.records
    beginning.compare(dataclasses.replace(now, precision="BF16"), now)
    assert "precision was BF16 and is FP32 now" in caplog.text
