"""What a named protocol leaves of samples: exactly, and drawn.

Apart from the protocols themselves, since reading their names needs no tensors.
"""

import torch

from umemma.missingness import uniform
from umemma.named_protocol import NamedProtocol


def by_sample(protocol: NamedProtocol, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, set) float64: how often each sample keeps each set; of several labels the first counts."""
    number = label if label.ndim == 1 else label.int().argmax(dim=1)
    return torch.tensor(protocol.shares, dtype=torch.float64)[number % len(protocol.shares)]


def kept(protocol: NamedProtocol, present: torch.Tensor) -> torch.Tensor:
    """Return (sample, set, modality) bool: what is left of `present` (sample, modality)."""
    left = present[:, None] & torch.tensor(protocol.sets)
    return torch.where(left.any(dim=2, keepdim=True), left, present[:, None])


def hidden_shares(protocol: NamedProtocol, present: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, modality) float64: the exact probability that a modality which is there is hidden."""
    hidden = present[:, None] & ~kept(protocol, present)
    return torch.einsum("bs,bsm->bm", by_sample(protocol, label), hidden.double())


def draw(
    protocol: NamedProtocol, present: torch.Tensor, key: torch.Tensor, label: torch.Tensor, *, seed: int, epoch: int
) -> torch.Tensor:
    """Return what is left of `present` (sample, modality) bool; a draw depends on seed, epoch and key alone."""
    bounds = by_sample(protocol, label).cumsum(dim=1)
    chosen = torch.searchsorted(bounds, uniform(key, 1, epoch, seed), right=True).clamp(max=len(protocol.sets) - 1)
    return kept(protocol, present)[torch.arange(len(present)), chosen[:, 0]]
