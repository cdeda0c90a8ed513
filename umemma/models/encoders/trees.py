"""Boosted trees in the place of an encoder: their answer, followed by the columns that they saw.

They are grown on the pooled columns of the modality (`umemma.models.pooling`), not trained step by step, so no arm trains
them further. For numbers in tables, with what was not measured, they are often the best tower there is. The columns
follow the answer so that a head may look at those of several modalities together, as `pool_residual` does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from umemma.models import measured
from umemma.models.forest import Forest
from umemma.models.pooling import Pooling


def build(shape: Sequence[int], *, grown: Mapping[str, Any] | None = None) -> nn.Module:
    """Return a module (batch, *shape) -> (batch, class + column); `grown`: facts of a file, in no conf."""
    if grown is None:
        raise ValueError(
            "trees are grown all at once, as a tower: no arm trains them from scratch, and they are no early fusion"
        )
    log_prior = torch.zeros(grown["forest"]["outputs"])
    return Boosted(Pooling.blank(grown["pooling"]), Forest.blank(grown["forest"]), log_prior)


class Boosted(nn.Module):
    """(batch, *shape) -> (batch, class + column): logits, then standardised columns, NaN where not measured."""

    scaling = "none"
    takes_gaps = True
    log_prior: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, pooling: Pooling, forest: Forest, log_prior: torch.Tensor) -> None:
        super().__init__()
        self.pooling, self.forest, self.num_answers = pooling, forest, len(log_prior)
        self.register_buffer("log_prior", log_prior)
        self.register_buffer("mean", torch.zeros(pooling.dim))
        self.register_buffer("std", torch.ones(pooling.dim))

    def fit_scale(self, columns: torch.Tensor) -> None:
        """Standardise the columns that follow the answer: (sample, column) of the training set."""
        mean, std = measured.scale(columns)
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return answer and columns."""
        columns = self.pooling(value)
        return self.joined(self.forest(columns) + self.log_prior, columns)

    def joined(self, logits: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Return the features of an answer and its columns."""
        return torch.cat([logits, (columns - self.mean) / self.std], dim=1)

    @property
    def architecture(self) -> dict[str, Any]:
        """What rebuilds this where nothing is grown."""
        return {"grown": {"pooling": self.pooling.facts(), "forest": self.forest.facts()}}
