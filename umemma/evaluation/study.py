"""Variants of a training held against a reference, paired over test samples and seeds, corrected over all that is claimed.

A difference has two sources of chance: which samples are in the test set, and the seed of training. They are crossed,
every seed answers the same samples, so the variances of the two add up (Owen 2007, arXiv 0712.1111, of which this is the
sum that does not take off the part counted twice): that over samples from the paired bootstrap of the mean over seeds,
that over seeds from the spread of the seeds' differences. Two samples are added, one for and one against (Bonett & Price
2012): on few samples variants may agree by luck. Student's t with the fewest degrees of freedom
of any variance in the sum: Satterthwaite's are many just where few seeds agree by luck, which is what a correction over
many claims looks for. Of one seed only the samples are known, and a claim is of those trained models, not of the training.

A claim holds if its p value, corrected by Holm over all claims of its kind, is below SIGNIFICANCE. There are two kinds:
of one condition and part (`corrected`), and of the averages over all conditions (`umemma.evaluation.overall`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev, variance
from typing import Literal, TypeVar

import torch
from scipy.special import stdtr

from umemma.evaluation import parts
from umemma.evaluation.bootstrap import Resamples, holm, student, variance_of
from umemma.evaluation.comparison import Model, check_same_samples
from umemma.evaluation.parts import Part
from umemma.evaluation.scores import telling
from umemma.missingness import Pattern

SIGNIFICANCE = 0.05
_REPLICATES = 1_000
Seeds = Mapping[int, Model]  # the models of one variant
Verdict = Literal["better", "worse", "undecided"]
Place = TypeVar("Place")


@dataclass(frozen=True)
class Differences:
    """Of a variant from the reference on one data set: an estimate (1 + replicate,) for each seed, groups and samples."""

    by_seed: Sequence[torch.Tensor]
    num_groups: int
    num_samples: int


@dataclass(frozen=True)
class Score:
    """A score of one variant: mean over seeds, their standard deviation (None of one), how many."""

    mean: float
    spread: float | None
    num_seeds: int


@dataclass(frozen=True)
class Claim:
    """The variant's score minus the reference's, with the ends of its 95 % interval; None where nothing can be said.

    `p` is two-sided, `p_holm` corrected over all claims of its kind, until then it is `p`.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds."""
        if self.p_holm is None or self.p_holm >= SIGNIFICANCE:
            return "undecided"
        return "better" if self.value > 0 else "worse"


@dataclass(frozen=True)
class Condition:
    """Variants under equal conditions, by name: `scores` and `claims` by (part, metric); the reference has no claims.

    `budgets`: training samples seen by an encoder, the first seed's; None if unknown. `possible` is the largest accuracy
    that any rule can have, by part, where the distribution is known. `summaries`: {variant: {part: {seed: estimate}}}
    of the parts that every data set has, in the metric that tells most, the first of `metrics`; `sizes`: their (groups, samples).
    """

    reference: str
    num_samples: int
    num_groups: int
    scores: Mapping[str, Mapping[tuple[str, str], Score]]
    claims: Mapping[str, Mapping[tuple[str, str], Claim]]
    budgets: Mapping[str, int | None]
    possible: Mapping[str, float]
    summaries: Mapping[str, Mapping[str, Mapping[int, torch.Tensor]]]
    sizes: Mapping[str, tuple[int, int]]
    metrics: Sequence[str]


def condition(
    variants: Mapping[str, Seeds],
    reference: str,
    *,
    rates: Sequence[float] = (),
    possible: Mapping[Pattern, float] | None = None,
) -> Condition:
    """Compare each variant with the reference on the seeds that both have.

    rates: missing rates at which the expected accuracy is compared, too. possible: Bayes-optimal accuracy by pattern; it
    is left out where the data have holes, since a part is measured on samples that lack some of it, too.
    Raises DataError if the models are not of the same test samples.
    """
    models = [model for seeds in variants.values() for model in seeds.values()]
    check_same_samples(models, models[0])
    test = models[0].splits["test"]
    metrics = telling(test.label)
    mixed = parts.at_rates(test, rates) if metrics == ("accuracy",) else []
    rows = parts.listed(test) + mixed
    resamples = Resamples(test.group, replicates=_REPLICATES, seed=0)

    def estimated(part: Part, metric: str, seeds: Seeds) -> dict[int, torch.Tensor]:
        return {seed: part.estimate(model, metric, resamples) for seed, model in seeds.items()}

    estimates = {
        variant: {(part.name, metric): estimated(part, metric, seeds) for part in rows for metric in metrics}
        for variant, seeds in variants.items()
    }
    summarised = parts.summaries(test) + mixed
    measured = {part.name: part.rows(test) for part in rows + summarised}
    size = {name: (resamples.clusters_of(of_part), int(of_part.sum())) for name, of_part in measured.items()}
    claims = {
        variant: {
            cell: claim([Differences(paired(seeds, estimates[reference][cell]), *size[cell[0]])])
            for cell, seeds in cells.items()
        }
        for variant, cells in estimates.items()
        if variant != reference and variants[variant].keys() & variants.get(reference, {}).keys()
    }
    return Condition(
        reference=reference,
        num_samples=len(test.label),
        num_groups=resamples.num_clusters,
        scores={
            variant: {cell: _score([one[0].item() for one in seeds.values()]) for cell, seeds in cells.items()}
            for variant, cells in estimates.items()
        },
        claims=claims,
        budgets={variant: next(iter(seeds.values())).budget for variant, seeds in variants.items()},
        possible={part.name: _mixed(part, possible) for part in rows} if possible and test.present.all() else {},
        summaries={
            variant: {part.name: estimated(part, metrics[0], seeds) for part in summarised}
            for variant, seeds in variants.items()
        },
        sizes={part.name: size[part.name] for part in summarised},
        metrics=metrics,
    )


def corrected(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
    """Return all conditions of a study with p values corrected over all of their claims (Holm 1979)."""
    found = holm_corrected(
        {
            (name, variant, cell): claim
            for name, one in conditions.items()
            for variant, cells in one.claims.items()
            for cell, claim in cells.items()
        }
    )
    return {
        name: replace(
            one,
            claims={
                variant: {cell: found[name, variant, cell] for cell in cells} for variant, cells in one.claims.items()
            },
        )
        for name, one in conditions.items()
    }


def holm_corrected(claims: Mapping[Place, Claim]) -> dict[Place, Claim]:
    """Return claims with p values corrected over all of them (Holm 1979)."""
    known = {place: claim.p for place, claim in claims.items() if claim.p is not None}
    p = holm(torch.tensor(list(known.values()), dtype=torch.float64)).tolist()
    found = dict(zip(known, p, strict=True))
    return {place: replace(claim, p_holm=found.get(place)) for place, claim in claims.items()}


def paired(ours: Mapping[int, torch.Tensor], theirs: Mapping[int, torch.Tensor]) -> list[torch.Tensor]:
    """Return the difference of every seed that both have, each (1 + replicate,)."""
    return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]


def claim(of_data_sets: Sequence[Differences]) -> Claim:
    """Return what is claimed of the mean over data sets.

    Data sets are independent of each other, in samples and in training, so their variances add up. Where some have several
    seeds and some have one, nothing is said of chance: the fewer seeds, the surer would the average be.
    """
    means = [torch.stack(list(one.by_seed)).mean(dim=0) for one in of_data_sets]
    value = fmean(mean[0].item() for mean in means)
    if len({len(one.by_seed) > 1 for one in of_data_sets}) > 1:
        return Claim(value, None, None, None, None)
    variances: list[tuple[float, int]] = []
    for one, mean in zip(of_data_sets, means, strict=True):
        over_samples = variance_of(mean, one.num_groups)
        if over_samples is None:
            return Claim(value, None, None, None, None)
        variances.append((over_samples + 2 / (one.num_samples + 2) ** 2, one.num_groups - 1))
        if (seeds := len(one.by_seed)) > 1:
            variances.append((variance(each[0].item() for each in one.by_seed) / seeds, seeds - 1))
    total = sum(each for each, _ in variances)
    degrees = min((freedom for each, freedom in variances if each > 0), default=1)
    error = math.sqrt(total) / len(of_data_sets)
    half = student(degrees) * error
    p = 2 * float(stdtr(degrees, -abs(value) / error))
    return Claim(value, max(value - half, -1.0), min(value + half, 1.0), p, p)


def _score(values: Sequence[float]) -> Score:
    return Score(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def _mixed(part: Part, possible: Mapping[Pattern, float]) -> float:
    return sum(weight * possible[pattern] for pattern, weight in part.weights.items())
