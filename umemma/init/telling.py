"""Whether one column tells another: how many of its errors a guess by the other column saves.

Goodman and Kruskal's lambda, with each row left out of its own prediction, so that names that occur once tell nothing.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

SURE = 0.98  # lambda from which on one column is another spelling of the other
_FEW_ROWS = 20


def tells(known: Sequence[Hashable | None], told: Sequence[Hashable | None]) -> float:
    """Return lambda, from 0 (tells nothing) to 1, over the rows that have both; 0 for fewer than 20 of these."""
    pairs = [(key, value) for key, value in zip(known, told, strict=True) if key is not None and value is not None]
    totals = Counter(value for _, value in pairs)
    if len(pairs) < _FEW_ROWS or len(totals) < 2:
        return 0.0
    usual, num_usual = totals.most_common(1)[0]
    of_key: dict[Hashable, Counter[Hashable]] = {}
    for key, value in pairs:
        of_key.setdefault(key, Counter())[value] += 1
    num_right = 0
    for counts in of_key.values():
        if counts.total() == 1:
            num_right += counts[usual]
            continue
        (_, first), *rest = counts.most_common(2)
        second = rest[0][1] if rest else 0
        num_right += first if first - 1 >= second else 0
    return max(0.0, (num_right - num_usual) / (len(pairs) - num_usual))
