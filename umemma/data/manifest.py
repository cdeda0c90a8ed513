"""The manifest's columns used in training and evaluation, as tensors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import compute, parquet

from umemma.data.sample import SPLITS
from umemma.errors import DataError
from umemma.files import sha256
from umemma.missingness import key_digest


@dataclass(frozen=True)
class Targets:
    """For each split, aligned with the decoded arrays: label, key digest, group; the last two (sample,) int64.

    `label` is (sample,) int64, or (sample, class) bool for multi-label data: `label.ndim` distinguishes them.
    Group numbers are valid within their split only. `keys_sha256` is the digest of the split's keys in order. `sha256`
    is the manifest's own: as the manifest holds every sample's digest, it also identifies the shards' content.
    """

    label: dict[str, torch.Tensor]
    key: dict[str, torch.Tensor]
    group: dict[str, torch.Tensor]
    keys_sha256: dict[str, str]
    sha256: str


def targets(path: Path, num_classes: int) -> Targets:
    """Read labels, keys and groups from the manifest, split by split, in its order.

    Raises DataError naming the first sample whose label is outside the `num_classes` classes.
    """
    column = "labels" if "labels" in parquet.read_schema(path).names else "label"
    label, key, group, keys_digest = {}, {}, {}, {}
    for split in SPLITS:
        rows = _rows(path, split, ("key", column, "group"))
        keys = rows["key"].to_pylist()
        tensor = _several if column == "labels" else _single
        label[split] = tensor(rows[column].combine_chunks(), keys, num_classes, path)
        key[split] = key_digest(keys)
        group[split] = _tensor(rows["group"].combine_chunks().dictionary_encode().indices)  # in order of appearance
        keys_digest[split] = keys_sha256(keys)
    return Targets(label, key, group, keys_digest, sha256(path))


def names(path: Path, split: str) -> tuple[list[str], list[str]]:
    """Return the keys and the groups of a split's samples as text, in the manifest's order."""
    rows = _rows(path, split, ("key", "group"))
    return rows["key"].to_pylist(), rows["group"].to_pylist()


def keys_sha256(keys: Sequence[str]) -> str:
    """Return one sha256 over keys in order."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def _rows(path: Path, split: str, columns: Sequence[str]) -> pa.Table:
    """Return columns of a split's rows, in the manifest's order; as Arrow has them, a tenth of Python's objects."""
    return parquet.read_table(path, columns=[*columns, "split"], filters=[("split", "=", split)]).drop_columns("split")


def _single(labels: pa.Array, keys: Sequence[str], num_classes: int, path: Path) -> torch.Tensor:
    """Return (sample,) int64."""
    label = _tensor(labels)
    _check(label, range(len(keys)), keys, num_classes, path)
    return label


def _several(labels: pa.ListArray, keys: Sequence[str], num_classes: int, path: Path) -> torch.Tensor:
    """Return (sample, class) bool."""
    row, label = _tensor(compute.list_parent_indices(labels)), _tensor(compute.list_flatten(labels))
    _check(label, row, keys, num_classes, path)
    has_label = torch.zeros(len(labels), num_classes, dtype=torch.bool)
    has_label[row, label] = True
    return has_label


def _tensor(numbers: pa.Array) -> torch.Tensor:
    return torch.from_numpy(numbers.to_numpy(zero_copy_only=False).astype(np.int64))


def _check(
    label: torch.Tensor, rows: Sequence[int] | torch.Tensor, keys: Sequence[str], num_classes: int, path: Path
) -> None:
    for place in ((label < 0) | (label >= num_classes)).nonzero().flatten().tolist():
        raise DataError(
            f"{path}: sample {keys[int(rows[place])]} has label {label[place]}, but dataset.classes has {num_classes} "
            f"classes, 0 to {num_classes - 1}"
        )
