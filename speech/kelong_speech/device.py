"""Which device a pod computes on: the GPU it was given, or the CPU if it was given none. Never a quiet fallback."""

from __future__ import annotations

import logging
import pathlib
import platform
import re

import torch
from kelong_contract.orders import Device, Precision

log = logging.getLogger(__name__)

_DRIVER = pathlib.Path("/proc/driver/nvidia/version")


class GPUUnusable(Exception):
    """The pod was given a GPU and CUDA does not work on it; the message names the driver and what is needed."""


def choose(given: Device) -> torch.device:
    """The device to compute on; raises GPUUnusable unless the order allows a pod with a GPU to use the CPU."""
    if given.gpus == 0:
        return torch.device("cpu")
    reason = _why_unusable()
    if reason is None:
        return torch.device("cuda")
    if given.allow_cpu:
        return torch.device("cpu")
    raise GPUUnusable(
        f"the pod was given {given.gpus} GPU(s) but CUDA cannot be used: {reason}; the driver is {_driver()}, "
        f"this build needs one for CUDA {torch.version.cuda}; update the node's driver, or ask for 0 GPUs"
    )


def describe(device: torch.device) -> str:
    """`cpu`, or the GPU's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def precision(wished: Precision, on: torch.device, activity: str) -> Precision:
    """What to compute in: what is wished for, but FP32 where bfloat16 would only be emulated, which is then logged.

    `activity` is what the sentence is about, as "training computes". The one rule for training, servers and batches.
    """
    if wished == "BF16" and not fast_bfloat16(on):
        name = "GPU" if on.type == "cuda" else "CPU"
        log.warning("this %s has no fast bfloat16: %s in FP32, which is faster here", name, activity)
        return "FP32"
    return wished


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if platform.machine() in ("x86_64", "AMD64"):
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return " bf16 " in f" {_cpu_features()} "  # Arm names its features in /proc/cpuinfo


def _cpu_features(cpu_info: pathlib.Path = pathlib.Path("/proc/cpuinfo")) -> str:
    if not cpu_info.exists():
        return ""
    found = re.search(r"^Features\s*:(.*)$", cpu_info.read_text(errors="replace"), re.MULTILINE)
    return found[1] if found else ""


def _why_unusable() -> str | None:
    """One real operation on the GPU: what `is_available` says is not enough on a broken driver."""
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return None


def _driver(version_file: pathlib.Path = _DRIVER) -> str:
    if not version_file.exists():
        return "missing"
    found = re.search(r"\d+\.\d+(\.\d+)?", version_file.read_text(errors="replace"))
    return found[0] if found else "of unknown version"
