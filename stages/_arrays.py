"""The arrays that encoders read; apart from `_context`, so that no change of it concerns a tower."""

from pathlib import Path

from stages import MANIFEST
from umemma.data import arrays, manifest
from umemma.data.batch import Batch
from umemma.data.sample import SPLITS
from umemma.data.settings import Dataset


def folders(dataset: Dataset) -> dict[str, Path]:
    """Return {modality: folder} of what the encoders read: decoded arrays, or features of a frozen backbone."""
    return {name: Path("data") / kind / dataset.name / name for name, kind in dataset.inputs.items()}


def of_modality(name: str, dataset: Dataset) -> tuple[dict[str, Batch], manifest.Targets]:
    """Return {split: Batch} of one modality alone, and the targets of its samples."""
    targets = manifest.targets(MANIFEST, len(dataset.classes))
    folder = {name: folders(dataset)[name]}
    return {split: arrays.load(folder, split, targets) for split in SPLITS}, targets
