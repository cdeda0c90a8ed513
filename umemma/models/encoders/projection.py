"""One linear layer on features that come ready: what is trained of an encoder whose trunk is frozen.

Each feature is scaled by the training set's mean and standard deviation of it first: a network's features differ in
size by orders of magnitude.
"""

from collections.abc import Sequence

from torch import nn

from umemma.models.backbone import Projection


def build(shape: Sequence[int], *, dim: int | None = None, dropout: float = 0.0) -> nn.Module:
    """Return a module (batch, feature) -> (batch, dim); `dim` null leaves the features as they are."""
    if len(shape) != 1:
        raise ValueError(f"projection takes features (feature,), not {tuple(shape)}")
    return Projection(shape[0], dim, dropout)
