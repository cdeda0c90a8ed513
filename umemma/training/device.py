"""Device, threads and precision of a run, set once by its `main`."""

from contextlib import AbstractContextManager, nullcontext

import torch

from umemma.errors import SettingError
from umemma.training.settings import Compute


def set_up(compute: Compute) -> torch.device:
    """Set threads and deterministic kernels; return the device. Raises SettingError if the GPU asked for is missing."""
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    has_gpu = torch.cuda.is_available()
    if compute.device == "cuda" and not has_gpu:
        raise SettingError("compute.device is cuda, but torch finds no GPU; use auto or cpu")
    return torch.device("cuda" if has_gpu and compute.device != "cpu" else "cpu")


def autocast(compute: Compute, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which models run: bfloat16 if requested, or for `auto` if natively supported."""
    use_bfloat16 = compute.precision == "bfloat16" or (compute.precision == "auto" and has_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16) if use_bfloat16 else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Does the device support bfloat16 natively? A CPU that emulates it is ten times slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
