"""The late-fusion model: encoders, a substitute, a head. It knows nothing of what the modalities are."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import torch
from torch import nn

from umemma import weights
from umemma.batch import Batch
from umemma.encoding import encode
from umemma.substitutes import SUBSTITUTES
from umemma.towers import Encoder, Tower


class LateFusion(nn.Module):
    """Batch -> logits (batch, class), from whatever is present."""

    def __init__(self, encoders: Mapping[str, Encoder], substitute: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.substitute, self.head = substitute, head

    def forward(self, batch: Batch) -> torch.Tensor:
        """Encode what is there and fuse it."""
        return self.fuse(self.encode(batch), batch.present)

    def encode(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return {modality: (batch, dim)}; rows of a missing modality are zero."""
        return encode(self.parts(), batch)

    def parts(self) -> dict[str, Encoder]:
        """Return the encoders by modality, in order."""
        return {name: cast(Encoder, encoder) for name, encoder in self.encoders.items()}

    def fuse(self, features: Mapping[str, torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        """Return logits from features that `encode` gave, for any `present` (batch, modality)."""
        filled, visible = self.substitute(features, present)
        return self.head(filled, visible)


def build(
    towers: Mapping[str, Tower], *, head: str, substitute: str, log_prior: torch.Tensor,
    feature_means: Mapping[str, torch.Tensor],
) -> LateFusion:
    """Join pre-trained towers: their encoders, a head that may start from theirs, a substitute for their features.

    `feature_means` {modality: (dim,)} are of the training set, `log_prior` (class,) too.
    """
    heads = {name: tower.calibrated_head() for name, tower in towers.items()}
    head_class = import_module(f"umemma.heads.{head}").Head
    return LateFusion({name: tower.encoder for name, tower in towers.items()},
                      SUBSTITUTES[substitute](feature_means), head_class(heads, log_prior))


def save(model: LateFusion, path: Path, *, head: str, substitute: str, classes: Sequence[str]) -> None:
    """Write the whole model to one file."""
    facts = {"head": head, "substitute": substitute, "classes": list(classes),
             "encoders": [encoder.facts() for encoder in model.parts().values()]}
    weights.write(path, model.state_dict(), facts)


def load(path: Path) -> LateFusion:
    """Read a model, ready to answer. Raises DataError where the file holds none."""
    state, facts = weights.read(path)
    num_classes = len(facts["classes"])
    towers = {one["modality"]: Tower(Encoder(one["modality"], one["shape"], one["settings"]), num_classes)
              for one in facts["encoders"]}
    means = {name: torch.zeros(tower.encoder.dim) for name, tower in towers.items()}
    model = build(towers, head=facts["head"], substitute=facts["substitute"], log_prior=torch.zeros(num_classes),
                  feature_means=means)
    model.load_state_dict(state)
    return model.eval()
