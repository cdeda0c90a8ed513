"""The manifest's columns that training and evaluation need, as tensors."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from umemma.missingness import key_digest
from umemma.sample import SPLITS


@dataclass(frozen=True)
class Targets:
    """For each split, aligned with the decoded arrays: label, key digest, group, each (sample,) int64.

    Two samples of a split share a group where the manifest says so; the numbers mean nothing beyond the split.
    `sha256` is the manifest's own: it holds the digest of every sample, so it stands for the shards.
    """

    label: dict[str, torch.Tensor]
    key: dict[str, torch.Tensor]
    group: dict[str, torch.Tensor]
    sha256: str


def targets(path: Path) -> Targets:
    """Read labels, keys and groups from the manifest, split by split, in its order."""
    table = pd.read_parquet(path, columns=["key", "split", "label", "group"])
    parts = {split: table[table["split"] == split] for split in SPLITS}
    return Targets(
        {split: torch.tensor(part["label"].to_numpy(), dtype=torch.int64) for split, part in parts.items()},
        {split: key_digest(part["key"].tolist()) for split, part in parts.items()},
        {split: torch.from_numpy(pd.factorize(part["group"])[0]) for split, part in parts.items()},
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
