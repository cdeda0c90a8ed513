"""Boosted trees on the pooled columns of all modalities: one model that answers every pattern, as trees take holes."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.models.forest import Forest
from umemma.models.pooling import Pooling
from umemma.models.run_encoders import encode


class Trees(nn.Module):
    """Batch -> logits (batch, class), from the modalities present; what is missing is NaN to every tree."""

    log_prior: torch.Tensor

    def __init__(self, poolings: Mapping[str, Pooling], forest: Forest, log_prior: torch.Tensor) -> None:
        """`log_prior` (class,): what the trees start from."""
        super().__init__()
        self.poolings, self.forest = nn.ModuleDict(poolings), forest
        self.register_buffer("log_prior", log_prior)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Pool what is present, and ask the trees."""
        return self.fuse(encode(self.parts(), batch), batch.present, batch.key)

    def parts(self) -> dict[str, Pooling]:
        """Return the poolings by modality, in order."""
        return {name: cast(Pooling, pooling) for name, pooling in self.poolings.items()}

    def fuse(self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return logits from pooled columns {modality: (batch, dim)}, for any `present` (batch, modality)."""
        columns = side_by_side(features, present)
        return torch.where(present.any(dim=1, keepdim=True), self.forest(columns) + self.log_prior, self.log_prior)

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this model."""
        return {
            "kind": "trees",
            "poolings": [
                [name, pooling.facts()] for name, pooling in self.parts().items()
            ],  # in order, as a file sorts keys
            "forest": self.forest.facts(),
        }


def side_by_side(features: Mapping[str, torch.Tensor], present: torch.Tensor) -> torch.Tensor:
    """Return (batch, column): all modalities' columns, NaN where one is missing."""
    return torch.cat(
        [value.masked_fill(~present[:, m, None], torch.nan) for m, value in enumerate(features.values())], dim=1
    )


def blank(facts: Mapping[str, Any], num_classes: int) -> Trees:
    """Build the model that `facts` describe, with its numbers still to be loaded."""
    poolings = {name: Pooling.blank(pooling) for name, pooling in facts["poolings"]}
    return Trees(poolings, Forest.blank(facts["forest"]), torch.zeros(num_classes))
