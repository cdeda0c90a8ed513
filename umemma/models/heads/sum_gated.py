"""The product of experts, and what only several modalities together say: a gated unit that adds to its logits.

A sum of answers cannot hold an interaction, and a head that can (`gated`, `attention`) answers a single modality anew, not
as its tower does. Here the unit begins at zero and adds nothing where one modality is left, so that this is answered
exactly as by its tower: the experts are not trained, and an arm that freezes the encoders leaves the towers as they were.
"""

from collections.abc import Mapping

import torch
from torch import nn

from umemma.models.heads import gated, product_of_experts


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    log_prior: torch.Tensor

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers`: each tower's calibrated linear head; `log_prior` (class,): log class shares in the training set."""
        super().__init__()
        self.product = product_of_experts.Head(towers, log_prior)
        self.together = gated.Head(towers, torch.zeros_like(log_prior))
        nn.init.zeros_(self.together.linear.weight)
        self.register_buffer("log_prior", log_prior)

    @property
    def experts(self) -> nn.ModuleDict:
        """The heads of the towers."""
        return self.product.experts

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return unnormalised log-probabilities."""
        are_several = visible.sum(dim=1, keepdim=True) > 1
        added = torch.where(are_several, self.together(features, visible), 0.0)
        return self.product(features, visible) + added
