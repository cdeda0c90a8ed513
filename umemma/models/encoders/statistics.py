"""Statistics of each channel of a series: the encoder for a few hundred series, where shapes in time are not learned.

Mean, deviation, slope, quantiles, first and last value, mean change, and of long series the spectrum
(`umemma.models.pooling`), each standardised by the training set. What was not measured, padding too, counts for nothing.
"""

from collections.abc import Sequence

import torch
from torch import nn

from umemma.models import pooling
from umemma.models.linear_columns import LinearColumns


def build(shape: Sequence[int], *, dim: int = 64) -> nn.Module:
    """Return a module (batch, channel, time) -> (batch, dim)."""
    if len(shape) != 2:
        raise ValueError(f"statistics takes series (channel, time), not {tuple(shape)}; mlp takes vectors")
    if dim < 1:
        raise ValueError(f"dim must be 1 or more; it is {dim}")
    return Statistics(pooling.series(torch.zeros(1, *shape)).shape[1], dim)


class Statistics(LinearColumns):
    """(batch, channel, time) -> (batch, dim)."""

    takes_gaps = True
    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(self, num_columns: int, dim: int) -> None:
        super().__init__(num_columns, dim)
        self.register_buffer("centre", torch.zeros(num_columns))
        self.register_buffer("spread", torch.ones(num_columns))

    def columns(self, value: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        """Return (batch, column); 0, the mean of the training set, where nothing of a channel was measured."""
        return ((pooling.series(value) - self.centre) / self.spread).nan_to_num(0.0)

    def fit(self, sample: torch.Tensor, *_: torch.Tensor) -> None:
        """Take mean and standard deviation of each column; a constant one is not divided."""
        columns = pooling.series(sample).double()
        centre = columns.nanmean(dim=0).nan_to_num(0.0)
        spread = (columns - centre).square().nanmean(dim=0).sqrt().nan_to_num(0.0)
        self.centre.copy_(centre)
        self.spread.copy_(torch.where(spread > 1e-5, spread, 1.0))
