"""One model for each set of modalities: a sample is answered by the model of exactly what it has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.missingness import Pattern


class PerPattern(nn.Module):
    """Batch -> logits (batch, class). A model is given the modalities it takes, all of them present."""

    log_prior: torch.Tensor

    def __init__(
        self, members: Mapping[Pattern, nn.Module], takes: Mapping[Pattern, Sequence[str]], log_prior: torch.Tensor
    ) -> None:
        """`members`: a model for every non-empty pattern; `takes`: the modalities it looks at, of those present."""
        super().__init__()
        self.members = nn.ModuleDict({_bits(pattern): model for pattern, model in members.items()})
        self.takes = {_bits(pattern): list(names) for pattern, names in takes.items()}
        self.register_buffer("log_prior", log_prior)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Answer every sample by its own member; one that has nothing, by the prior."""
        return self._answered(batch, lambda member, own: member(own))

    def fuse(self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Answer from features (batch, dim), where every member is a late-fusion model on encoders that gave them."""
        batch = Batch(features, present, torch.zeros_like(key), key)
        return self._answered(batch, lambda member, own: cast(Any, member).fuse(own.values, own.present, own.key))

    def _answered(self, batch: Batch, ask: Callable[[nn.Module, Batch], torch.Tensor]) -> torch.Tensor:
        logits = self.log_prior.expand(len(batch), -1).clone()
        for pattern in batch.present.unique(dim=0).tolist():
            if not any(pattern):
                continue
            rows = (batch.present == torch.tensor(pattern, device=batch.present.device)).all(dim=1).nonzero().squeeze(1)
            member, own = self.members[_bits(pattern)], batch.rows(rows).only(self.takes[_bits(pattern)])
            logits = logits.index_copy(0, rows, ask(member, own).float())
        return logits

    def facts(self) -> dict[str, Any]:
        """Return what it takes to build this model again."""
        members = {bits: cast(Any, member).facts() for bits, member in self.members.items()}
        return {"kind": "panel", "takes": self.takes, "members": members}


def _bits(pattern: Sequence[bool]) -> str:
    return "".join("1" if there else "0" for there in pattern)
