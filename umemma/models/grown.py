"""A model that has gained or lost modalities, with all that it had before unchanged.

Gained: `with_modality` adds a tower to a late-fusion model f. With S what is left of the modalities that f knows,

    log p(y | x_S, x_m) = f(x_S) + scale (g(x_m) - log p(y)) + const,     log p(y | x_m) = tower of m

so f's answers without m are computed by f itself: the same bytes, whatever its head. `g` starts as the tower's head, and
only it and `scale` in [0, 1] are fitted (`umemma.training.growth`); a scale of 0 is f. With m alone the tower answers.

Lost: `without_modality` leaves out the encoder, and the head sees the modality as missing for ever: again the same
bytes for what is left. A sum of experts loses the expert as well, and what was added last is taken off again.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

import torch
from torch import nn

from umemma.errors import ParameterError
from umemma.metrics import objective
from umemma.models import late_fusion
from umemma.models.heads import product_of_experts
from umemma.models.late_fusion import LateFusion
from umemma.models.substitutes import Encoders, Features, Masked
from umemma.models.unimodal import Encoder, Tower

_SCALES = tuple(step / 20 for step in range(21))  # 0 first: of equal losses the model as it was


class GrownHead(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class); the last modality is the one added."""

    log_prior: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, base: nn.Module, name: str, tower: nn.Linear, together: nn.Linear, log_prior: torch.Tensor
    ) -> None:
        """`tower` and `together`: heads of the modality `name`, alone and beside others; only the latter is trained."""
        super().__init__()
        self.base, self.name = base.requires_grad_(False), name
        self.tower, self.together = tower.requires_grad_(False), together
        self.takes_gaps = getattr(base, "takes_gaps", False)
        self.register_buffer("log_prior", log_prior)
        self.register_buffer("scale", torch.ones(()))

    def fit(
        self, features: Mapping[str, torch.Tensor], visible: torch.Tensor, label: torch.Tensor, copies: float
    ) -> None:
        """Choose the scale that these held-out samples, with modalities hidden, have the least cross-entropy with."""
        with torch.no_grad():
            losses = []
            for scale in _SCALES:
                self.scale.fill_(scale)
                losses.append(objective.loss(self(features, visible), label).item())
            self.scale.fill_(_SCALES[losses.index(min(losses))])

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return unnormalised log-probabilities."""
        known, has_new = visible[:, :-1], visible[:, -1:]
        before = self.base({name: value for name, value in features.items() if name != self.name}, known)
        value = features[self.name].nan_to_num(0.0)
        beside = before + self.scale * (self.together(value) - self.log_prior)
        grown = torch.where(known.any(dim=1, keepdim=True), beside, self.tower(value))
        return torch.where(has_new, grown, before)


class Beside(nn.Module):
    """The substitute of the model as it was, for what it knew; nothing stands in for the modality that was added."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(
        self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor, encoders: Encoders
    ) -> tuple[Features, torch.Tensor]:
        """Return filled features and (batch, modality) bool, what the head sees."""
        *known, added = features
        filled, visible = self.base({name: features[name] for name in known}, present[:, :-1], key, encoders)
        new = features[added].masked_fill(~present[:, -1:], 0.0)
        return {**filled, added: new}, torch.cat([visible, present[:, -1:]], dim=1)


class Without(nn.Module):
    """The substitute of the model as it was, which is told that the modality is missing from every sample."""

    def __init__(self, base: nn.Module, position: int, name: str, dim: int) -> None:
        super().__init__()
        self.base, self._position, self._name, self._dim = base, position, name, dim

    def forward(
        self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor, encoders: Encoders
    ) -> tuple[Features, torch.Tensor]:
        """Return filled features and what the head sees, both with the modality that was lost."""
        names, at = list(features), self._position
        blank = present.new_zeros(len(present), self._dim, dtype=torch.float32)
        every = {name: features[name] for name in names[:at]} | {self._name: blank}
        every |= {name: features[name] for name in names[at:]}
        absent = present.new_zeros(len(present), 1)
        return self.base(every, torch.cat([present[:, :at], absent, present[:, at:]], dim=1), key, encoders)


def with_modality(base: LateFusion, name: str, tower: Tower, log_prior: torch.Tensor) -> LateFusion:
    """Return `base` with the tower of a further modality; its new terms are to be fitted. Nothing of `base` is copied."""
    if name in base.parts():
        raise ParameterError(f"the model has {name} already")
    # At the class shares of all, as the base's heads answer.
    alone, together = tower.calibrated_head(log_prior), tower.calibrated_head(log_prior)
    head = GrownHead(base.head, name, alone, together, log_prior.clone())
    facts = _kept(base) | {"kind": "grown", "base": base.facts(), "added": name}
    return LateFusion({**base.parts(), name: tower.encoder}, Beside(base.substitute), head, facts)


def without_modality(model: LateFusion, name: str) -> LateFusion:
    """Return `model` without a modality. Raises ParameterError if it is the only one, or its stand-in needs its encoder."""
    parts = model.parts()
    left = {other: encoder for other, encoder in parts.items() if other != name}
    if not left:
        raise ParameterError(f"{name} is all that the model reads, and cannot be taken from it")
    head, substitute = model.head, model.substitute
    if isinstance(head, GrownHead) and head.name == name:
        base = {key: value for key, value in model.settings["base"].items() if key not in ("encoders", "residual")}
        return LateFusion(left, cast(Beside, substitute).base, head.base, base)
    if isinstance(head, product_of_experts.Head) and isinstance(substitute, Masked):
        del head.experts[name]
        return LateFusion(left, substitute, head, model.settings)
    if model.settings["substitute_at"] == "input" and model.settings["substitute"] != "none":
        raise ParameterError(
            f"{name} cannot be taken from the model: its stand-in is an input, which its encoder reads "
            "(fuse.substitute_at: input)"
        )
    facts = _kept(model) | {"kind": "without", "base": model.facts(), "lost": name}
    return LateFusion(left, Without(substitute, list(parts).index(name), name, parts[name].dim), head, facts)


def of_modalities(model: LateFusion, names: Collection[str]) -> LateFusion:
    """Return `model` without the modalities that are not among `names`."""
    for name in model.parts():
        if name not in names:
            model = without_modality(model, name)
    return model


def blank(facts: Mapping[str, Any], num_classes: int) -> LateFusion:
    """Build the late-fusion model that `facts` describe, of any of its kinds, with weights still to be loaded."""
    if facts["kind"] == "late":
        return late_fusion.blank(facts, num_classes)
    base = blank(facts["base"], num_classes)
    if facts["kind"] == "without":
        return without_modality(base, facts["lost"])
    tower = Tower(Encoder.blank(facts["encoders"][-1]), num_classes)
    return with_modality(base, facts["added"], tower, torch.zeros(num_classes))


def _kept(model: LateFusion) -> dict[str, Any]:
    """Return the settings that stay true of a changed model."""
    return {key: model.settings[key] for key in ("head", "substitute", "substitute_at")}
