"""A multi-layer perceptron on flattened input of any shape: for vectors, and as the simplest baseline.

Each entry of the first axis is standardised separately: a vector's columns may be a price and a fraction, and with one
mean and standard deviation for all the fraction would have no effect.
"""

import math
from collections.abc import Sequence

from torch import nn


def build(shape: Sequence[int], *, width: int = 64, depth: int = 2, dim: int = 32, dropout: float = 0.0) -> nn.Module:
    """Return a module (batch, *shape) -> (batch, dim); `depth` hidden layers of `width` units."""
    if min(width, depth, dim) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"width, depth and dim must be 1 or more, dropout at least 0 and below 1; they are "
            f"{width}, {depth}, {dim} and {dropout}"
        )
    layers: list[nn.Module] = [nn.Flatten()]
    size = math.prod(shape)
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout)]
        size = width
    return MLP(*layers, nn.Linear(size, dim), nn.ReLU())


class MLP(nn.Sequential):
    """(batch, *shape) -> (batch, dim)."""

    scaling = "channel"
