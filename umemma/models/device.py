"""Device, precision and ranks of a run: where models run, in which number format, and by how many processes."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from umemma.errors import SettingError
from umemma.models.ranks import Ranks, is_rank


@dataclass(frozen=True)
class Device:
    """Where models run; in bfloat16 where `uses_bfloat16`, else in float32. `ranks`: the processes that train together."""

    torch_device: torch.device
    uses_bfloat16: bool = False
    ranks: Ranks = field(default_factory=Ranks)

    @classmethod
    def set_up(cls, device: str, precision: str, threads: int | None) -> "Device":
        """Set threads and deterministic kernels for this process; return the device, chosen as `Compute` says.

        A process that a launcher started as a rank joins the others; it has a GPU of its own, or its part of the cores.
        Raises SettingError if the GPU asked for is missing.
        """
        if threads is None and is_rank():
            threads = max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        if threads is not None:
            torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports Inductor, 3 s, to tell it
        has_gpu = torch.cuda.is_available()
        if device == "cuda" and not has_gpu:
            raise SettingError("compute.device is cuda, but torch finds no GPU; use auto or cpu")
        chosen = _own_gpu() if has_gpu and device != "cpu" else torch.device("cpu")
        uses_bfloat16 = precision == "bfloat16" or (precision == "auto" and has_bfloat16(chosen))
        return cls(chosen, uses_bfloat16, Ranks.joined(chosen))

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        return torch.autocast(self.torch_device.type, torch.bfloat16) if self.uses_bfloat16 else nullcontext()

    def has_room(self, num_bytes: int) -> bool:
        """Return whether a GPU can keep a training set and leave half of its free memory to the training."""
        return self.torch_device.type == "cuda" and 2 * num_bytes < torch.cuda.mem_get_info(self.torch_device)[0]


def _own_gpu() -> torch.device:
    if not is_rank():
        return torch.device("cuda")
    number, num_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= num_gpus:
        raise SettingError(
            f"compute.devices asks for device {number + 1} of this machine, which has {num_gpus}; lower it, use auto, or "
            "set compute.device to cpu"
        )
    chosen = torch.device("cuda", number)
    torch.cuda.set_device(chosen)
    return chosen


def has_bfloat16(device: torch.device) -> bool:
    """Does the device support bfloat16 natively? A CPU that emulates it is ten times slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
