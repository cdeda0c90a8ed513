"""The pool, and what only several modalities together say: trees on the features of all, starting from its answer.

A sum of answers cannot hold an interaction. On PhysioNet 2012, ten groups of variables, it explains half of what a
model of all columns does (docs/results.md). The trees add to the pool's logits, over copies with modalities hidden; with
a single visible modality they add nothing, so it is answered exactly as by its tower.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from umemma.models.forest import Forest
from umemma.models.heads import pool
from umemma.models.trees import side_by_side


class Head(pool.Head):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class); features may hold NaN."""

    takes_gaps = True

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """As the pool's; the residual is empty until it is grown."""
        super().__init__(towers, log_prior)
        self.residual = Forest(0, 1, 0, len(log_prior))

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return unnormalised log-probabilities."""
        added = self.residual(side_by_side(features, visible))
        return self.pooled(features, visible) + torch.where(visible.sum(dim=1, keepdim=True) > 1, added, 0.0)

    def facts(self) -> dict[str, Any]:
        """Return what `resize` needs."""
        return self.residual.facts()

    def resize(self, facts: Mapping[str, Any]) -> None:
        """Make room for the residual that `facts` describe, its numbers still to be loaded."""
        self.residual = Forest.blank(facts)
