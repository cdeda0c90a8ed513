"""The processes, ranks, that train one model together, and what they tell each other.

Every rank runs the same program on the same global batch and holds the whole model. Only encoders, which cost nearly all
of the time, are divided (`umemma.models.divided`): each rank encodes its share of the rows. All else - masks, heads,
losses, the optimiser's steps - is small, and every rank computes all of it, from the same numbers. So nothing that is
written or resumed from knows how many ranks there were.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn

Value = TypeVar("Value")


def is_rank() -> bool:
    """Return whether a launcher started this process as a rank, perhaps the only one: torchrun's variables say so."""
    return {"RANK", "WORLD_SIZE"} <= os.environ.keys()


@dataclass(frozen=True)
class Ranks:
    """Number `rank` of `number` processes; alone, nothing is exchanged and every method returns what it is given."""

    rank: int = 0
    number: int = 1

    @classmethod
    def joined(cls, device: torch.device) -> "Ranks":
        """Return this process's place among those that a launcher started with it, and wait for them the first time."""
        if not is_rank() or os.environ["WORLD_SIZE"] == "1":
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        """Return whether this rank is the one that prints and writes."""
        return self.rank == 0

    def own(self, items: Iterable[Value]) -> Iterator[Value]:
        """Return every item whose turn is this rank's."""
        return itertools.islice(items, self.rank, None, self.number)

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum over ranks: the same bits on every one."""
        if self.number > 1:
            value = value.contiguous()
            distributed.all_reduce(value)
        return value

    def agreed(self, value: Value) -> Value:
        """Return the first rank's value: what decides about the course of training must be equal to the last bit."""
        values = [value]
        if self.number > 1:
            distributed.broadcast_object_list(values)
        return values[0]

    def sum_gradients(self, divided: Iterable[nn.Parameter], whole: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of parameters in `divided` modules; those of the others are the first rank's everywhere."""
        if self.number == 1:
            return
        mine = [parameter.grad for parameter in divided if parameter.grad is not None]
        same = [parameter.grad for parameter in whole if parameter.grad is not None]
        if not self.is_first:
            for gradient in same:
                gradient.zero_()
        gradients = mine + same
        total = self.summed(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
