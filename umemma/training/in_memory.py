"""Training on data in memory: a tower for every modality, then the fusion model.

The pipeline's parameters are keyword arguments here, with defaults for any number of samples.
"""

from collections.abc import Mapping
from typing import Literal

from torch import nn

from umemma.data.batch import Batch
from umemma.errors import DataError, SettingError, unknown
from umemma.models.checkpoint import Model
from umemma.models.run_encoders import encode_split
from umemma.models.unimodal import Tower
from umemma.settings import Auto, Settings, plugin_trouble, section
from umemma.training import fit, unimodal_fit
from umemma.training.arms import ARMS
from umemma.training.context import TrainingContext
from umemma.training.settings import ArmName, Compute, Fuse, Pretrain

DeviceName = Literal["auto", "cpu", "cuda"]


def train_tower(
    modality: str,
    encoder: nn.Module | Settings,
    data: Mapping[str, Batch],
    *,
    epochs: float | Auto = "auto",
    batch_size: int | Auto = "auto",
    lr: float = 4e-3,
    weight_decay: float = 0.01,
    label_smoothing: float = 0.0,
    class_balance: float = 0.0,
    seed: int = 0,
    device: DeviceName = "auto",
) -> Tower:
    """Train an encoder with a linear head on one modality alone; calibrate it on the split `val`.

    `encoder` is a module (batch, *shape) -> (batch, dim), of which a copy is trained, or the name and settings of a
    plug-in in umemma/models/encoders: `{"name": "mlp", "dim": 32}`. `data` has the splits `train` and `val`.
    """
    _check_splits(data)
    if modality not in data["train"].modalities:
        raise SettingError(unknown("train_tower", "modality", modality, data["train"].modalities))
    if not isinstance(encoder, nn.Module) and (
        trouble := plugin_trouble("encoder.name", "encoders", encoder.get("name"))
    ):
        raise SettingError(trouble)
    pretrain = section(
        Pretrain,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        class_balance=class_balance,
    )
    return unimodal_fit.fit(
        {split: batch.only([modality]) for split, batch in data.items()},
        encoder,
        pretrain,
        _compute(device),
        epochs=epochs,
        num_classes=_num_classes(data),
        seed=seed,
    ).tower


def train_fusion(
    towers: Mapping[str, Tower],
    data: Mapping[str, Batch],
    *,
    arm: ArmName = "ume-mma",
    head: str = "gated",
    substitute: str = "none",
    substitute_at: str = "feature",
    protocol: str = "independent",
    presence: str = "learn",
    missing_rate: float | Mapping[str, float] = 0.5,
    epochs: float | Auto = "auto",
    batch_size: int | Auto = "auto",
    lr: float = 1e-3,
    tower_lr: float = 1e-4,
    distil: float = 0.0,
    weight_decay: float = 0.01,
    class_balance: float = 0.0,
    seed: int = 0,
    device: DeviceName = "auto",
) -> Model:
    """Join towers into one model and train it with modalities hidden at random; the towers themselves do not change.

    `arm` is one of `ARMS` with late fusion or the best tower; an arm from scratch reinitialises the encoders.
    `missing_rate` is how often a modality is hidden in training, one number or {modality: number}. `presence="ignore"`: the
    head must not learn what holes in the data tell of the label. `distil` is the share of the targets that the towers' product
    gives in place of the label. `data` has the splits `train` and `val`.
    """
    _check_splits(data)
    names = list(data["train"].modalities)
    if list(towers) != names:
        raise SettingError(
            f"there are towers of {', '.join(towers)}, but the data have {', '.join(names)}, in this order"
        )
    arms = [name for name, candidate in ARMS.items() if candidate.fusion in ("late", "best tower")]
    if arm not in arms:
        raise SettingError(unknown("train_fusion", "arm", arm, arms))
    if trouble := plugin_trouble("head", "heads", head):
        raise SettingError(trouble)
    fuse = section(
        Fuse,
        head=head,
        substitute=substitute,
        substitute_at=substitute_at,
        protocol=protocol,
        presence=presence,
        missing_rate=missing_rate,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        tower_lr=tower_lr,
        distil=distil,
        weight_decay=weight_decay,
        class_balance=class_balance,
    )
    pretrain = section(
        Pretrain,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        label_smoothing=0.0,
        class_balance=class_balance,
    )
    compute = _compute(device)
    context = TrainingContext(
        media=data,
        compute=compute,
        num_classes=_num_classes(data),
        seed=seed,
        towers=towers,
        features=_features(towers, data, compute),
        fuse=fuse,
        pretrain=pretrain,
        early={},
    )
    return fit.fit(arm, context).model


def _features(towers: Mapping[str, Tower], data: Mapping[str, Batch], settings: Compute) -> dict[str, Batch]:
    device = settings.set_up()
    encoders = {name: tower.to(device.torch_device).encoder for name, tower in towers.items()}
    features = {split: batch.with_values(encode_split(encoders, batch, device=device)) for split, batch in data.items()}
    for tower in towers.values():
        tower.cpu()
    return features


def _check_splits(data: Mapping[str, Batch]) -> None:
    for split in ("train", "val"):
        if split not in data:
            raise DataError(f"the data have no split {split}; there are {', '.join(data) or 'none'}")


def _num_classes(data: Mapping[str, Batch]) -> int:
    label = data["train"].label
    return label.shape[1] if label.ndim == 2 else max(int(batch.label.max()) for batch in data.values()) + 1


def _compute(device: DeviceName) -> Compute:
    return section(Compute, device=device, precision="float32", threads=None)
