"""A modality's tower out of an earlier model: its encoder unchanged, and the head that the model has for it alone.

A head that is a sum of experts, or a pool of them, holds the towers' heads. Of any other a linear head is trained on
the encoder's features, so that what is measured of the modality alone is of this encoder.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.metrics.objective import log_prior
from umemma.models.device import Device
from umemma.models.grown import GrownHead
from umemma.models.late_fusion import LateFusion
from umemma.models.run_encoders import encode_split
from umemma.models.unimodal import Answer, Tower
from umemma.training import unimodal_fit
from umemma.training.loop import Curve, train
from umemma.training.schedule import Schedule
from umemma.training.settings import Compute, Pretrain
from umemma.training.unimodal_fit import TrainedTower

# In the tower's result, where `encoder_search` writes of a tower that was trained.
FACTS: dict[str, Any] = {"encoder": "that of the base model", "tried": [], "why": "it is unchanged"}


def fit(
    base: LateFusion, data: Mapping[str, Batch], pretrain: Pretrain, compute: Compute, *, num_classes: int, seed: int
) -> TrainedTower:
    """Return the tower of the only modality of `data` {split: Batch}; nothing of the encoder is trained."""
    (name,) = data["train"].modalities
    device = compute.set_up()
    tower = Tower(deepcopy(base.parts()[name]).requires_grad_(False), num_classes).eval()
    has = {split: batch.present[:, 0] for split, batch in data.items()}
    tower.log_prior.copy_(log_prior(data["train"].label[has["train"]], num_classes))
    tower.encoder.to(device.torch_device)
    features = {split: encode_split({name: tower.encoder}, batch, device=device)[name] for split, batch in data.items()}
    tower.encoder.cpu()
    known = {split: data[split].with_values({name: value}).rows(has[split]) for split, value in features.items()}

    def validate() -> dict[str, float]:
        logits = tower.head(known["val"].values[name]).detach()
        return unimodal_fit.scores_of(logits, known["val"].label, tower.log_prior)

    expert = _expert(base.head, name)
    if expert is not None:
        tower.head = _answering_at(expert, tower.log_prior - cast(torch.Tensor, base.head.log_prior))
        curve: Curve = [{"epoch": 0, "step": 0, "samples_seen": 0} | validate()]
    else:
        torch.manual_seed(seed)
        curve = train(
            tower.head,
            lambda batch: tower.head(batch.values[name]),
            [(list(tower.head.parameters()), pretrain.lr)],
            known["train"],
            schedule=Schedule("auto", pretrain.batch_size, pretrain.weight_decay, pretrain.label_smoothing),
            seed=seed,
            device=Device(torch.device("cpu")),
            present=lambda batch, _: batch.present,
            validate=validate,
            name=name,
        )
        tower.fit_temperature(known["val"].values[name], known["val"].label)
    tower.samples_seen = int(curve[-1]["samples_seen"])
    return TrainedTower(tower, features, curve)


def _expert(head: nn.Module, name: str) -> nn.Linear | None:
    """Return a copy of the head's own answer for the modality alone; None if it has none."""
    if isinstance(head, GrownHead):
        return deepcopy(head.tower) if head.name == name else _expert(head.base, name)
    experts = getattr(head, "experts", {})
    return deepcopy(experts[name]) if name in experts else None


@torch.no_grad()
def _answering_at(head: nn.Linear, shift: torch.Tensor) -> nn.Linear:
    """Return the head with `shift` (class,) added to its logits: from the class shares of all to those of its samples."""
    constant = head.shift if isinstance(head, Answer) else head.bias
    constant += shift
    return head
