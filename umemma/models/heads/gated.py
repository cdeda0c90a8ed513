"""A gated multi-modal unit: gates that see all modalities weight each one's features, then one linear layer.

Arevalo et al. 2017 (arXiv 1702.01992), with a softmax over the visible modalities in place of two sigmoids. Because
gates multiply, this head can model interactions between modalities.
"""

from collections.abc import Mapping

import torch
from torch import nn


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    starts_from_nothing = True

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers` give the feature sizes only; `log_prior` (class,) initialises the bias."""
        super().__init__()
        sizes = [tower.in_features for tower in towers.values()]
        width = max(sizes)
        self.content = nn.ModuleDict({name: nn.Linear(tower.in_features, width) for name, tower in towers.items()})
        self.gate = nn.Linear(sum(sizes) + len(sizes), len(sizes) * width)
        self.linear = nn.Linear(width, len(log_prior))
        with torch.no_grad():
            self.linear.bias.copy_(log_prior)

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return logits; a modality that is not visible has weight zero and no influence on the gates."""
        seen = [value.masked_fill(~visible[:, m, None], 0.0) for m, value in enumerate(features.values())]
        content = torch.stack(
            [layer(value).tanh() for layer, value in zip(self.content.values(), seen, strict=True)], dim=1
        )
        gates = self.gate(torch.cat([*seen, visible.to(seen[0].dtype)], dim=1)).reshape(content.shape)
        gates = gates.masked_fill(~visible[:, :, None], torch.finfo(gates.dtype).min)
        weights = gates.softmax(dim=1).masked_fill(~visible[:, :, None], 0.0)
        return self.linear((weights * content).sum(dim=1))
