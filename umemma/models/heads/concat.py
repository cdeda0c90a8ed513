"""One linear layer on the concatenated features, trained from scratch: the standard late-fusion baseline."""

from collections.abc import Mapping

import torch
from torch import nn


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    starts_from_nothing = True

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers` give the feature sizes only; `log_prior` (class,) initialises the bias."""
        super().__init__()
        self.linear = nn.Linear(sum(tower.in_features for tower in towers.values()), len(log_prior))
        with torch.no_grad():
            self.linear.bias.copy_(log_prior)

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return logits; features of a modality that is not visible count as zeros."""
        seen = [torch.where(visible[:, m, None], value, 0.0) for m, value in enumerate(features.values())]
        return self.linear(torch.cat(seen, dim=1))
