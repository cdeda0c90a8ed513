"""One linear layer on precomputed features: the trained part of an encoder with a frozen backbone.

Each feature is first standardised by its mean and standard deviation in the training set: a network's features differ
in scale by orders of magnitude.
"""

from collections.abc import Sequence

from torch import nn

from umemma.models.backbone import Projection


def build(shape: Sequence[int], *, dim: int | None = None, dropout: float = 0.0) -> nn.Module:
    """Return a module (batch, feature) -> (batch, dim); `dim` null is the identity."""
    if len(shape) != 1:
        raise ValueError(f"projection takes features (feature,), not {tuple(shape)}")
    return Projection(shape[0], dim, dropout)
