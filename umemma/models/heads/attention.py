"""One transformer layer over the modalities' features as tokens, with a separate read-out token.

The read-out token is always visible, so that a sample without any modality still gets logits. Missing modalities are
masked as keys (Vaswani et al. 2017); their tokens are zeroed first, since softmax(-inf) * NaN is NaN.
"""

from collections.abc import Mapping

import torch
from torch import nn

_NUM_ATTENTION_HEADS = 4


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    starts_from_nothing = True

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers` give the feature sizes only; `log_prior` (class,) initialises the bias."""
        super().__init__()
        width = -(-max(tower.in_features for tower in towers.values()) // _NUM_ATTENTION_HEADS) * _NUM_ATTENTION_HEADS
        self.token = nn.ModuleDict({name: nn.Linear(tower.in_features, width) for name, tower in towers.items()})
        self.kind = nn.Parameter(torch.randn(len(towers), width) * 0.02)
        self.read_out = nn.Parameter(torch.randn(width) * 0.02)
        self.layer = nn.TransformerEncoderLayer(
            width, _NUM_ATTENTION_HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.linear = nn.Linear(width, len(log_prior))
        with torch.no_grad():
            self.linear.bias.copy_(log_prior)

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return logits from the visible modalities."""
        seen = [value.masked_fill(~visible[:, m, None], 0.0) for m, value in enumerate(features.values())]
        tokens = torch.stack([layer(value) for layer, value in zip(self.token.values(), seen, strict=True)], 1)
        # `len` would be fixed in a program (serving/onnx).
        tokens = torch.cat([self.read_out.expand(tokens.shape[0], 1, -1), tokens + self.kind], dim=1)
        hidden = torch.cat([visible.new_zeros(visible.shape[0], 1), ~visible], dim=1)
        return self.linear(self.layer(tokens, src_key_padding_mask=hidden)[:, 0])
