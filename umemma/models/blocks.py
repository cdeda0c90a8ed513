"""Inference in blocks of one fixed size, so that an answer does not depend on the samples beside it, to the bit.

Matrix products and convolutions choose how to add up by the shape of the batch: of 11 encoders on a CPU with AVX-512,
every one gave other bits for a row in a batch of another size, and none did in another place of a batch of the same
size, beside other rows, or with another number of threads (sizes 16 and 64; at 4 two of them did). So the last block is
filled up with copies.

There is one exception: in a product whose rows do not begin at multiples of 16 bytes, the bits depend on the place
(10 numbers: every other row is different; 8, 100 or 640: none). `Aligned` fills rows up with zeros.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

ROWS_OF_HEAD = 64  # features are small
_ALIGNED = 16  # float32 numbers, 64 bytes: as fresh memory, and a vector of AVX-512
_PRODUCTS = (torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.__matmul__)
_ROWS = {"cpu": 16, "cuda": 256}  # a GPU computes as many at the price of one; a single sample on a CPU does not wait


def blocks(num_rows: int, size: int) -> Iterator[tuple[torch.Tensor, int]]:
    """Yield the rows of each block, (size,) int64, and how many of them count: the others are copies of the first."""
    for start in range(0, num_rows, size):
        index = torch.arange(start, start + size)
        count = min(size, num_rows - start)
        index[count:] = start
        yield index, count


class Aligned(TorchFunctionMode):
    """In this context rows of matrix products are filled up with zeros, which add nothing, to begin at like places."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, if it is a product on rows that are filled up."""
        if func is functional.linear:
            return _linear(*args, **(kwargs or {}))
        if func in _PRODUCTS and args[1].ndim == 2:
            args = _filled(*args, dim=0)
        return func(*args, **(kwargs or {}))


def _linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return functional.linear(*_filled(input, weight, dim=1), bias)


def _filled(value: torch.Tensor, weight: torch.Tensor, *, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both with more zeros along the last axis of `value`, which is axis `dim` of `weight`."""
    missing = -value.shape[-1] % _ALIGNED
    if not missing:
        return value.contiguous(), weight
    return functional.pad(value, (0, missing)), functional.pad(weight, (0, missing) if dim else (0, 0, 0, missing))


def rows_at_once(function: object, device: torch.device) -> int:
    """Return the size of the blocks that a module or function gets; one with `rows_at_once` chooses it itself."""
    return getattr(function, "rows_at_once", None) or _ROWS[device.type]


def in_blocks(function: Callable[[torch.Tensor], torch.Tensor], value: torch.Tensor) -> torch.Tensor:
    """Return `function` of all rows of `value`, one or more, block by block."""
    size = rows_at_once(function, value.device)
    with Aligned():
        return torch.cat([function(value[index])[:count] for index, count in blocks(len(value), size)])
