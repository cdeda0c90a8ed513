"""A linear model of each modality's pooled columns, and the product of their calibrated probabilities."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.models.pooling import Pooling
from umemma.models.run_encoders import encode


class Expert(nn.Module):
    """(sample, *shape) -> calibrated logits (sample, class): pooled, standardised, then linear.

    A number that was not measured counts as the training mean; where `has_gaps`, a column of 0 or 1 says so.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, pooling: Pooling, num_classes: int, *, has_gaps: bool) -> None:
        super().__init__()
        self.pooling, self.has_gaps, self.dim = pooling, has_gaps, num_classes
        self.register_buffer("mean", torch.zeros(pooling.dim))
        self.register_buffer("std", torch.ones(pooling.dim))
        self.linear = nn.Linear(pooling.dim * (2 if has_gaps else 1), num_classes).requires_grad_(False)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.linear(self.standardised(self.pooling(value)))

    def standardised(self, columns: torch.Tensor) -> torch.Tensor:
        """Return what the linear layer takes."""
        measured = columns.isfinite()
        scaled = torch.where(measured, (columns - self.mean) / self.std, 0.0)
        return torch.cat([scaled, (~measured).float()], dim=1) if self.has_gaps else scaled

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this."""
        return {"pooling": self.pooling.facts(), "has_gaps": self.has_gaps}


class LinearExperts(nn.Module):
    """Batch -> logits (batch, class): the experts' product over the modalities present, divided by the prior."""

    log_prior: torch.Tensor

    def __init__(self, experts: Mapping[str, Expert], log_prior: torch.Tensor) -> None:
        super().__init__()
        self.experts = nn.ModuleDict(experts)
        self.register_buffer("log_prior", log_prior)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Ask the experts of what is present."""
        return self.fuse(encode(self.parts(), batch), batch.present, batch.key)

    def parts(self) -> dict[str, Expert]:
        """Return the experts by modality, in order."""
        return {name: cast(Expert, expert) for name, expert in self.experts.items()}

    def fuse(self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return logits from the experts' {modality: (batch, class)}, for any `present` (batch, modality)."""
        logits = torch.stack(list(features.values()), dim=1)
        total = torch.where(present[:, :, None], logits, 0.0).sum(dim=1)
        return total - (present.sum(dim=1, keepdim=True) - 1) * self.log_prior

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this model."""
        return {"kind": "linear", "experts": [[name, expert.facts()] for name, expert in self.parts().items()]}


def blank(facts: Mapping[str, Any], num_classes: int) -> LinearExperts:
    """Build the model that `facts` describe, with its numbers still to be loaded."""
    experts = {
        name: Expert(Pooling.blank(expert["pooling"]), num_classes, has_gaps=expert["has_gaps"])
        for name, expert in facts["experts"]
    }
    return LinearExperts(experts, torch.zeros(num_classes))
