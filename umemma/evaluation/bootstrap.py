"""Statistical uncertainty: a paired cluster bootstrap, a paired sign-flip test, and Holm's correction.

Samples that share a recording or a person are not independent, so clusters are resampled, not samples (Davison &
Hinkley 1997, section 3.8). A replicate is a weight for every cluster, the same for every quantity and model: any
arithmetic on estimates of one `Resamples` is paired. An estimate is a tensor (1 + replicate, ...) whose first entry is
the value itself.
"""

import math
from typing import NamedTuple

import torch
from scipy.special import ndtri, stdtr, stdtrit

LEVEL = 0.95
_FLIPS_AT_ONCE, _SIGNS_AT_ONCE = 500, 2**23
_MANY_FLIPS = 20_000
Interval = dict[str, float | None]


class Resamples:
    """Clusters drawn with replacement, as many as there are.

    `weight`: (1 + replicate, cluster) float64, how often each was drawn; the first row is all ones. `cluster`:
    (sample,) int64. A single cluster says nothing about variance: then there are no replicates and no intervals.
    """

    def __init__(self, group: torch.Tensor, *, replicates: int, seed: int) -> None:
        """`group`: (sample,) int64, equal for samples of the same cluster."""
        self.cluster, self.num_clusters = _clusters(group)
        self.is_clustered = self.num_clusters < len(group)
        replicates = replicates if self.num_clusters > 1 else 0
        drawn = torch.randint(
            self.num_clusters, (replicates, self.num_clusters), generator=torch.Generator().manual_seed(seed)
        )
        self.weight = torch.ones(1 + replicates, self.num_clusters, dtype=torch.float64)
        self.weight[1:] = 0
        self.weight[1:].scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand(drawn.shape))

    def sums(self, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return (1 + replicate, ...): the sum of values (sample, ...) over the samples that `rows` (sample,) selects."""
        by_cluster = _cluster_sums(values[rows].double(), self.cluster[rows], self.num_clusters)
        return (self.weight @ by_cluster.flatten(1)).reshape(-1, *values.shape[1:])

    def by_cluster(self, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return (cluster, ...): the sum of values (sample, ...) over the selected samples of each cluster that has any."""
        cluster, number = _clusters(self.cluster[rows])
        return _cluster_sums(values[rows].double(), cluster, number)

    def mean(self, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return (1 + replicate,): the mean of values (sample,); NaN if a replicate has none of the rows."""
        total, number = self.sums(
            torch.stack([values.double(), torch.ones_like(values, dtype=torch.float64)], dim=1), rows
        ).unbind(dim=1)
        return total / number

    def clusters_of(self, rows: torch.Tensor) -> int:
        """Return how many clusters the samples that `rows` (sample,) selects come from."""
        return len(self.cluster[rows].unique())

    def sample_weight(self, rows: torch.Tensor) -> torch.Tensor:
        """Return (1 + replicate, row): how often each sample that `rows` (sample,) selects was drawn."""
        return self.weight[:, self.cluster[rows]]


def interval(
    estimate: torch.Tensor, clusters: int, *, lowest: float = -math.inf, highest: float = math.inf
) -> Interval:
    """Return value, low and high of an estimate (1 + replicate,), to 6 decimals; None where undefined.

    The percentile interval of level 0.95, shifted so that the replicates' median equals the value: resampling biases
    entropy downwards and calibration error upwards, by as much as the value itself is already biased; without the shift
    such an interval may exclude its own value. For means it changes nothing. Percentiles are those of many `clusters`: of
    few, G, the replicates' variance is (G - 1) / G of what it should be, and Student's t is due, so both ends are that much
    further from the median (as Hesterberg 2015 expands levels). Non-finite replicates are dropped; if they are the majority,
    or there is one cluster, low and high are None. `lowest` and `highest` clip both ends.
    """
    value, replicates = estimate[0].item(), estimate[1:]
    replicates = replicates[replicates.isfinite()]
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if clusters < 2 or 2 * len(replicates) <= len(estimate) - 1:
        return {"value": rounded(value), "low": None, "high": None}
    levels = torch.tensor([(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], dtype=replicates.dtype)
    low, median, high = replicates.quantile(levels).tolist()
    widening = student(clusters - 1) / float(ndtri((1 + LEVEL) / 2)) * math.sqrt(clusters / (clusters - 1))
    low, high = (min(max(value + widening * (end - median), lowest), highest) for end in (low, high))
    return {"value": rounded(value), "low": rounded(low), "high": rounded(high)}


def student(degrees: float) -> float:
    """Return how many standard errors an interval reaches to either side, with so many degrees of freedom."""
    return float(stdtrit(degrees, (1 + LEVEL) / 2))


def share(estimate: torch.Tensor, clusters: int) -> Interval:
    """Return value, low and high of an estimate (1 + replicate,) that lies between 0 and 1, such as an accuracy or F1.

    Wilson's score interval (1927) at the effective number of samples, p (1 - p) / variance of the replicates, with
    Student's t for the number of clusters (Korn & Graubard 1998): the percentiles of replicates shrink to a point where
    all predictions are correct, however few there are, and are too narrow for few clusters. Replicates that all agree
    say nothing about the variance; then every cluster counts as one sample.
    """
    value, variance = estimate[0].item(), variance_of(estimate, clusters)
    if variance is None:
        return {"value": rounded(value), "low": None, "high": None}
    number = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else float(clusters)
    t_squared = student(clusters - 1) ** 2
    middle = (value + t_squared / (2 * number)) / (1 + t_squared / number)
    half = math.sqrt(t_squared * (value * (1 - value) / number + t_squared / (4 * number**2))) / (
        1 + t_squared / number
    )
    return {"value": rounded(value), "low": rounded(max(middle - half, 0.0)), "high": rounded(min(middle + half, 1.0))}


def difference(
    estimate: torch.Tensor, clusters: int, *, lowest: float = -math.inf, highest: float = math.inf
) -> Interval:
    """Return value, low and high of a paired difference of scores, an estimate (1 + replicate,).

    The value plus and minus the replicates' standard deviation times Student's t for the number of clusters. Where two
    models differ in one or two samples all to one side, no replicate lies on the other side, and percentiles would claim
    a difference that a test does not see; with few clusters they are too narrow as well. `lowest` and `highest` clip.
    """
    value, variance = estimate[0].item(), variance_of(estimate, clusters)
    if variance is None:
        return {"value": rounded(value), "low": None, "high": None}
    half = student(clusters - 1) * math.sqrt(variance)
    return {
        "value": rounded(value),
        "low": rounded(max(value - half, lowest)),
        "high": rounded(min(value + half, highest)),
    }


class Shift(NamedTuple):
    """A paired difference of scores: interval, standard error, and p, one-sided, of it being 0 when it is below."""

    interval: Interval
    error: float | None
    p: float | None


def shift(estimate: torch.Tensor, clusters: int) -> Shift:
    """Return a paired difference of shares, an estimate (1 + replicate,), with what a decision needs.

    As `difference`, with two clusters more, one for and one against (Bonett & Price 2012): on few samples two models may
    agree, or one win, by luck, and the replicates know nothing of other samples.
    """
    value, variance = estimate[0].item(), variance_of(estimate, clusters)
    if variance is None:
        return Shift({"value": rounded(value), "low": None, "high": None}, None, None)
    error = math.sqrt(variance + 2 / (clusters + 2) ** 2)
    half = student(clusters - 1) * error
    low, high = max(value - half, -1.0), min(value + half, 1.0)
    interval = {"value": rounded(value), "low": rounded(low), "high": rounded(high)}
    return Shift(interval, error, float(stdtr(clusters - 1, value / error)))


def variance_of(estimate: torch.Tensor, clusters: int) -> float | None:
    """Return the variance of an estimate (1 + replicate,) over clusters; None where it, or most of its replicates, is undefined."""
    replicates = estimate[1:][estimate[1:].isfinite()]
    if not estimate[0].isfinite() or clusters < 2 or 2 * len(replicates) <= len(estimate) - 1:
        return None
    return replicates.var().item() * clusters / (clusters - 1)


def rounded(value: float) -> float | None:
    """Return the value rounded to 6 decimals for a report; None if it is NaN or infinite."""
    return round(value, 6) + 0.0 if math.isfinite(value) else None


class Chances(NamedTuple):
    """p values (column,): one-sided (mean below zero) and two-sided."""

    less: torch.Tensor
    different: torch.Tensor


def sign_flip(differences: torch.Tensor, group: torch.Tensor, *, flips: int, seed: int) -> Chances:
    """Test paired differences (sample, column) against zero: under the null hypothesis a cluster's sign is random.

    p = (1 + number of flips at least as extreme) / (1 + flips), so never 0 (Phipson & Smyth 2010). The same flips are
    used for every column. A row that does not count has a difference of 0.
    """
    sums = _cluster_sums(differences.double(), *_clusters(group))
    observed = sums.sum(dim=0)
    slack = 1e-9 * sums.abs().sum(dim=0)  # equal sums may differ by the order of addition
    generator = torch.Generator().manual_seed(seed)
    at_once = min(_FLIPS_AT_ONCE, max(1, _SIGNS_AT_ONCE // len(sums)))
    less, different = torch.ones_like(observed), torch.ones_like(observed)
    for start in range(0, flips, at_once):
        shape = (min(at_once, flips - start), len(sums))
        signs = 2 * torch.randint(2, shape, generator=generator, dtype=torch.float64) - 1
        flipped = signs @ sums
        less += (flipped <= observed + slack).sum(dim=0)
        different += (flipped.abs() >= observed.abs() - slack).sum(dim=0)
    return Chances(less / (1 + flips), different / (1 + flips))


def enough_flips(replicates: int, num_comparisons: int, significance: float = 0.05) -> int:
    """Return how many flips allow the smallest p value to be 20-fold below the significance after Holm.

    Beyond 20,000 flips 2-fold is enough: of ten modalities and as many arms a thousand figures are compared.
    """
    flips = num_comparisons / significance
    return max(replicates, math.ceil(min(20 * flips, max(_MANY_FLIPS, 2 * flips))))


def holm(p: torch.Tensor) -> torch.Tensor:
    """Return p values (comparison,) corrected for multiple comparisons (Holm 1979): family-wise error rate."""
    order = p.argsort()
    factor = torch.arange(len(p), 0, -1, dtype=p.dtype)
    corrected = torch.empty_like(p)
    corrected[order] = (p[order] * factor).cummax(dim=0).values.clamp(max=1.0)
    return corrected


def _clusters(group: torch.Tensor) -> tuple[torch.Tensor, int]:
    names, cluster = group.unique(return_inverse=True)
    return cluster, len(names)


def _cluster_sums(values: torch.Tensor, cluster: torch.Tensor, num_clusters: int) -> torch.Tensor:
    return values.new_zeros(num_clusters, *values.shape[1:]).index_add_(0, cluster, values)
