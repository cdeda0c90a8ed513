"""A row as the model takes it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Row:
    """What was read of a row.

    `values` {modality: array}, of what can be used; `rejected` {modality: reason}, of what is there and cannot;
    `notes`: what else was not taken as it is written.
    """

    place: str
    key: str
    values: Mapping[str, torch.Tensor] = field(repr=False)
    rejected: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """A sha256 over the values alone: the same sample has the same, whatever table or request it came in."""
        digest = hashlib.sha256()
        for name, value in sorted(self.values.items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()
