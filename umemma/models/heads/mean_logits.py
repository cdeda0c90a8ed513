"""The mean of the towers' logits, fine-tuned: it is initialised with their own heads.

Unlike the product of experts it does not become more confident with every modality that agrees.
"""

from collections.abc import Mapping

import torch
from torch import nn


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    log_prior: torch.Tensor

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers`: each tower's own head; `log_prior` (class,): the logits where nothing is visible."""
        super().__init__()
        self.experts = nn.ModuleDict(towers)
        self.register_buffer("log_prior", log_prior)

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return the mean over the visible modalities."""
        logits = torch.stack([expert(features[name]) for name, expert in self.experts.items()], dim=1)
        count = visible.sum(dim=1, keepdim=True)
        mean = logits.masked_fill(~visible[:, :, None], 0.0).sum(dim=1) / count.clamp_min(1)
        return torch.where(count > 0, mean, self.log_prior)
