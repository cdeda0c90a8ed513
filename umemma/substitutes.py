"""What stands in for a missing modality's features.

A substitute takes {modality: (batch, dim)} and `present` (batch, modality) and returns the features with the missing
rows filled, and which modalities the head may look at. Missing rows are replaced by `where`, never by a product: what
they hold - NaN too - cannot reach the logits or a gradient.
"""

from collections.abc import Callable, Mapping

import torch
from torch import nn

Features = dict[str, torch.Tensor]


class Masked(nn.Module):
    """`none`: no stand-in; the head is told to leave the modality out."""

    def forward(self, features: Mapping[str, torch.Tensor], present: torch.Tensor) -> tuple[Features, torch.Tensor]:
        """Return features with missing rows zero, and `present` itself."""
        filled = {name: torch.where(present[:, m, None], value, 0.0)
                  for m, (name, value) in enumerate(features.items())}
        return filled, present


class Constant(nn.Module):
    """One vector for each modality, (dim,), fixed or learned with the head; the head sees every modality."""

    def __init__(self, vectors: Mapping[str, torch.Tensor], *, learned: bool) -> None:
        super().__init__()
        self.vectors = nn.ParameterDict(
            {name: nn.Parameter(vector.clone(), requires_grad=learned) for name, vector in vectors.items()})

    def forward(self, features: Mapping[str, torch.Tensor], present: torch.Tensor) -> tuple[Features, torch.Tensor]:
        """Return features with missing rows set to the vector, and all modalities as visible."""
        filled = {name: torch.where(present[:, m, None], value, self.vectors[name])
                  for m, (name, value) in enumerate(features.items())}
        return filled, torch.ones_like(present)


# The argument is the training set's mean feature vector of each modality.
SUBSTITUTES: dict[str, Callable[[Mapping[str, torch.Tensor]], nn.Module]] = {
    "none": lambda means: Masked(),
    "zeros": lambda means: Constant({name: torch.zeros_like(mean) for name, mean in means.items()}, learned=False),
    "train_mean": lambda means: Constant(means, learned=False),
    "learned": lambda means: Constant(means, learned=True),
}
