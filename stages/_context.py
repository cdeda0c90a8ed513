"""Inputs of `fuse`, `reference` and `evaluate`: towers and data from the earlier stages."""

from pathlib import Path

from stages import MANIFEST, _arrays
from umemma.data import arrays, manifest
from umemma.data.manifest import Targets
from umemma.parameters import Parameters
from umemma.training import context
from umemma.training.context import TrainingContext


def load(settings: Parameters) -> tuple[TrainingContext, Targets]:
    """Return the training context and the targets of its samples."""
    dataset = settings.dataset
    targets = manifest.targets(MANIFEST, len(dataset.classes))
    loaded = context.load(
        dataset,
        targets,
        inputs=_arrays.folders(dataset),
        towers={name: Path("data/towers") / dataset.name / name for name in dataset.modalities},
        fuse=settings.fuse,
        pretrain=settings.pretrain,
        compute=settings.compute,
        seed=settings.seed,
    )
    return loaded, targets


def inputs(settings: Parameters) -> list[Path]:
    """Return the files and folders that are read for a context."""
    dataset = settings.dataset
    read = _arrays.folders(dataset).values()
    return [MANIFEST, *read, *(Path("data/towers") / dataset.name / name for name in dataset.modalities)]


def fingerprint(settings: Parameters, targets: Targets) -> str:
    """Return the digest of the arrays and labels of every split."""
    dataset = settings.dataset
    folders = {name: Path("data/arrays") / dataset.name / name for name in dataset.modalities}
    return arrays.fingerprint(folders, targets.label)
