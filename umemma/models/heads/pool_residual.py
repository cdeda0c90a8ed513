"""The pool, and what only several modalities together say: trees on the features of all, starting from its answer.

A sum of answers cannot hold an interaction. On PhysioNet 2012, ten groups of variables, it explains half of what a
model of all columns does (docs/results.md). The trees add to the pool's logits, over copies with modalities hidden; with
a single visible modality they add nothing, so it is answered exactly as by its tower.

Copies cost the samples from which nothing was removed. So trees that never saw a copy take the place of these where what
is visible is a set that training samples have by themselves (`familiar`): everything, where data have no holes of their
own. On splits 1 and 2 of PhysioNet 2012 that is worth 0.8 points of AUROC and 1.3 of AUPRC (docs/method.md).
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

    familiar: torch.Tensor

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """As the pool's; the residuals are empty until they are grown."""
        super().__init__(towers, log_prior)
        self.residual = Forest(0, 1, 0, len(log_prior))
        self.residual_of_familiar = Forest(0, 1, 0, len(log_prior))
        self.register_buffer("familiar", torch.zeros(0, len(towers), dtype=torch.bool))

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return unnormalised log-probabilities."""
        columns = side_by_side(features, visible)
        added = self.residual(columns)
        is_familiar = (visible[:, None] == self.familiar).all(dim=2).any(dim=1)
        if torch.compiler.is_exporting():  # a program has no branch that depends on the data
            added = torch.where(is_familiar[:, None], self.residual_of_familiar(columns), added)
        elif is_familiar.any():
            rows = is_familiar.nonzero().squeeze(1)
            added = added.index_copy(0, rows, self.residual_of_familiar(columns[rows]))
        return self.pooled(features, visible) + torch.where(visible.sum(dim=1, keepdim=True) > 1, added, 0.0)

    def facts(self) -> dict[str, Any]:
        """Return what `resize` needs."""
        forests = {"residual": self.residual.facts(), "residual_of_familiar": self.residual_of_familiar.facts()}
        return {**forests, "familiar": len(self.familiar)}

    def resize(self, facts: Mapping[str, Any]) -> None:
        """Make room for what `facts` describe, its numbers still to be loaded."""
        self.residual = Forest.blank(facts["residual"])
        self.residual_of_familiar = Forest.blank(facts["residual_of_familiar"])
        self.familiar = self.familiar.new_zeros(facts["familiar"], self.familiar.shape[1])
