"""What every augmentation is, and how a library that draws from torch's global randomness is made to repeat."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]  # (batch, ...) -> the same shape and type


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Let torch's global randomness on the CPU be drawn from `generator` within, and be as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield
