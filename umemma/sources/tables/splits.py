"""Draws splits for a table: by shares, stratified by class, no group in two splits.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) over groups instead of samples: the rarest remaining class
is distributed first, each of its groups to the split that still needs most of that class. With one label per sample and
no groups this is the usual stratified split. Groups are ordered by the hash of (seed, group), so the result does not
depend on the order of the rows, and adding or removing a row moves only few others.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from umemma.data.sample import SPLITS
from umemma.errors import ParameterError, unknown

DEFAULT_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def drawn(labels: Sequence[Sequence[int]], groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Return a split for every row; `labels`: the classes of each row, `shares`: by split, summing to 1."""
    splits = [split for split in SPLITS if shares.get(split, 0) > 0]
    counts: dict[str, Counter[int]] = {}
    for row_labels, group in zip(labels, groups, strict=True):
        counts.setdefault(group, Counter()).update([*row_labels, _ROW])
    ordered = sorted(counts, key=lambda group: (-counts[group][_ROW], _hash(seed, group)))
    total: Counter[int] = sum(counts.values(), Counter())
    wanted = {split: {label: shares[split] * number for label, number in total.items()} for split in splits}
    split_of: dict[str, str] = {}
    left = total.copy()
    holders: dict[int, list[str]] = {label: [] for label in total}
    for group in ordered:
        for label in counts[group]:
            holders[label].append(group)
    while left[_ROW] > 0:
        rarest = min(
            (label for label in left if left[label] > 0), key=lambda label: (label == _ROW, left[label], label)
        )
        for group in holders[rarest]:
            if group not in split_of:
                split = max(splits, key=lambda split: (wanted[split][rarest], wanted[split][_ROW]))
                split_of[group] = split
                for label, number in counts[group].items():
                    wanted[split][label] -= number
                    left[label] -= number
    return [split_of[group] for group in groups]


def checked_shares(shares: Mapping[str, float], given: Sequence[str]) -> dict[str, float]:
    """Return shares that sum to 1; train's defaults to the rest. `given`: splits that occur in the split column.

    Raises ParameterError, also for a share of a split other than train that the column already has.
    """
    where = "dataset.options.shares"
    for split, share in shares.items():
        if split not in SPLITS:
            raise ParameterError(unknown(where, "split", split, SPLITS))
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ParameterError(f"{where}.{split} must lie between 0 and 1, not {share!r}")
        if split != "train" and split in given:
            raise ParameterError(
                f"{where}.{split}: the split column has {split} already; shares are of the rows that it calls train"
            )
    rest = 1 - sum(share for split, share in shares.items() if split != "train")
    if rest <= 0 or abs(shares.get("train", rest) - rest) > 1e-6:
        raise ParameterError(f"{where} must sum to 1, they are {dict(shares)}")
    return {**shares, "train": rest}


_ROW = -1  # pseudo-class that every row has


def _hash(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
