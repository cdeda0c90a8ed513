"""What an exported model answers to the test samples of any shards, in every pattern: a model tested on new data.

So that a model can be compared with one that was trained since, when the data have grown. Of samples as its own run had
them, the answers are those on file, to the bit.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from umemma.data import manifest, shards
from umemma.data.shards import MANIFEST, Index
from umemma.errors import DataError, some
from umemma.missingness import Pattern, panel
from umemma.prediction.predictions import Predictions
from umemma.serving.model import ROWS_AT_ONCE, Model, load
from umemma.serving.row import Row

SPLIT = "test"


def predictions(folder: Path, shard_folder: Path, modalities: Sequence[str]) -> Predictions:
    """Return the answers of a model folder under every pattern of `modalities`, in that order.

    It is asked without those that it does not know. Raises DataError if it knows other classes, or cannot take a file.
    """
    model, index = load(folder), shards.verify(shard_folder)
    if model.classes != index.classes:
        others = set(model.classes) ^ set(index.classes)
        raise DataError(f"it knows other classes than the data have: {some(sorted(others)) or 'in another order'}")
    targets = manifest.targets(shard_folder / MANIFEST, len(index.classes))
    patterns = panel(len(modalities))
    present, parts = [], {pattern: list[torch.Tensor]() for pattern in patterns}
    rows = _rows(model, index, shard_folder, modalities)
    while block := list(islice(rows, ROWS_AT_ONCE)):
        present += [has for has, _ in block]
        for pattern in patterns:
            kept = {name for name, is_kept in zip(modalities, pattern, strict=True) if is_kept}
            parts[pattern].append(model.logits([_only(row, kept) for _, row in block]))
    logits = {pattern: torch.cat(part) for pattern, part in parts.items()}
    logits[(False,) * len(modalities)] = model.calibration.log_prior.expand(len(present), -1).clone()
    known = {pattern: _as_known(pattern, modalities, model.modalities) for pattern in patterns}
    thresholds = model.calibration.threshold
    return Predictions(
        tuple(modalities),
        torch.tensor(present),
        targets.label[SPLIT],
        targets.group[SPLIT],
        targets.key[SPLIT],
        logits,
        {pattern: thresholds[own] for pattern, own in known.items() if own in thresholds},
    )


def _rows(model: Model, index: Index, folder: Path, modalities: Sequence[str]) -> Iterator[tuple[list[bool], Row]]:
    """Yield, for each sample, which modalities it has, and those that the model knows as it takes them."""
    for shard in index.shards:
        if shard.split == SPLIT:
            for members in zip(*(shards.members(folder, shard, name) for name in modalities), strict=True):
                content = dict(zip(modalities, (one for _, one in members), strict=True))
                key = members[0][0]
                values = {
                    name: model.reader.array(name, one)
                    for name, one in content.items()
                    if one is not None and name in model.modalities
                }
                yield [one is not None for one in content.values()], Row(key, key, values)


def _only(row: Row, kept: set[str]) -> Row:
    return Row(row.place, row.key, {name: value for name, value in row.values.items() if name in kept})


def _as_known(pattern: Pattern, modalities: Sequence[str], known: Sequence[str]) -> Pattern:
    kept = {name for name, is_kept in zip(modalities, pattern, strict=True) if is_kept}
    return tuple(name in kept for name in known)
