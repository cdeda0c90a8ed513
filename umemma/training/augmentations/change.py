"""The type of all augmentations, and reproducibility of libraries that use torch's global RNG."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]  # (batch, ...) -> the same shape and type


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global CPU RNG from `generator` inside the context; restore its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield
