"""The manifest's columns used in training and evaluation, as tensors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pyarrow import parquet

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
    table = parquet.read_table(path, columns=["key", "split", column, "group"]).to_pydict()
    rows: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, split in enumerate(table["split"]):
        if split in rows:
            rows[split].append(row)
    label, key, group, keys_digest = {}, {}, {}, {}
    for split in SPLITS:
        keys, labels, groups = ([table[name][row] for row in rows[split]] for name in ("key", column, "group"))
        tensor = _several if column == "labels" else _single
        label[split] = tensor(labels, keys, num_classes, path)
        key[split] = key_digest(keys)
        numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
        group[split] = torch.tensor([numbers[name] for name in groups], dtype=torch.int64)
        keys_digest[split] = keys_sha256(keys)
    return Targets(label, key, group, keys_digest, sha256(path))


def names(path: Path, split: str) -> tuple[list[str], list[str]]:
    """Return the keys and the groups of a split's samples as text, in the manifest's order."""
    table = parquet.read_table(path, columns=["key", "split", "group"]).to_pylist()
    rows = [row for row in table if row["split"] == split]
    return [row["key"] for row in rows], [row["group"] for row in rows]


def keys_sha256(keys: Sequence[str]) -> str:
    """Return one sha256 over keys in order."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def _single(labels: Sequence[int], keys: Sequence[str], num_classes: int, path: Path) -> torch.Tensor:
    """Return (sample,) int64."""
    label = torch.tensor(labels, dtype=torch.int64)
    _check(label, keys, num_classes, path)
    return label


def _several(labels: Sequence[Sequence[int]], keys: Sequence[str], num_classes: int, path: Path) -> torch.Tensor:
    """Return (sample, class) bool."""
    row = [number for number, labels_of_row in enumerate(labels) for _ in labels_of_row]  # row of each label
    label = torch.tensor([label for labels_of_row in labels for label in labels_of_row], dtype=torch.int64)
    _check(label, [keys[number] for number in row], num_classes, path)
    has_label = torch.zeros(len(labels), num_classes, dtype=torch.bool)
    has_label[torch.tensor(row, dtype=torch.int64), label] = True
    return has_label


def _check(label: torch.Tensor, keys: Sequence[str], num_classes: int, path: Path) -> None:
    for row in ((label < 0) | (label >= num_classes)).nonzero().flatten().tolist():
        raise DataError(
            f"{path}: sample {keys[row]} has label {label[row]}, but dataset.classes has {num_classes} "
            f"classes, 0 to {num_classes - 1}"
        )
