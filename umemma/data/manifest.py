"""The manifest's columns that training and evaluation need, as tensors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from pyarrow import parquet

from umemma.data.sample import SPLITS
from umemma.errors import DataError
from umemma.missingness import key_digest


@dataclass(frozen=True)
class Targets:
    """For each split, aligned with the decoded arrays: label, key digest, group; the last two (sample,) int64.

    `label` is (sample,) int64, or (sample, class) bool for data with several labels; `label.ndim` tells which.
    Two samples of a split share a group where the manifest says so; the numbers mean nothing beyond the split.
    `sha256` is the manifest's own: it holds the digest of every sample, so it stands for the shards.
    """

    label: dict[str, torch.Tensor]
    key: dict[str, torch.Tensor]
    group: dict[str, torch.Tensor]
    sha256: str


def targets(path: Path, num_classes: int) -> Targets:
    """Read labels, keys and groups from the manifest, split by split, in its order.

    Raises DataError naming the first sample whose label is none of the `num_classes` classes.
    """
    column = "labels" if "labels" in parquet.read_schema(path).names else "label"
    table = pd.read_parquet(path, columns=["key", "split", column, "group"])
    parts = {split: table[table["split"] == split] for split in SPLITS}
    tensor = _several if column == "labels" else _single
    return Targets(
        {split: tensor(part, num_classes, path) for split, part in parts.items()},
        {split: key_digest(part["key"].tolist()) for split, part in parts.items()},
        {split: torch.from_numpy(pd.factorize(part["group"])[0]) for split, part in parts.items()},
        digest(path),
    )


def digest(path: Path) -> str:
    """Return the manifest's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _single(part: pd.DataFrame, num_classes: int, path: Path) -> torch.Tensor:
    """Return (sample,) int64."""
    label = torch.tensor(part["label"].to_numpy(), dtype=torch.int64)
    _check(label, part["key"].tolist(), num_classes, path)
    return label


def _several(part: pd.DataFrame, num_classes: int, path: Path) -> torch.Tensor:
    """Return (sample, class) bool."""
    counts = torch.tensor([len(labels) for labels in part["labels"]], dtype=torch.int64)
    label = torch.tensor([int(one) for labels in part["labels"] for one in labels], dtype=torch.int64)
    row = torch.repeat_interleave(counts)  # of each label
    _check(label, [part["key"].iloc[one] for one in row.tolist()], num_classes, path)
    found = torch.zeros(len(part), num_classes, dtype=torch.bool)
    found[row, label] = True
    return found


def _check(label: torch.Tensor, keys: Sequence[str], num_classes: int, path: Path) -> None:
    for place in ((label < 0) | (label >= num_classes)).nonzero().flatten().tolist():
        raise DataError(
            f"{path}: sample {keys[place]} has label {label[place]}, but dataset.classes has {num_classes} "
            f"classes, 0 to {num_classes - 1}"
        )
