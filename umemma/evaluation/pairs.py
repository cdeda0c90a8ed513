"""Which modalities need each other: the interaction of pairs.

With v(S) = I(X_S; Y), the Moebius term D(ij) = v(ij) - v(i) - v(j) = I(Xi; Xj | Y) - I(Xi; Xj) is synergy minus redundancy in
any non-negative decomposition (Williams & Beer 2010): above 0 the pair says more than its two parts, so there is synergy of
at least D; below 0 both say the same, so there is redundancy of at least -D. All three values are estimates on the same
samples, those that have the pair.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import torch
from scipy.special import stdtr

from umemma.evaluation.bootstrap import Resamples, difference, holm, rounded, variance_of
from umemma.evaluation.known import Candidates
from umemma.missingness import Pattern

Key = TypeVar("Key", bound=Hashable)


def interactions(candidates: Candidates, patterns: Sequence[Pattern], resamples: Resamples) -> dict[Pattern, Any]:
    """Return by pair the interaction in nats, with p of none, two-sided, corrected by Holm's method over pairs.

    `patterns` are those that test samples have; pairs of which no sample has both are not known.
    """
    num = len(patterns[0]) if patterns else 0
    estimates = {}
    for i, j in combinations(range(num), 2):
        pair = tuple(m in (i, j) for m in range(num))
        if pair not in patterns:
            continue
        alone = [tuple(m == one for m in range(num)) for one in (i, j)]
        both, *each = (candidates.known(small, pair).lower_bound for small in (pair, *alone))
        estimates[pair] = both - sum(each), candidates.has(pair)
    return against_zero(estimates, resamples, two_sided=True)


def against_zero(
    estimates: Mapping[Key, tuple[torch.Tensor, torch.Tensor]], resamples: Resamples, *, two_sided: bool
) -> dict[Key, Any]:
    """Return by key the interval of an estimate (1 + replicate,) on samples `rows`, and p of 0 after Holm's correction."""
    p, intervals = [], {}
    for key, (estimate, rows) in estimates.items():
        clusters = resamples.clusters_of(rows)
        intervals[key] = difference(estimate, clusters)
        p.append(_chance(estimate, clusters, two_sided=two_sided))
    corrected = holm(torch.tensor(p, dtype=torch.float64)).tolist()
    return {key: {**intervals[key], "p_holm": rounded(value)} for key, value in zip(intervals, corrected, strict=True)}


def _chance(estimate: torch.Tensor, clusters: int, *, two_sided: bool) -> float:
    """Return p of 0 by Student's t, as the interval is: two-sided it is below 0.05 where the interval excludes 0."""
    variance = variance_of(estimate, clusters)
    if not variance:  # unknown, or 0
        return 1.0
    t = estimate[0].item() / math.sqrt(variance)
    return float(2 * stdtr(clusters - 1, -abs(t)) if two_sided else stdtr(clusters - 1, -t))
