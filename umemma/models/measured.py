"""What was measured: NaN in a vector or a series is a number that is not there, and no network can take it.

A step of a series is padding if nothing was measured at it nor at any earlier one, or at any later one: padding is what
a decoder adds to bring series to one length, and is masked. A number that is missing in between is a gap, and networks
are told of it, as when and what was measured says something by itself (Che et al. 2018, arXiv 1606.01865).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_ROWS = 5_000  # looked at together: a training set is mapped from disk


@dataclass(frozen=True)
class Gaps:
    """Where numbers are missing in a training set: the channels that have gaps, and whether series are padded."""

    channels: tuple[int, ...] = ()
    has_padding: bool = False


def gaps(values: torch.Tensor) -> Gaps:
    """Return where numbers are missing in vectors (sample, channel) or series (sample, channel, time)."""
    if not can_have_gaps(values.shape[1:]) or not values.is_floating_point():
        return Gaps()
    has_gap, has_padding = torch.zeros(values.shape[1], dtype=torch.bool), False
    for part in values.split(_ROWS):
        missing = part.isnan()
        if part.ndim == 3:
            outside = is_padding(missing)
            has_padding = has_padding or bool(outside.any())
            missing = (missing & ~outside[:, None]).any(dim=2)
        has_gap |= missing.any(dim=0)
    return Gaps(tuple(has_gap.nonzero().flatten().tolist()), has_padding)


def can_have_gaps(shape: Sequence[int]) -> bool:
    """Whether samples of this shape are vectors or series: a picture's decoder gives no NaN."""
    return len(shape) <= 2


def is_padding(missing: torch.Tensor) -> torch.Tensor:
    """Return (batch, time): the steps before the first and after the last measured number; `missing` as the series."""
    measured = (~missing).any(dim=1).long()
    return (measured.cumsum(dim=1) == 0) | (measured.flip(1).cumsum(dim=1).flip(1) == 0)


def time_since(missing: torch.Tensor) -> torch.Tensor:
    """Return the time since a channel was last measured, as a share of the series; `missing` (batch, channel, time).

    It is 0 where it was measured, and counts from before the first step where it was not measured yet.
    """
    num_steps = missing.shape[2]
    step = torch.arange(1, num_steps + 1, device=missing.device)
    return (step - (step * ~missing).cummax(dim=2).values) / num_steps


def std(values: torch.Tensor, dim: int | tuple[int, ...], *, keepdim: bool = False) -> torch.Tensor:
    """Return the population's standard deviation of what was measured, as `nanmean` is the mean; NaN for nothing."""
    exact = values.std(dim, correction=0, keepdim=keepdim)
    if not exact.isnan().any():
        return exact
    squares = (values - values.nanmean(dim, keepdim=True)).square()
    return torch.where(exact.isnan(), squares.nanmean(dim, keepdim=keepdim).sqrt(), exact)


def scale(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each channel of (sample, channel, ...), (channel,), to standardise by.

    A constant channel is not divided: it carries no information here, and other values of it must not explode. Nor is
    one that was never measured.
    """
    each = values.float().transpose(0, 1).flatten(1)
    mean, deviation = each.nanmean(dim=1), std(each, dim=1)
    return mean.nan_to_num(0.0), torch.where(deviation > 1e-6, deviation, 1.0)
