"""What accuracy to expect if holes came about otherwise, from test data whose own holes are not random.

The accuracy on samples that have a pattern is that of the pattern only where holes are completely at random. Here they may
depend on the label, which test data have: V = Y. For a target law q(r) of patterns, samples with R = r' stand for every
pattern r inside r', hidden down, with weights w(r', r | V) >= 0 that satisfy

    sum over r' that hold r of p(r' | V) w(r', r | V) = q(r)    for each r and V.

All such weights give unbiased estimates; those here have the least variance if a sample's losses under two patterns
correlate by one half. The estimate is doubly robust: mu_r(V), the mean loss of holders, plus the weighted rest (Robins,
Rotnitzky & Zhao 1994), so it is right if either the weights or mu are.

Where holes depend on the very values that are missing, nobody can know. What is certain then are bounds: if the odds that r
is there change by at most the factor `odds` when the values are known (Tan 2006), the unseen mean accuracy lies between
max(a / odds, 1 - (1 - a) odds) and min(a odds, 1 - (1 - a) / odds) of the seen mean a.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from umemma.evaluation.two_samples import n_effective, student_of, variance_of_sum
from umemma.missingness import Pattern, probability

MOST_MODALITIES = 4  # 3^M weights for each stratum
MIN_EFFECTIVE = 30  # holders that stand for a pattern, in samples of equal weight
_RARE = 0.01  # share of a stratum that holds a pattern
_LITTLE = 0.01  # share of the target that may lie where fewer hold it
_STRICT = 1e4  # how much a constraint counts, to variance


@dataclass(frozen=True)
class Data:
    """Labelled samples, answered under every pattern.

    present  (sample, modality) bool
    stratum  (sample,) int, what holes may depend on
    cluster  (sample,) int
    right    pattern -> (sample,) the share of right decisions, 0 to 1, of holders of the pattern
    """

    present: np.ndarray
    stratum: np.ndarray
    cluster: np.ndarray
    right: Mapping[Pattern, np.ndarray]

    def holds(self, pattern: Pattern) -> np.ndarray:
        """Return (sample,) bool: does it have the whole pattern?"""
        return np.all(self.present[:, np.array(pattern, bool)], axis=1)


@dataclass(frozen=True)
class Expectation:
    """Accuracy under a target law: `naive`, of all that hold each pattern alike, and weighted, with its interval of 95 %.

    `value` is None, and `why` says it, where too few samples stand for a pattern. `bounds` hold whatever the reason of holes
    is, if the odds change by at most the factor asked for. `n_effective`: the least of any pattern.
    """

    naive: float | None
    value: float | None
    low: float | None
    high: float | None
    n_effective: float
    bounds: tuple[float, float] | None
    why: str | None


def expected(data: Data, target: Mapping[Pattern, float], odds: float) -> Expectation:
    """Return what to expect under a target law of patterns, whose shares sum to 1."""
    asked = {pattern: share for pattern, share in target.items() if share > 0}
    strata, stratum = np.unique(data.stratum, return_inverse=True)
    own, number = np.unique(data.present, axis=0, return_inverse=True)
    held = {pattern: data.holds(pattern) for pattern in asked}
    share_of = np.bincount(stratum, minlength=len(strata)) / len(stratum)
    pi = {pattern: np.bincount(stratum, held[pattern], len(strata)) / np.bincount(stratum) for pattern in asked}
    lost = sum(share * share_of[pi[pattern] < _RARE].sum() for pattern, share in asked.items())
    least = min((n_effective(1 / pi[p][stratum[held[p]]]) for p in asked), default=0.0)
    naive = _naive(data, asked, held)
    if least < MIN_EFFECTIVE or lost > _LITTLE:
        why = (
            f"too few samples that have all of it stand for a pattern: {least:.0f} of equal weight"
            if least < MIN_EFFECTIVE
            else f"{lost:.0%} of the target lies where almost no sample has what it shows"
        )
        return Expectation(naive, None, None, None, least, None, why)
    mean = {pattern: _means(data.right[pattern], held[pattern], stratum, len(strata)) for pattern in asked}
    known = np.sum([share * mean[pattern][stratum] for pattern, share in asked.items()], axis=0)
    weight = _weights(own, number, stratum, len(strata), asked)
    rest = np.sum([np.where(held[p], weight[p] * (data.right[p] - mean[p][stratum]), 0.0) for p in asked], axis=0)
    value = float(np.mean(known + rest))
    off = (known + rest - value) / len(known)
    half = student_of(data.cluster) * math.sqrt(variance_of_sum(off, data.cluster))
    return Expectation(naive, value, value - half, value + half, least, _bounds(asked, mean, pi, share_of, odds), None)


def _naive(data: Data, asked: Mapping[Pattern, float], held: Mapping[Pattern, np.ndarray]) -> float | None:
    if not all(rows.any() for rows in held.values()):
        return None
    return float(sum(share * data.right[pattern][held[pattern]].mean() for pattern, share in asked.items()))


def _means(right: np.ndarray, held: np.ndarray, stratum: np.ndarray, num_strata: int) -> np.ndarray:
    """Return (stratum,) the mean of holders; where a stratum has none, that of all."""
    count = np.bincount(stratum, held, num_strata)
    total = np.bincount(stratum, np.where(held, right, 0.0), num_strata)
    return np.where(count > 0, total / np.maximum(count, 1), right[held].mean())


def _weights(
    own: np.ndarray, number: np.ndarray, stratum: np.ndarray, num_strata: int, asked: Mapping[Pattern, float]
) -> dict[Pattern, np.ndarray]:
    """Return {pattern: (sample,)}: with which weight each sample stands for it."""
    patterns = list(asked)
    holds = np.array([[row[np.array(pattern, bool)].all() for pattern in patterns] for row in own])  # (own, pattern)
    result = {pattern: np.zeros(len(stratum)) for pattern in patterns}
    for v in range(num_strata):
        rows = stratum == v
        had = np.bincount(number[rows], minlength=len(own)) / max(rows.sum(), 1)
        found = least_variance(had, holds, np.array(list(asked.values())))
        for column, pattern in enumerate(patterns):
            result[pattern][rows] = found[number[rows], column]
    return result


def least_variance(had: np.ndarray, holds: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return weights (own, pattern) >= 0, 0 where `own` does not hold the pattern, with had @ weights = target (pattern,).

    `had` (own,): how often samples have exactly these modalities. The sum over them of had [(sum w)^2 + sum w^2] is least,
    up to a term that holds the constraints; what no sample holds has weight 0.
    """
    from_, to = np.nonzero(holds & (had > 0)[:, None])
    root, pairs = np.sqrt(had[from_]), np.arange(len(from_))
    a = np.concatenate([np.zeros((len(had) + len(target), len(pairs))), np.diag(root)])
    a[from_, pairs] = root
    a[len(had) + to, pairs] = _STRICT * had[from_]
    b = np.concatenate([np.zeros(len(had)), _STRICT * target, np.zeros(len(pairs))])
    weights = np.zeros(holds.shape)
    if len(pairs):
        weights[from_, to], _ = optimize.nnls(a, b)
    return weights


def _bounds(
    asked: Mapping[Pattern, float],
    mean: Mapping[Pattern, np.ndarray],
    pi: Mapping[Pattern, np.ndarray],
    share_of: np.ndarray,
    odds: float,
) -> tuple[float, float]:
    def accuracy(unseen: Callable[[np.ndarray], np.ndarray]) -> float:
        by_pattern = (
            share * share_of @ (pi[pattern] * mean[pattern] + (1 - pi[pattern]) * unseen(mean[pattern]))
            for pattern, share in asked.items()
        )
        return float(sum(by_pattern))

    return (
        accuracy(lambda a: np.maximum(a / odds, 1 - (1 - a) * odds)),
        accuracy(lambda a: np.minimum(a * odds, 1 - (1 - a) / odds)),
    )


def at_rate(rate: float, patterns: Sequence[Pattern]) -> dict[Pattern, float]:
    """Return the law of patterns if each modality is missing at a rate, whatever else; `patterns` has them all, {} too."""
    return {pattern: probability(pattern, [rate] * len(pattern)) for pattern in patterns}
