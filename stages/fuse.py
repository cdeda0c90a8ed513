"""Towers -> the late-fusion model, trained on with modalities hidden at random (data/model)."""

from functools import partial
from pathlib import Path
from statistics import mean

import torch

from umemma import compute, decoded, late_fusion, manifest, parameters, towers, tracking, weights
from umemma.batch import Batch
from umemma.encoding import encode_split
from umemma.errors import run
from umemma.evaluation import tabulate
from umemma.files import write_json, written_whole
from umemma.late_fusion import LateFusion
from umemma.metrics import log_prior
from umemma.missingness import hide, pattern_name
from umemma.parameters import Compute, Fuse, missing_rates
from umemma.sample import SPLITS
from umemma.training import Curve, Schedule, train


def fuse(
    joined: dict[str, towers.Tower], media: dict[str, Batch], features: dict[str, Batch], fuse_: Fuse,
    compute_: Compute, *, num_classes: int, seed: int,
) -> tuple[LateFusion, Curve]:
    """Join the towers and train the head, and the encoders too where they are to be fine-tuned.

    `media` and `features` hold the same samples of train and val: decoded, and as the towers encode them. Frozen
    towers need only the features.
    """
    device = compute.set_up(compute_)
    autocast = partial(compute.autocast, compute_, device)
    torch.manual_seed(seed)
    train_set = features["train"]
    means = {name: value[train_set.present[:, m]].mean(dim=0)
             for m, (name, value) in enumerate(train_set.values.items())}
    prior = log_prior(train_set.label, num_classes)
    model = late_fusion.build(joined, head=fuse_.head, substitute=fuse_.substitute, log_prior=prior,
                              feature_means=means).to(device)
    frozen = fuse_.towers == "frozen"
    model.encoders.requires_grad_(not frozen)
    groups = [([p for p in part.parameters() if p.requires_grad], lr) for part, lr in
              ((model.head, fuse_.lr), (model.substitute, fuse_.lr), (model.encoders, fuse_.tower_lr))]
    groups = [(own, lr) for own, lr in groups if own]
    rates = missing_rates(fuse_, train_set.modalities)

    def validate() -> dict[str, float]:
        encoded = dict(features["val"].values) if frozen else encode_split(
            model.parts(), media["val"], batch_size=500, device=device, autocast=autocast)
        model.cpu()
        table = tabulate(model, encoded, features["val"].present, features["val"].label, prior)
        model.to(device)
        accuracy = {pattern_name(one, table.modalities): table.accuracy(one) for one in table.patterns()
                    if table.has[one].any()}
        return {"val_accuracy": mean(accuracy.values())} | {f"val_accuracy/{one}": accuracy[one] for one in accuracy}

    model.train()
    if not groups:
        print(f"nothing to train: head {fuse_.head} and frozen towers have no free parameter")
        return model.cpu().eval(), [{"epoch": 0, "step": 0, "samples_seen": 0} | validate()]
    curve = train(
        (lambda batch: model.fuse(batch.values, batch.present)) if frozen else model, groups,
        train_set if frozen else media["train"],
        schedule=Schedule(fuse_.epochs, fuse_.batch_size, fuse_.weight_decay), seed=seed, device=device,
        autocast=autocast, validate=validate, name="fuse",
        present=lambda batch, epoch: hide(batch.present, batch.key, rates, seed=seed, round_=epoch),
    )
    return model.cpu().eval(), curve


def main() -> None:
    """Load towers and data, fuse, track the run."""
    settings = parameters.read()
    dataset, names = settings.dataset, list(settings.dataset.modalities)
    targets = manifest.targets(Path("data/shards/manifest.parquet"))
    arrays = {name: Path("data/decoded") / dataset.name / name for name in names}
    tower_folders = {name: Path("data/towers") / dataset.name / name for name in names}
    media = {split: decoded.load(arrays, split, targets.label[split], targets.key[split]) for split in SPLITS[:2]}
    encoded = {name: weights.read(folder / "features.safetensors")[0] for name, folder in tower_folders.items()}
    features = {split: batch.with_values({name: encoded[name][split] for name in names})
                for split, batch in media.items()}
    joined = {name: towers.load(folder / "tower.safetensors") for name, folder in tower_folders.items()}
    with tracking.run("fuse", experiment=dataset.name, shards_sha256=targets.sha256, home=parameters.home(),
                      parameters={"seed": settings.seed, "fuse": settings.fuse.model_dump(),
                                  "compute": settings.compute.model_dump()}) as tracked:
        model, curve = fuse(joined, media, features, settings.fuse, settings.compute,
                            num_classes=len(dataset.classes), seed=settings.seed)
        with written_whole(Path("data/model")) as temporary:
            late_fusion.save(model, temporary / "model.safetensors", head=settings.fuse.head,
                             substitute=settings.fuse.substitute, classes=dataset.classes)
        write_json(Path("data/reports/curves/fusion.json"), curve)
        tracked.curve(curve)
        tracked.final({name: value for name, value in curve[-1].items() if name not in ("epoch", "step")})
        tracked.artifact(Path("data/model/model.safetensors"), "model")


if __name__ == "__main__":
    run(main)
