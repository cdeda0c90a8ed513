"""Splits drawn for a table: by shares, every class shared out alike, no group in two splits.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011), over groups instead of samples: the rarest class that is
left is dealt out first, each of its groups to the split that still wants most of that class. With one label a sample
and no groups this is the plain stratified split. The order is the hash of (seed, group), so the result does not depend
on the order of the rows; a row more or less moves only few others.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from umemma.data.sample import SPLITS
from umemma.errors import ParameterError, unknown

DEFAULT_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def drawn(labels: Sequence[Sequence[int]], groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Return a split for every row; `labels`: the classes of each, `shares`: of all rows, by split, summing to 1."""
    splits = [split for split in SPLITS if shares.get(split, 0) > 0]
    counts: dict[str, Counter[int]] = {}
    for own, group in zip(labels, groups, strict=True):
        counts.setdefault(group, Counter()).update([*own, _ROW])
    ordered = sorted(counts, key=lambda group: (-counts[group][_ROW], _hash(seed, group)))
    total: Counter[int] = sum(counts.values(), Counter())
    wanted = {split: {one: shares[split] * number for one, number in total.items()} for split in splits}
    of_group: dict[str, str] = {}
    left = total.copy()
    holders: dict[int, list[str]] = {one: [] for one in total}
    for group in ordered:
        for one in counts[group]:
            holders[one].append(group)
    while left[_ROW] > 0:
        rarest = min((one for one in left if left[one] > 0), key=lambda one: (one == _ROW, left[one], one))
        for group in holders[rarest]:
            if group not in of_group:
                split = max(splits, key=lambda split: (wanted[split][rarest], wanted[split][_ROW]))
                of_group[group] = split
                for one, number in counts[group].items():
                    wanted[split][one] -= number
                    left[one] -= number
    return [of_group[group] for group in groups]


def checked_shares(shares: Mapping[str, float], given: Sequence[str]) -> dict[str, float]:
    """Return shares that sum to 1; train's is the rest where it is left out. `given`: splits that a column names.

    Raises ParameterError, also where a share is asked of a split other than train that the column has.
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


_ROW = -1  # stands beside the classes: every row counts as one of these


def _hash(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
