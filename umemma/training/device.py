"""Device, threads and precision: what a run computes on, set once by a stage's `main`."""

from contextlib import AbstractContextManager, nullcontext

import torch

from umemma.errors import SettingError
from umemma.training.settings import Compute


def set_up(compute: Compute) -> torch.device:
    """Fix threads and deterministic kernels; return the device. Raises SettingError for a GPU that is not there."""
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    has_gpu = torch.cuda.is_available()
    if compute.device == "cuda" and not has_gpu:
        raise SettingError("compute.device is cuda, but torch finds no GPU; use auto or cpu")
    return torch.device("cuda" if has_gpu and compute.device != "cpu" else "cpu")


def autocast(compute: Compute, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which models run: bfloat16 where it is asked for, or for `auto` where it is fast."""
    wanted = compute.precision == "bfloat16" or (compute.precision == "auto" and has_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Does the device compute in bfloat16 itself? A CPU that only imitates it is ten times slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
