"""The product of the towers' predicted probabilities; nothing is trained.

    log p(y | x_S) = sum_{m in S} log p_m(y | x_m) - (|S| - 1) log p(y) + const

is Bayes-optimal when the modalities are independent given the label, and missing independently of each other given it, and
the towers are calibrated (so their logits are divided by their temperature) at the class shares p(y), not those of the
samples that have their modality (`Tower.calibrated_head`). With a single visible modality it equals that tower.
"""

from collections.abc import Mapping

import torch
from torch import nn


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    trained = False
    log_prior: torch.Tensor

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers`: each tower's calibrated linear head; `log_prior` (class,): log class shares in the training set."""
        super().__init__()
        self.experts = nn.ModuleDict(towers).requires_grad_(self.trained)
        self.register_buffer("log_prior", log_prior)

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return unnormalised log-probabilities; a softmax makes them sum to one.

        Added up in order, without those that are not visible: a sum over a stack takes other partial sums from four
        modalities on, and a model that loses a modality (`umemma.models.grown`) would answer with other bits.
        """
        # `len(visible)` would fix an ONNX program's rows.
        total = self.log_prior.new_zeros(visible.shape[0], len(self.log_prior))
        for m, (name, expert) in enumerate(self.experts.items()):
            total = torch.where(visible[:, m, None], total + expert(features[name]), total)
        return total - (visible.sum(dim=1, keepdim=True) - 1) * self.log_prior
