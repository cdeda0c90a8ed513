"""What this machine can do at most: matrix products, memory, disk. The best of several tries, as others may use it too."""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from umemma.models.device import Device, has_bfloat16

_SIDE = 1_024  # of the matrices: 4 MiB each in float32, which stay in the cache
_SIDE_OF_GPU = 8_192
_BYTES_OF_MEMORY = 2**28  # eight times the cache of a large processor's core complex
_BYTES_OF_FILE = 2**27
_TRIES = 5


def measure(device: Device, folder: Path) -> dict[str, Any]:
    """Return names and rates: FLOP/s of products by precision (None: emulated), bytes/s of memory and of `folder`'s disk.

    Memory is copied, so that each byte is read once and written once, which counts twice.
    """
    where = device.torch_device
    precisions = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if has_bfloat16(where) else {})
    write, read = _disk(folder)
    return {
        "processor": processor(),
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 2),
        "product_flops": {name: _product(where, dtype) for name, dtype in precisions.items()},
        "memory_bytes": _memory(where),
        "disk_write_bytes": write,
        "disk_read_bytes": read,
    }


def _product(device: torch.device, dtype: torch.dtype) -> float:
    side = _SIDE_OF_GPU if device.type == "cuda" else _SIDE
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * side**3 / _least(lambda: torch.mm(left, right, out=out), device)


def _memory(device: torch.device) -> float:
    source = torch.zeros(_BYTES_OF_MEMORY, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * _BYTES_OF_MEMORY / _least(lambda: target.copy_(source), device)


def _disk(folder: Path) -> tuple[float, float]:
    """Return bytes/s of writing a file until it is on the disk, and of reading it when it is not in memory."""
    content = os.urandom(_BYTES_OF_FILE)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        file.write(content)
        os.fsync(file.fileno())
        written = time.perf_counter()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        dropped = time.perf_counter()
        file.read()
        end = time.perf_counter()
    return _BYTES_OF_FILE / (written - start), _BYTES_OF_FILE / (end - dropped)


def _least(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest try, after one to warm up."""
    seconds = []
    for _ in range(1 + _TRIES):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def processor() -> str:
    """Return the processor's name; Linux has it in a file, where `platform` knows the architecture alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
