"""Two samples, new and old: which rows of the old are like the new, and does anything differ that this does not explain?

Membership is modelled by logistic regression on what is `given`. Its odds are the weights with which old rows stand for
new ones. A score test then asks whether membership depends on what is `tested` as well; without `given` it compares
means. Rows of one cluster - a recording, one sample asked twice - are no independent draws: the score's variance is that
of cluster sums (Boos 1992), and its statistic is referred to F, as Hotelling's is, since clusters may be few.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from umemma.evaluation.bootstrap import student

_RIDGE = 1.0  # coefficients of standardised columns are taken for draws from N(0, 1): a few rows do not part samples
_STEPS = 50
_EXPLAINED = 1e-6  # share of a column's variance; what is left is rounding
_NEARLY_SURE = 1e-6


@dataclass(frozen=True)
class Rows:
    """Rows of a sample: `values` (row, column) and `cluster` (row,) int, numbers of this sample alone."""

    values: np.ndarray
    cluster: np.ndarray


def ranked(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return where values (row, column) lie among those of a reference, 0 to 1, ties in their middle.

    A mean of ranks is P(value > reference) with ties halved, 0.5 where nothing has changed, and no outlier decides it.
    """
    columns = []
    for old, new in zip(reference.T, values.T, strict=True):
        order = np.sort(old)
        below, upto = np.searchsorted(order, new, "left"), np.searchsorted(order, new, "right")
        columns.append((below + upto) / (2 * len(order)))
    return np.stack(columns, axis=1) if columns else np.zeros((len(values), 0))


def alike(new: np.ndarray, old: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns for membership: ranks of (row, column) among the old rows, their squares and cubes."""
    return _curved(ranked(old, new)), _curved(ranked(old, old))


def _curved(ranks: np.ndarray) -> np.ndarray:
    middle = ranks - 0.5
    return np.concatenate([middle, middle**2, middle**3], axis=1)


def odds(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Return (old row,) the weights that make old rows like the new ones, with mean 1, from columns (row, column)."""
    chance = _membership(*_joined(new, old))[len(new) :]
    weight = chance / (1 - chance)
    return weight / weight.mean()


def differ(new: Rows, old: Rows, given: tuple[np.ndarray, np.ndarray] | None = None) -> float:
    """Return p of the hypothesis that, where `given` (new, old) is equal, `values` are equal in distribution.

    1 where there is nothing to compare: no column that varies, or too few clusters.
    """
    tested = _standardised(np.concatenate([new.values, old.values]))
    columns = (np.zeros((len(new.values), 0)), np.zeros((len(old.values), 0))) if given is None else given
    design, is_new = _joined(*columns)
    chance = _membership(design, is_new)
    spread = chance * (1 - chance)
    design = np.concatenate([np.ones((len(design), 1)), design], axis=1)
    projected = np.linalg.lstsq(design * np.sqrt(spread)[:, None], tested * np.sqrt(spread)[:, None], rcond=None)[0]
    scores = (tested - design @ projected) * (is_new - chance)[:, None]
    cluster = np.concatenate([new.cluster, old.cluster + new.cluster.max(initial=-1) + 1])
    return _hotelling(sums(scores, cluster), least=_EXPLAINED * spread.sum())


def sums(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Return (cluster, ...): sums of values (row, ...) over the rows of each cluster that has any."""
    _, number = np.unique(cluster, return_inverse=True)
    total = np.zeros((number.max(initial=-1) + 1, *values.shape[1:]))
    np.add.at(total, number, values)
    return total


def variance_of_sum(parts: np.ndarray, cluster: np.ndarray) -> float:
    """Return the variance of a sum of parts (row,) with mean 0, from those of clusters."""
    totals = sums(parts, cluster)
    return float((totals**2).sum()) * len(totals) / max(len(totals) - 1, 1)


def student_of(*clusters: np.ndarray) -> float:
    """Return Student's t for an interval, by whichever sample has the fewest clusters."""
    return student(max(min(len(np.unique(each)) for each in clusters) - 1, 1))


def n_effective(weight: np.ndarray) -> float:
    """Return how many equally weighted rows would be as good (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def _hotelling(scores: np.ndarray, least: float) -> float:
    """Return p that the mean of (cluster, column) is 0; a direction with less than `least` variance is no evidence."""
    count, (values, vectors) = len(scores), np.linalg.eigh(scores.T @ scores)
    kept = values > least
    rank = int(kept.sum())
    if rank == 0 or count <= rank + 1:
        return 1.0
    along = scores.sum(axis=0) @ vectors[:, kept]
    statistic = float((along**2 / values[kept]).sum())
    statistic /= max(1 - statistic / count, 1e-12)  # variance about the mean, in place of about 0
    return float(stats.f.sf(statistic * (count - rank) / ((count - 1) * rank), rank, count - rank))


def _joined(new: np.ndarray, old: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([new, old]), np.concatenate([np.ones(len(new)), np.zeros(len(old))])


def _membership(columns: np.ndarray, is_new: np.ndarray) -> np.ndarray:
    """Return (row,): the fitted probability that a row is new."""
    columns = _standardised(columns)
    design = np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
    share = is_new.mean()
    beta = np.zeros(design.shape[1])
    beta[0] = math.log(share / (1 - share))
    ridge = np.diag([0.0, *[_RIDGE] * columns.shape[1]])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(design @ beta).clip(-30, 30)))
        spread = chance * (1 - chance)
        step = np.linalg.solve(
            (design * spread[:, None]).T @ design + ridge, design.T @ (is_new - chance) - ridge @ beta
        )
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return (1 / (1 + np.exp(-(design @ beta).clip(-30, 30)))).clip(_NEARLY_SURE, 1 - _NEARLY_SURE)


def _standardised(columns: np.ndarray) -> np.ndarray:
    scale = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
