"""Whether one column tells another: how many of its errors a guess by the other column saves.

Goodman and Kruskal's lambda, with each row left out of its own prediction, so that names that occur once tell nothing.
"""

from collections.abc import Hashable, Iterable

import numpy as np

SURE = 0.98  # lambda from which on one column is another spelling of the other
_FEW_ROWS = 20


def codes(cells: Iterable[Hashable | None]) -> np.ndarray:
    """Return a number for each cell, the same for equal ones, in the order of first occurrence; -1 for None."""
    places: dict[Hashable, int] = {}
    return np.array([-1 if cell is None else places.setdefault(cell, len(places)) for cell in cells], dtype=np.int64)


def tells(known: np.ndarray, told: np.ndarray) -> float:
    """Return lambda, from 0 (tells nothing) to 1, over the rows that have both; 0 for fewer than 20 of these.

    Both are `codes`. Of values that are equally common the first that occurs is the usual one.
    """
    has_both = (known >= 0) & (told >= 0)
    known, told = known[has_both], told[has_both]
    totals = np.bincount(told)
    if len(told) < _FEW_ROWS or np.count_nonzero(totals) < 2:
        return 0.0
    num_usual = int(totals.max())
    usual = told[totals[told] == num_usual][0]
    pairs, counts = np.unique(known * len(totals) + told, return_counts=True)
    keys, values = np.divmod(pairs, len(totals))
    order = np.lexsort((-counts, keys))
    keys, values, counts = keys[order], values[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    num_of_key = np.add.reduceat(counts, starts)
    first, nexts = counts[starts], starts + 1
    has_second = np.append(starts[1:], len(keys)) > nexts
    second = np.where(has_second, counts[np.minimum(nexts, len(keys) - 1)], 0)
    right = np.where(first - 1 >= second, first, 0)
    right[num_of_key == 1] = values[starts][num_of_key == 1] == usual
    return max(0.0, float((right.sum() - num_usual) / (len(told) - num_usual)))
