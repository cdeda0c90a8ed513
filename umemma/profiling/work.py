"""How much work a computation is: floating-point operations, and bytes that its operators read and write.

The floor is the time that a machine needs at its best rates, the longer of the two: all operations at the rate of large
matrix products, all bytes at the rate of a copy in memory. Operators that run one after another each read their inputs
and write their results, which is what is counted; where the next one finds them in a cache it can be faster than that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from umemma.models.device import Device


@dataclass(frozen=True)
class Work:
    """Of a computation: operations, and bytes to and from memory."""

    flops: float = 0.0
    num_bytes: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.num_bytes + other.num_bytes)

    def __mul__(self, times: float) -> "Work":
        return Work(self.flops * times, self.num_bytes * times)

    def floor_seconds(self, machine: Mapping[str, Any], device: Device) -> float:
        """Return the seconds below which the machine cannot do it; `machine` as `machine.measure` returns it."""
        rate = machine["product_flops"]["bfloat16" if device.uses_bfloat16 else "float32"]
        return max(self.flops / rate, self.num_bytes / machine["memory_bytes"])


def count(compute: Callable[[], object]) -> Work:
    """Run `compute` once and return its work, backward passes included."""
    flops, traffic = FlopCounterMode(display=False), _Traffic()
    with flops, traffic:
        compute()
    return Work(flops.get_total_flops(), traffic.num_bytes)


class _Traffic(TorchDispatchMode):
    """Adds up the bytes of all tensors that operators read and write; a view moves none."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the operator and add what it reads and writes."""
        result = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(result)
        if func._schema.is_mutable or {_storage(tensor) for tensor in written}.isdisjoint(map(_storage, read)):
            self.num_bytes += sum(tensor.numel() * tensor.element_size() for tensor in (*read, *written))
        return result


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
