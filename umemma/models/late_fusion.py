"""The late-fusion model: encoders, a substitute, a head. It is agnostic of what the modalities are."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.models import substitutes
from umemma.models.run_encoders import encode, encode_in_use
from umemma.models.unimodal import AnyEncoder, Encoder, Tower


@runtime_checkable
class FittedHead(Protocol):
    """A head that is fitted all at once to held-out samples, not trained step by step."""

    def fit(
        self, features: Mapping[str, torch.Tensor], visible: torch.Tensor, label: torch.Tensor, copies: float
    ) -> None:
        """Fit to samples that no tower was trained on, with modalities hidden; each is there `copies` times."""
        ...


@runtime_checkable
class ResizedHead(Protocol):
    """A head whose size follows from how it was fitted."""

    def facts(self) -> dict[str, Any]:
        """Return what `resize` needs."""
        ...

    def resize(self, facts: Mapping[str, Any], /) -> None:
        """Take this size; the numbers are still to be loaded."""
        ...


class LateFusion(nn.Module):
    """Batch -> logits (batch, class), from the modalities present. `settings` are those it was built with."""

    def __init__(
        self, encoders: Mapping[str, AnyEncoder], substitute: nn.Module, head: nn.Module, settings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.substitute, self.head, self.settings = substitute, head, dict(settings)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Encode the modalities present and fuse them."""
        return self.fuse(self.encode(batch), batch.present, batch.key)

    def encode(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return {modality: (batch, dim)}; rows of a missing modality are zero."""
        return encode(self.parts(), batch)

    def parts(self) -> dict[str, AnyEncoder]:
        """Return the encoders by modality, in order."""
        return {name: cast(AnyEncoder, encoder) for name, encoder in self.encoders.items()}

    def fuse(self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return logits from the features of `encode`, for any `present` (batch, modality)."""
        in_use = {name: partial(encode_in_use, encoder) for name, encoder in self.parts().items()}
        filled, visible = self.substitute(features, present, key, in_use)
        if not getattr(self.head, "takes_gaps", False):  # of columns beside the answer of trees
            filled = {name: value.nan_to_num(0.0) for name, value in filled.items()}
        return self.head(filled, visible)

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this model."""
        encoders = [encoder.facts() for encoder in self.parts().values()]
        grown = {"residual": self.head.facts()} if isinstance(self.head, ResizedHead) else {}
        return {"kind": "late", **self.settings, "encoders": encoders, **grown}


def build(
    towers: Mapping[str, Tower],
    *,
    head: str,
    substitute: str,
    substitute_at: str,
    log_prior: torch.Tensor,
    rows: substitutes.Rows,
) -> LateFusion:
    """Join towers: their encoders, a head that may start from theirs, a substitute.

    `log_prior` (class,) and `rows` {modality: (sample, dim or *shape)}, features or inputs as `substitute_at` says,
    are of the training set. All towers' heads answer at these class shares.
    """
    heads = {name: tower.calibrated_head(log_prior) for name, tower in towers.items()}
    head_class = import_module(f"umemma.models.heads.{head}").Head
    settings = {
        "head": head,
        "substitute": substitute,
        "substitute_at": substitute_at,
        "num_rows": {name: min(len(value), substitutes.NUM_DONORS) for name, value in rows.items()},
    }
    return LateFusion(
        {name: tower.encoder for name, tower in towers.items()},
        substitutes.build(substitute, substitute_at, rows),
        head_class(heads, log_prior),
        settings,
    )


def blank(facts: Mapping[str, Any], num_classes: int) -> LateFusion:
    """Build the model that `facts` describe, with weights still to be loaded."""
    towers = {encoder["modality"]: Tower(Encoder.blank(encoder), num_classes) for encoder in facts["encoders"]}
    shapes = {
        name: (tower.encoder.dim,) if facts["substitute_at"] == "feature" else tower.encoder.shape
        for name, tower in towers.items()
    }
    rows = {name: torch.zeros(facts["num_rows"][name], *shape) for name, shape in shapes.items()}
    model = build(
        towers,
        head=facts["head"],
        substitute=facts["substitute"],
        substitute_at=facts["substitute_at"],
        log_prior=torch.zeros(num_classes),
        rows=rows,
    )
    if isinstance(model.head, ResizedHead):
        model.head.resize(facts["residual"])
    return model
