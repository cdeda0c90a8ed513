"""Draws splits for a table: by shares, stratified by class and by modality, no group in two splits.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) over groups instead of samples: the rarest remaining class
is distributed first, each of its groups to the split that still needs most of that class. What is present counts as a
class does: otherwise a modality that few rows have could be absent from a split by chance. Groups are ordered by the
hash of (seed, group), so the result does not depend on the order of the rows, and adding or removing a row moves only
few others.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

from umemma.data.sample import SPLITS
from umemma.errors import ParameterError, unknown

DEFAULT_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def drawn(
    strata: Sequence[Sequence[Hashable]], groups: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Return a split for every row; `strata`: the classes and modalities of each row, `shares`: by split, summing to 1.

    What at least as many groups have as there are splits goes to every split, as long as these are not given away for
    the sake of something rarer.
    """
    splits = [split for split in SPLITS if shares.get(split, 0) > 0]
    counts: dict[str, Counter[Hashable]] = {}
    for of_row, group in zip(strata, groups, strict=True):
        counts.setdefault(group, Counter()).update([*of_row, _ROW])
    ordered = sorted(counts, key=lambda group: (-counts[group][_ROW], _hash(seed, group)))
    total: Counter[Hashable] = sum(counts.values(), Counter())
    holders: dict[Hashable, list[str]] = {stratum: [] for stratum in total}
    for group in ordered:
        for stratum in counts[group]:
            holders[stratum].append(group)
    wanted: dict[str, dict[Hashable, float]] = {split: {} for split in splits}
    for stratum, number in total.items():
        for split, count in _wanted(number, len(holders[stratum]), shares, splits).items():
            wanted[split][stratum] = count
    split_of: dict[str, str] = {}
    left = total.copy()
    while left[_ROW] > 0:
        rarest = min(
            (stratum for stratum in left if left[stratum] > 0),
            key=lambda stratum: (stratum == _ROW, left[stratum], str(stratum)),
        )
        undrawn = [group for group in holders[rarest] if group not in split_of]
        have = {split_of[group] for group in holders[rarest] if group in split_of}
        for number, group in enumerate(undrawn):
            open_to = _open_to(splits, have, len(holders[rarest]), len(undrawn) - number)
            split = max(open_to, key=lambda split: (wanted[split][rarest], wanted[split][_ROW]))
            have.add(split)
            split_of[group] = split
            for stratum, count in counts[group].items():
                wanted[split][stratum] -= count
                left[stratum] -= count
    return [split_of[group] for group in groups]


def _open_to(splits: Sequence[str], have: Collection[str], num_holders: int, num_undrawn: int) -> Sequence[str]:
    """Return the splits that the next holder of a stratum may go to: once it is scarce, those that `have` none.

    Shares alone would give the last of four large groups to train, which still needs the most.
    """
    lacking = [split for split in splits if split not in have]
    return lacking if num_holders >= len(splits) and num_undrawn <= len(lacking) else splits


def _wanted(number: int, num_groups: int, shares: Mapping[str, float], splits: Sequence[str]) -> dict[str, float]:
    """Return how many rows of a stratum each split should get: its share, and one at least if there are enough."""
    largest = max(splits, key=lambda split: shares[split])
    least = 1.0 if num_groups >= len(splits) else 0.0
    wanted = {split: max(shares[split] * number, least) for split in splits if split != largest}
    return wanted | {largest: number - sum(wanted.values())}


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


_ROW = -1  # pseudo-class that every row has; classes are from 0, modalities are names


def _hash(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
