"""What new answers are compared with: the run's answers to its labelled test samples under every measured pattern, and
the summaries of their arrays. Labels and answers are in it, keys as digests, and no media.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from umemma.models import safetensors
from umemma.prediction import predictions
from umemma.prediction.predictions import Predictions
from umemma.serving.folder import REFERENCE, ModelFolderError

_SPLIT = "test"


@dataclass(frozen=True)
class Reference:
    """The test samples; `summaries` {modality: (sample, statistic)} float64, of those that have the modality."""

    predictions: Predictions
    summaries: Mapping[str, torch.Tensor]


def write(folder: Path, reference: Reference) -> None:
    """Write the files of a model folder."""
    (folder / REFERENCE).mkdir()
    predictions.write(folder / REFERENCE / "predictions.safetensors", {_SPLIT: reference.predictions}, {})
    safetensors.write(folder / REFERENCE / "summaries.safetensors", dict(reference.summaries), {})
    for path in (folder / REFERENCE).iterdir():
        path.chmod(0o644)  # safetensors lets nobody else read it


def read(folder: Path) -> Reference:
    """Read what `write` wrote, of a verified folder. Raises ModelFolderError for a folder of an earlier version."""
    if not (folder / REFERENCE).is_dir():
        raise ModelFolderError(
            f"{folder} has no {REFERENCE}/: answers to test samples, which new ones are compared with; export it again"
        )
    splits, _ = predictions.read(folder / REFERENCE / "predictions.safetensors")
    summaries, _ = safetensors.read(folder / REFERENCE / "summaries.safetensors")
    return Reference(splits[_SPLIT], summaries)
