"""Device and precision of a run: where models run, and in which number format."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from umemma.errors import SettingError


@dataclass(frozen=True)
class Device:
    """Where models run; in bfloat16 where `uses_bfloat16`, else in float32."""

    torch_device: torch.device
    uses_bfloat16: bool = False

    @classmethod
    def set_up(cls, device: str, precision: str, threads: int | None) -> "Device":
        """Set threads and deterministic kernels for this process; return the device, chosen as `Compute` says.

        Raises SettingError if the GPU asked for is missing.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports Inductor, 3 s, to tell it
        has_gpu = torch.cuda.is_available()
        if device == "cuda" and not has_gpu:
            raise SettingError("compute.device is cuda, but torch finds no GPU; use auto or cpu")
        chosen = torch.device("cuda" if has_gpu and device != "cpu" else "cpu")
        return cls(chosen, precision == "bfloat16" or (precision == "auto" and has_bfloat16(chosen)))

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        return torch.autocast(self.torch_device.type, torch.bfloat16) if self.uses_bfloat16 else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Does the device support bfloat16 natively? A CPU that emulates it is ten times slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
