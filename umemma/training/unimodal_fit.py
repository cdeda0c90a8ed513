"""Training the tower of a single modality: encoder, linear head, temperature."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd.profiler import record_function

from umemma.data.batch import Batch
from umemma.errors import DataError
from umemma.metrics.calibration import temperature, tempered
from umemma.metrics.classification import nll, share_correct
from umemma.metrics.objective import log_class_weight, log_prior
from umemma.models import unimodal
from umemma.models.linear_columns import LinearColumns
from umemma.models.run_encoders import encode_split
from umemma.settings import Auto, Settings
from umemma.training import augment, regression
from umemma.training.loop import Curve, train
from umemma.training.schedule import Schedule
from umemma.training.settings import Compute, Pretrain

_NUM_ROWS = 5_000  # of the training set, for the input scale
_MAX_VALIDATED = 10_000  # samples that choose the best evaluation, of a larger validation set


@dataclass(frozen=True)
class TrainedTower:
    """A calibrated tower; `features` {split: (sample, dim)} are of all samples, zero where missing.

    `is_out_of_fold`: are the answers in those of `train` by models that were not trained on the sample?
    """

    tower: unimodal.Tower
    features: Mapping[str, torch.Tensor]
    curve: Curve
    is_out_of_fold: bool = False


def fit(
    data: Mapping[str, Batch],
    encoder: Settings | nn.Module,
    pretrain: Pretrain,
    compute: Compute,
    *,
    epochs: float | Auto,
    num_classes: int,
    seed: int,
    augmentation: Settings | None = None,
    group: torch.Tensor | None = None,
) -> TrainedTower:
    """Train a tower on the samples of `train` that have its modality, and calibrate it on those of `val`.

    `data` {split: Batch} has one modality. `encoder` is the name of a plug-in with its settings, or a module (batch,
    *shape) -> (batch, dim), of which a copy is trained. `group` (sample,) of `train`: what may not be cut by folds.
    Raises DataError if no sample has the modality.
    """
    (name,) = data["train"].modalities
    shape = data["train"].values[name].shape[1:]
    device = compute.set_up()
    present = {split: with_the_modality(batch) for split, batch in data.items()}
    for split in ("train", "val"):
        if len(present[split]) == 0:
            raise DataError(f"modality {name} is present in no sample of split {split}; nothing to train its tower on")
    if not isinstance(encoder, nn.Module) and encoder["name"] == "trees":
        return _boosted(data, num_classes, seed, group)
    torch.manual_seed(seed)
    tower = unimodal.Tower(unimodal.build(name, present["train"].values[name], encoder), num_classes)
    tower.log_prior.copy_(log_prior(present["train"].label, num_classes))
    tower.encoder.fit_scale(present["train"].values[name][:_NUM_ROWS])
    tower.to(device.torch_device)

    def features(batch: Batch) -> torch.Tensor:
        return encode_split({name: tower.encoder}, batch, device=device)[name]

    validated = present["val"].rows(slice(None, None, -(-len(present["val"]) // _MAX_VALIDATED)))

    def validate() -> dict[str, float]:
        with torch.no_grad():
            logits = tower.head(features(validated).to(device.torch_device)).cpu()
        return scores_of(logits, validated.label, tower.log_prior.cpu())

    if isinstance(tower.encoder.body, LinearColumns):
        curve = regression.fit_tower(tower, present["train"], validate)
    else:
        curve = train(
            tower,
            lambda batch: tower(batch.values[name]),
            tower.parameter_groups(pretrain.lr),
            present["train"],
            schedule=Schedule(epochs, pretrain.batch_size, pretrain.weight_decay, pretrain.label_smoothing),
            seed=seed,
            device=device,
            present=lambda batch, _: batch.present,
            validate=validate,
            name=name,
            augment=augment.of_batches({name: augmentation or {}}, {name: shape}, seed),
            log_weight=log_class_weight(tower.log_prior.cpu(), pretrain.class_balance),
        )
    with record_function("encoding"):
        all_features = {split: features(batch) for split, batch in data.items()}
    tower.cpu().eval()
    tower.samples_seen = int(curve[-1]["samples_seen"])
    has = data["val"].present[:, 0]
    tower.fit_temperature(all_features["val"][has], data["val"].label[has])
    return TrainedTower(tower, all_features, curve)


def _boosted(data: Mapping[str, Batch], num_classes: int, seed: int, group: torch.Tensor | None) -> TrainedTower:
    from umemma.training import boosted_tower  # it imports libraries that no other tower needs

    tower, features = boosted_tower.fit(data, num_classes=num_classes, seed=seed, group=group)
    has = data["val"].present[:, 0]
    scores = _scores(tower.answer(features["val"][has]), data["val"].label[has], "val")
    row = {"epoch": 1, "step": 1, "samples_seen": tower.samples_seen} | scores
    return TrainedTower(tower, features, [row], is_out_of_fold=True)


def scores_of(logits: torch.Tensor, label: torch.Tensor, log_prior: torch.Tensor) -> dict[str, float]:
    """Score validation logits as they would be calibrated: overconfidence is mended afterwards, and decides nothing."""
    return _scores(tempered(logits, temperature(logits, label, log_prior), log_prior), label, "val")


def report(trained: TrainedTower, data: Mapping[str, Batch]) -> dict[str, float]:
    """Return the calibrated tower's metrics on validation and test data, and its training cost."""
    tower = trained.tower
    result = {"samples_seen": trained.curve[-1]["samples_seen"], "temperature": round(tower.temperature.item(), 6)}
    for split in ("val", "test"):
        has = data[split].present[:, 0]
        with torch.no_grad():
            logits = tower.answer(trained.features[split][has])
        result |= {"n_" + split: int(has.sum())} | _scores(logits, data[split].label[has], split)
    return result


def with_the_modality(batch: Batch) -> Batch:
    """Return the samples that have the batch's only modality; the batch itself, mapped, where all do."""
    return batch if batch.present.all() else batch.rows(batch.present[:, 0].nonzero().squeeze(1))


def _scores(logits: torch.Tensor, label: torch.Tensor, split: str) -> dict[str, float]:
    return {
        f"{split}_accuracy": round(share_correct(logits, label).mean().item(), 6),
        f"{split}_cross_entropy": round(nll(logits, label).mean().item(), 6),
    }
