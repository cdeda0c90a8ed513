"""An image network applied to video frame by frame, with its features averaged over frames.

The usual baseline for video. It loses the order of the frames; a `resnet` that takes the frames as channels of one
image keeps it.
"""

import torch
from torch import nn


class EachFrame(nn.Module):
    """(batch, frame, channel, height, width) -> (batch, feature), with `body` (batch, channel, height, width) ->."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the mean over frames."""
        return self.body(value.flatten(0, 1)).unflatten(0, value.shape[:2]).mean(dim=1)
