"""One modality's arrays -> its tower, trained alone, and all features (data/towers/<data set>/<modality>)."""

from functools import partial
from pathlib import Path

import torch

from stages import modality_of
from umemma import parameters, tracking
from umemma.data import arrays, manifest
from umemma.data.batch import Batch
from umemma.data.sample import SPLITS
from umemma.data.settings import Modality
from umemma.errors import DataError, run
from umemma.files import write_json, written_whole
from umemma.metrics.classification import correct, log_class_weight, log_prior, surprise
from umemma.models import frozen, safetensors, unimodal
from umemma.models.run_encoders import encode_split
from umemma.models.settings import has_frozen_trunk
from umemma.parameters import Parameters
from umemma.paths import home
from umemma.settings import Settings
from umemma.training import augment
from umemma.training import device as compute
from umemma.training.loop import Curve, Schedule, train
from umemma.training.settings import Compute, Pretrain


def pretrain(
    data: dict[str, Batch],
    modality: Modality,
    pretrain_: Pretrain,
    compute_: Compute,
    *,
    shape: tuple[int, ...],
    num_classes: int,
    seed: int,
) -> tuple[unimodal.Tower, dict[str, torch.Tensor], Curve]:
    """Train a tower on the samples that have its modality; return it calibrated, with all splits' features."""
    name = data["train"].modalities[0]
    device = compute.set_up(compute_)
    autocast = partial(compute.autocast, compute_, device)
    torch.manual_seed(seed)
    tower = unimodal.Tower(unimodal.Encoder(name, shape, _trained_part(modality)), num_classes)
    there = {
        split: batch.rows(batch.present[:, 0].nonzero().squeeze(1)) if not batch.present.all() else batch
        for split, batch in data.items()
    }
    for split in ("train", "val"):
        if len(there[split]) == 0:
            raise DataError(f"modality {name} is present in no sample of split {split}; nothing to train its tower on")
    tower.encoder.fit_scale(there["train"].values[name][:5_000])
    tower.to(device)

    def features(batch: Batch) -> torch.Tensor:
        return encode_split({name: tower.encoder}, batch, batch_size=500, device=device, autocast=autocast)[name]

    def validate() -> dict[str, float]:
        logits = tower.answer(features(there["val"]).to(device)).detach().cpu()
        return _scores(logits, there["val"].label, "val")

    curve = train(
        lambda batch: tower(batch.values[name]),
        tower.parameter_groups(pretrain_.lr),
        there["train"],
        schedule=Schedule(modality.epochs, pretrain_.batch_size, pretrain_.weight_decay, pretrain_.label_smoothing),
        seed=seed,
        device=device,
        autocast=autocast,
        present=lambda batch, _: batch.present,
        validate=validate,
        name=name,
        augment=augment.of_batches({name: modality.augment}, {name: shape}, seed),
        log_weight=log_class_weight(log_prior(there["train"].label, num_classes), pretrain_.class_balance),
    )
    found = {split: features(batch) for split, batch in data.items()}
    tower.cpu().eval()
    tower.samples_seen = int(curve[-1]["samples_seen"])
    has = data["val"].present[:, 0]
    tower.fit_temperature(found["val"][has], data["val"].label[has])
    return tower, found, curve


def _trained_part(modality: Modality) -> Settings:
    settings = modality.encoder
    return frozen.rest(settings) if has_frozen_trunk(settings) else settings


def _scores(logits: torch.Tensor, label: torch.Tensor, split: str) -> dict[str, float]:
    return {
        f"{split}_accuracy": round(correct(logits, label).mean().item(), 6),
        f"{split}_cross_entropy": round(surprise(logits, label).mean().item(), 6),
    }


def report(
    tower: unimodal.Tower, features: dict[str, torch.Tensor], data: dict[str, Batch], curve: Curve
) -> dict[str, float]:
    """Return what the tower reached, calibrated, and what it cost."""
    result = {"samples_seen": curve[-1]["samples_seen"], "temperature": round(tower.temperature.item(), 6)}
    for split in ("val", "test"):
        has = data[split].present[:, 0]
        with torch.no_grad():
            logits = tower.answer(features[split][has])
        result |= {"n_" + split: int(has.sum())} | _scores(logits, data[split].label[has], split)
    return result


def main() -> None:
    """Track the run."""
    name = modality_of(__doc__)
    settings = parameters.read()
    dataset = settings.dataset
    folder = {name: Path("data") / dataset.inputs[name] / dataset.name / name}
    targets = manifest.targets(Path("data/shards/manifest.parquet"), len(dataset.classes))
    data = {split: arrays.load(folder, split, targets) for split in SPLITS}
    with tracking.run(
        f"pretrain {name}",
        experiment=dataset.name,
        parameters=_parameters(settings, name),
        shards_sha256=targets.sha256,
        home=home(),
    ) as tracked:
        tower, features, curve = pretrain(
            data,
            dataset.modalities[name],
            settings.pretrain,
            settings.compute,
            shape=arrays.shape(folder[name]),
            num_classes=len(dataset.classes),
            seed=settings.seed,
        )
        result = report(tower, features, data, curve)
        tower_folder = Path("data/towers") / dataset.name / name
        with written_whole(tower_folder) as temporary:
            unimodal.save(tower, temporary / "tower.safetensors")
            safetensors.write(temporary / "features.safetensors", features, {"modality": name})
        write_json(Path("data/reports/curves") / dataset.name / f"{name}.json", curve)
        tracked.curve(curve)
        tracked.final(result)
        tracked.artifact(tower_folder / "tower.safetensors", "model")
    print(f"{name}: " + "  ".join(f"{key} {value:g}" for key, value in result.items()))


def _parameters(settings: Parameters, name: str) -> dict[str, object]:
    return {
        "seed": settings.seed,
        "pretrain": settings.pretrain.model_dump(),
        "compute": settings.compute.model_dump(),
        name: settings.dataset.modalities[name].model_dump(),
    }


if __name__ == "__main__":
    run(main)
