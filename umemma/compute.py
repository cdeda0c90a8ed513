"""Device, threads and precision: what a run computes on, set once by a stage's `main`."""

from contextlib import AbstractContextManager, nullcontext

import torch

from umemma.errors import ParameterError
from umemma.parameters import Compute


def set_up(compute: Compute) -> torch.device:
    """Fix threads and deterministic kernels; return the device. Raises ParameterError for a GPU that is not there."""
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    has_gpu = torch.cuda.is_available()
    if compute.device == "cuda" and not has_gpu:
        raise ParameterError("params.yaml: compute.device is cuda, but torch finds no GPU; use auto or cpu")
    return torch.device("cuda" if has_gpu and compute.device != "cpu" else "cpu")


def autocast(compute: Compute, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which models run: bfloat16 where it is asked for."""
    return torch.autocast(device.type, torch.bfloat16) if compute.precision == "bfloat16" else nullcontext()
