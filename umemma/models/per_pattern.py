"""One model per missing-modality pattern: a sample is predicted by the model of exactly the modalities it has.

Of many modalities not every pattern has a member (`umemma.missingness.panel`): a sample of another pattern is predicted
by the member of the largest set that it has in full. Members predict in blocks (`umemma.models.blocks`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.missingness import Pattern
from umemma.models.blocks import blocks, rows_at_once


class PerPattern(nn.Module):
    """Batch -> logits (batch, class). A member only gets the modalities it takes."""

    log_prior: torch.Tensor

    def __init__(
        self, members: Mapping[Pattern, nn.Module], takes: Mapping[Pattern, Sequence[str]], log_prior: torch.Tensor
    ) -> None:
        """`members`: models by pattern, every single modality among them; `takes`: what each uses of its pattern."""
        super().__init__()
        self.members = nn.ModuleDict({_bits(pattern): model for pattern, model in members.items()})
        self.takes = {_bits(pattern): list(names) for pattern, names in takes.items()}
        self.register_buffer("log_prior", log_prior)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Predict every sample with the member of its pattern; a sample without any modality gets the prior."""
        return self._predicted(batch, lambda member, rows: member(rows))

    def fuse(self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Predict from features (batch, dim); every member must be a late-fusion model on their encoders."""
        batch = Batch(features, present, torch.zeros_like(key), key)
        return self._predicted(batch, lambda member, rows: cast(Any, member).fuse(rows.values, rows.present, rows.key))

    def _predicted(self, batch: Batch, predict: Callable[[nn.Module, Batch], torch.Tensor]) -> torch.Tensor:
        logits = self.log_prior.expand(len(batch), -1).clone()
        for pattern in batch.present.unique(dim=0).tolist():
            if not any(pattern):
                continue
            rows = (batch.present == torch.tensor(pattern, device=batch.present.device)).all(dim=1).nonzero().squeeze(1)
            bits = self._nearest(_bits(pattern))
            member, samples = self.members[bits], batch.only(self.takes[bits])
            for index, count in blocks(len(rows), rows_at_once(member, rows.device)):
                part = predict(member, samples.rows(rows[index])).float()
                logits = logits.index_copy(0, rows[index[:count]], part[:count])
        return logits

    def member(self, pattern: Pattern) -> tuple[nn.Module, list[str]] | None:
        """Return a pattern's own model and the modalities that it takes."""
        bits = _bits(pattern)
        return (self.members[bits], self.takes[bits]) if bits in self.members else None

    def _nearest(self, bits: str) -> str:
        """Return the member's name for a pattern: its own, or that of the largest set within it, the first of equals."""
        if bits in self.members:
            return bits
        within = [name for name in self.takes if all(b == "1" or a == "0" for a, b in zip(name, bits, strict=True))]
        return max(within, key=lambda name: name.count("1"))

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this model."""
        members = {bits: cast(Any, member).facts() for bits, member in self.members.items()}
        return {"kind": "panel", "takes": self.takes, "members": members}


def _bits(pattern: Sequence[bool]) -> str:
    return "".join("1" if is_present else "0" for is_present in pattern)
