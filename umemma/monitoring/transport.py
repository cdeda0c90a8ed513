"""Figures of labelled samples carried over to rows without labels, pattern by pattern, with the interval of their mean.

Samples that hold a pattern stand for the rows that have just it, with weights that make them alike in what is always
seen. The variance has two parts: today's rows, and the reference's samples, one of which may stand for rows of several
patterns; both are of sums over clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from umemma.evaluation.two_samples import n_effective, student_of, variance_of_sum


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Holders:
    """The samples (holder,) that stand for the rows (row,) of one pattern, with a weight each."""

    rows: np.ndarray
    samples: np.ndarray
    weight: np.ndarray

    @property
    def n_effective(self) -> float:
        """How many samples of equal weight would be as good."""
        return n_effective(self.weight)


@dataclass(frozen=True)
class Figure:
    """What is known of a pattern's rows, `known` (row,), and what its holders add on average, `missing` (holder,)."""

    holders: Holders
    known: np.ndarray
    missing: np.ndarray


def carried_over(figures: Sequence[Figure], rest: np.ndarray, today: np.ndarray, reference: np.ndarray) -> Estimate:
    """Return the mean over the rows of the figures, and over `rest` (row,), rows of which it is 0.

    `today` and `reference`: the cluster of each row and sample.
    """
    total = len(rest) + sum(len(one.holders.rows) for one in figures)
    of_today, of_reference = np.zeros(len(today)), np.zeros(len(reference))
    rows = np.concatenate([rest, *(one.holders.rows for one in figures)]).astype(int)
    for one in figures:
        of_today[one.holders.rows] = of_rows(one)
        share = one.holders.weight / one.holders.weight.sum()
        off = one.missing - share @ one.missing
        of_reference[one.holders.samples] += len(one.holders.rows) / total * share * off
    value = float(of_today[rows].mean())
    variance = variance_of_sum((of_today[rows] - value) / total, today[rows]) + variance_of_sum(of_reference, reference)
    half = student_of(today[rows], reference) * variance**0.5
    return Estimate(value, value - half, value + half)


def mean_share(values: np.ndarray, cluster: np.ndarray) -> Estimate:
    """Return the mean of (row,) values of 0 to 1, with Wilson's interval at the number of rows that clusters leave.

    All that are equal say nothing of the variance; then each cluster counts as one row.
    """
    value, num_clusters = float(values.mean()), len(np.unique(cluster))
    variance = variance_of_sum((values - value) / len(values), cluster)
    number = value * (1 - value) / variance if variance > 0 else float(num_clusters)
    z = student_of(cluster)
    middle = (value + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z * (value * (1 - value) / number + z**2 / (4 * number**2)) ** 0.5 / (1 + z**2 / number)
    return Estimate(value, max(middle - half, 0.0), min(middle + half, 1.0))


def of_rows(figure: Figure) -> np.ndarray:
    """Return (row,) what is expected of each."""
    return figure.known + np.average(figure.missing, weights=figure.holders.weight)
