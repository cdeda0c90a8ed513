"""A temporal convolutional network for series (channel, time): Bai et al. 2018 (arXiv 1803.01271), not causal.

Residual blocks whose dilation doubles (1, 2, 4, ...) until one output sees the whole series, or `depth` blocks; then
mean and max-pooling over time, concatenated: how much of a pattern the series has, and whether it occurs at all. The
whole series is known when it is classified, so convolutions need not be causal. Padding is silenced before every
convolution and left out of the pooling, so that the output does not depend on the amount of it.
"""

from collections.abc import Sequence

import torch
from torch import nn

_MAX_DEPTH = 8
_SECOND = 4  # place of the second convolution in a block


def build(
    shape: Sequence[int],
    *,
    width: int = 32,
    kernel: int = 5,
    depth: int | None = None,
    dim: int = 64,
    dropout: float = 0.1,
) -> nn.Module:
    """Return a module (batch, channel, time) -> (batch, dim).

    `width` channels throughout, `kernel` steps (odd); `depth` null: as many blocks as cover the series, at most 8.
    """
    if len(shape) != 2:
        raise ValueError(f"tcn takes series (channel, time), not {tuple(shape)}; mlp takes vectors")
    if min(width, dim, 1 if depth is None else depth) < 1 or kernel < 3 or kernel % 2 == 0 or not 0 <= dropout < 1:
        raise ValueError(
            f"width, dim and depth must be 1 or more, kernel odd and 3 or more, dropout at least 0 and "
            f"below 1; they are {width}, {dim}, {depth}, {kernel} and {dropout}"
        )
    blocks = [Residual(width, kernel, 2**n, dropout) for n in range(depth or _depth_for(kernel, shape[1]))]
    return TCN(nn.Sequential(nn.Conv1d(shape[0], width, 1), *blocks), width, dim, dropout)


class TCN(nn.Module):
    """(batch, channel, time) -> (batch, dim)."""

    masks_padding = True

    def __init__(self, body: nn.Sequential, width: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, dim), nn.ReLU())

    def forward(self, value: torch.Tensor, is_padding: torch.Tensor | None = None) -> torch.Tensor:
        """Return (batch, dim); `is_padding` (batch, time)."""
        first, *blocks = self.body
        states = _silenced(first(value), is_padding)
        for block in blocks:
            states = _silenced(block(states, is_padding), is_padding)
        if is_padding is None:
            mean = states.mean(dim=2)
        else:
            mean = states.sum(dim=2) / (~is_padding).sum(dim=1).clamp_min(1)[:, None]
        return self.output(torch.cat([mean, states.amax(dim=2)], dim=1))  # states are not below 0, padding's are 0


class Residual(nn.Module):
    """(batch, channel, time) -> the same: two dilated convolutions with a skip connection."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.body = nn.Sequential(
            nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm1d(width),
        )

    def forward(self, value: torch.Tensor, is_padding: torch.Tensor | None = None) -> torch.Tensor:
        """Return the block's output."""
        hidden = _silenced(self.body[:_SECOND](value), is_padding)
        return (value + self.body[_SECOND:](hidden)).relu()


def _silenced(states: torch.Tensor, is_padding: torch.Tensor | None) -> torch.Tensor:
    return states if is_padding is None else states.masked_fill(is_padding[:, None], 0.0)


def _depth_for(kernel: int, num_steps: int) -> int:
    """Return the number of blocks for a receptive field of `num_steps`."""
    depth = 1
    while depth < _MAX_DEPTH and 1 + 2 * (kernel - 1) * (2**depth - 1) < num_steps:
        depth += 1
    return depth
