"""What a study says as a whole: each variant's average difference over all conditions, and its rank over data sets.

A study of six conditions and seven sets of modalities makes hundreds of comparisons; corrected over all of them, three
seeds cannot show a difference of ten points. The averages are the same of every study, two or so for a variant, and hold
the seeds of every data set: they are corrected over themselves alone.

Every data set counts the same, and each of its conditions the same within it. Conditions of one data set mostly share test
samples and towers: they are averaged seed by seed. An average is of these conditions, and no claim about other
data; for that there are the ranks (Demšar 2006, JMLR 7), whose number is that of the data sets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from scipy.stats import rankdata

from umemma.evaluation.study import Claim, Condition, Differences, claim, holm_corrected, paired


@dataclass(frozen=True)
class Overall:
    """Averages by variant and part; the reference has no claims.

    `num_conditions`, `num_data_sets`: that a variant's averages are over; conditions without a seed that both have are left out,
    with all of their data set. `ranks`: the mean over data sets, 1 is best, of the
    variants that all conditions have; empty where that is not at least two.
    """

    claims: Mapping[str, Mapping[str, Claim]]
    num_conditions: Mapping[str, int]
    num_data_sets: Mapping[str, int]
    ranks: Mapping[str, Mapping[str, float]]


def overall(conditions: Mapping[str, Condition], data_sets: Mapping[str, str]) -> Overall:
    """Average over conditions; `data_sets`: the data set of each. A part counts that all of a variant's conditions have."""
    by_variant = {
        variant: _comparable(variant, conditions, data_sets)
        for variant in dict.fromkeys(variant for one in conditions.values() for variant in one.claims)
    }
    differences = {
        (variant, part): list(_of_data_sets(variant, part, own, data_sets))
        for variant, own in by_variant.items()
        for part in _parts(own.values(), variant)
    }
    found = holm_corrected({place: claim(given) for place, given in differences.items()})
    return Overall(
        {variant: {part: one for (name, part), one in found.items() if name == variant} for variant in by_variant},
        {variant: len(own) for variant, own in by_variant.items()},
        {variant: len({data_sets[title] for title in own}) for variant, own in by_variant.items()},
        _ranks(conditions, data_sets),
    )


def _comparable(
    variant: str, conditions: Mapping[str, Condition], data_sets: Mapping[str, str]
) -> dict[str, Condition]:
    """Return the conditions that have the variant, of the data sets in which all of these have a seed in common with it."""
    own = {title: one for title, one in conditions.items() if variant in one.claims}
    shared = {
        name: _seeds(variant, [one for title, one in own.items() if data_sets[title] == name])
        for name in {data_sets[title] for title in own}
    }
    return {title: one for title, one in own.items() if shared[data_sets[title]]}


def _seeds(variant: str, conditions: Sequence[Condition]) -> list[int]:
    """Return the seeds that a variant and the reference have in every condition."""
    every = (one.summaries[which] for one in conditions for which in (variant, one.reference))
    return sorted(set.intersection(*(set(seeds) for parts in every for seeds in parts.values())))


def _parts(conditions: Iterable[Condition], variant: str) -> list[str]:
    """Return the parts that all conditions have, in the first's order."""
    own = [one.summaries[variant] for one in conditions]
    return [part for part in own[0] if all(part in each for each in own)] if own else []


def _of_data_sets(
    variant: str, part: str, conditions: Mapping[str, Condition], data_sets: Mapping[str, str]
) -> Iterator[Differences]:
    """Yield each data set's differences by seed, the mean over its conditions, with its groups of test samples."""
    for name in dict.fromkeys(data_sets[title] for title in conditions):
        own = [one for title, one in conditions.items() if data_sets[title] == name]
        ours, theirs = ([one.summaries[which][part] for one in own] for which in (variant, own[0].reference))
        means = [
            {seed: torch.stack([each[seed] for each in some]).mean(dim=0) for seed in _seeds(variant, own)}
            for some in (ours, theirs)
        ]
        groups, samples = (min(sizes) for sizes in zip(*(one.sizes[part] for one in own), strict=True))
        yield Differences(paired(*means), groups, samples)


def _ranks(conditions: Mapping[str, Condition], data_sets: Mapping[str, str]) -> dict[str, dict[str, float]]:
    everywhere = [
        variant
        for variant in dict.fromkeys(variant for one in conditions.values() for variant in one.summaries)
        if all(variant in one.summaries for one in conditions.values())
    ]
    if len(everywhere) < 2:
        return {}
    parts = set.intersection(*(set(_parts(conditions.values(), variant)) for variant in everywhere))
    ranks: dict[str, dict[str, float]] = {variant: {} for variant in everywhere}
    for part in (part for part in _parts(conditions.values(), everywhere[0]) if part in parts):
        of_data_sets = [
            rankdata(
                [
                    -fmean(_score(one, variant, part) for title, one in conditions.items() if data_sets[title] == name)
                    for variant in everywhere
                ]
            )
            for name in dict.fromkeys(data_sets[title] for title in conditions)
        ]
        for variant, of_variant in zip(everywhere, zip(*of_data_sets, strict=True), strict=True):
            ranks[variant][part] = fmean(float(rank) for rank in of_variant)
    return ranks


def _score(condition: Condition, variant: str, part: str) -> float:
    return fmean(estimate[0].item() for estimate in condition.summaries[variant][part].values())
