"""Trains towers and a fusion model, and writes what came of it: `python -m tests.ranks_sample FILE`, alone or as a rank."""

import itertools
import os
import sys
from pathlib import Path

import torch

from umemma.data.batch import Batch
from umemma.files import write_json
from umemma.settings import section
from umemma.training import fit, resume, unimodal_fit
from umemma.training.context import TrainingContext
from umemma.training.settings import Compute, Fuse, Pretrain

COMPUTE = section(Compute, device="cpu", precision="float32", threads=1)
STEPS = 25  # kept before a rank dies: two towers and half of the third
# 23: a batch that two ranks do not share evenly.
PRETRAIN = section(Pretrain, batch_size=23, lr=0.004, weight_decay=0.01, label_smoothing=0.0, class_balance=0.5)
ENCODERS = {
    "image": {
        "name": "lenet",
        "width": 4,
        "dim": 6,
        "dropout": 0.2,
    },  # batch normalisation, dropout after a convolution
    "series": {"name": "tcn", "width": 4, "dim": 6},
    "words": {"name": "text_cnn", "vocabulary": 30, "width": 4, "filters": 4, "dim": 6},  # whole words dropped
}


def data() -> dict[str, Batch]:
    """Return splits whose labels can be read off each modality; most samples miss one."""
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(120) % 3
    words = torch.randint(4, 30, (120, 8), generator=generator)
    words[:, 0] = label + 1
    values = {
        "image": torch.randn(120, 1, 8, 8, generator=generator) + label[:, None, None, None],
        "series": torch.randn(120, 2, 12, generator=generator) - label[:, None, None],
        "words": words,
    }
    present = torch.rand(120, 3, generator=generator) < 0.7
    present[:, 0] |= ~present.any(dim=1)
    batch = Batch.of(values, label, present)
    return {"train": batch.rows(slice(0, 80)), "val": batch.rows(slice(80, 100)), "test": batch.rows(slice(100, 120))}


def trained() -> dict[str, list[dict[str, float]]]:
    """Return the curve of every tower, and that of a fusion which trains all encoders on."""
    splits = data()
    towers = {
        name: unimodal_fit.fit(
            {split: batch.only([name]) for split, batch in splits.items()},
            ENCODERS[name],
            PRETRAIN,
            COMPUTE,
            epochs=5,
            num_classes=3,
            seed=0,
            augmentation={"noise": 0.1} if name == "series" else None,
        )
        for name in ENCODERS
    }
    fuse = section(
        Fuse,
        head="gated",
        substitute="learned",
        substitute_at="feature",
        protocol="independent",
        missing_rate=0.5,
        epochs=4,
        batch_size=23,
        lr=0.01,
        tower_lr=0.001,
        weight_decay=0.01,
        class_balance=0.0,
    )
    features = {
        split: batch.with_values({name: tower.features[split] for name, tower in towers.items()})
        for split, batch in splits.items()
    }
    context = TrainingContext(
        media=splits,
        compute=COMPUTE,
        num_classes=3,
        seed=0,
        towers={name: tower.tower for name, tower in towers.items()},
        features=features,
        fuse=fuse,
        pretrain=PRETRAIN,
        early={},
    )
    curves = {name: tower.curve for name, tower in towers.items()}
    return curves | {"fusion": fit.fit("ume-mma", context).curve}


def die(steps: int) -> None:
    """Keep everything at once, and be killed after so many steps."""
    keep, calls = resume.Training.keep, itertools.count()

    def kept(training: resume.Training, position: resume.Position) -> None:
        keep(training, position)
        if next(calls) == steps:
            os._exit(9)

    resume.SECONDS, resume.Training.keep = 0.0, kept  # type: ignore[method-assign]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        die(STEPS)
        with resume.kept_in(Path(sys.argv[2]), COMPUTE.set_up().ranks):
            trained()
    result = trained()
    if COMPUTE.set_up().ranks.is_first:
        write_json(Path(sys.argv[1]), result)
