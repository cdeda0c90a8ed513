"""An encoder that is linear in fixed columns, so that its tower is a logistic regression and has one best solution.

Few samples are no reason to descend: `umemma.training.regression` solves such a tower exactly, and its L2 penalty
regularises rare columns better than the steps of AdamW, which are as long for a word that two texts have as for one that
all have. An arm that trains encoders further, or from scratch, descends nevertheless.
"""

import torch
from torch import nn


class LinearColumns(nn.Module):
    """(batch, *shape) -> (batch, dim): `columns`, then one linear layer. A subclass says what the columns are.

    `fit` takes what of the columns depends on the training set; it keeps it in buffers.
    """

    def __init__(self, num_columns: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_columns, dim, bias=False)

    def columns(self, value: torch.Tensor, *further: torch.Tensor) -> torch.Tensor:
        """Return (batch, column) of the encoder's input."""
        raise NotImplementedError

    def fit(self, sample: torch.Tensor, *further: torch.Tensor) -> None:
        """Take statistics of the columns from inputs of the training set."""
        raise NotImplementedError

    def forward(self, value: torch.Tensor, *further: torch.Tensor) -> torch.Tensor:
        """Return (batch, dim)."""
        return self.linear(self.columns(value, *further))

    @torch.no_grad()
    def take(self, weight: torch.Tensor, bias: torch.Tensor, head: nn.Linear) -> None:
        """Let this and a tower's `head` be the solution `weight` (class, column), `bias` (class,).

        With fewer features than classes they are its best approximation of that rank.
        """
        left, scale, right = torch.linalg.svd(weight, full_matrices=False)
        rank = min(len(scale), self.linear.out_features)
        root = scale[:rank].sqrt()
        self.linear.weight.zero_()
        self.linear.weight[:rank] = root[:, None] * right[:rank]
        head.weight.zero_()
        head.weight[:, :rank] = left[:, :rank] * root
        head.bias.copy_(bias)
