"""Expected metrics at any missing rates, from robustness.json alone: sum_S p(S) metric(S).

Micro F1 is not a mean over samples but a ratio of two: `hits`, a sample's correctly predicted labels, and `labels`,
half of its predicted plus half of its true labels.
"""

import itertools
import math
from collections.abc import Mapping

from umemma.reporting.results import Robustness

Metrics = Mapping[str, float]  # by name; cross-entropy in nats
_MEANS = ("accuracy", "cross_entropy", "hits", "labels")


def per_pattern(robustness: Robustness) -> dict[frozenset[str], Metrics]:
    """Return the metrics that are means over all test samples, by the set of modalities not hidden, the empty set too.

    They include samples whose own data lack part of the set.
    """
    rows = robustness.kept.values()
    known = [name for name in _MEANS if all(name in row.model_fields_set for row in rows)]
    return {
        frozenset(filter(None, name.split("+"))): {metric: getattr(row, metric) for metric in known}
        for name, row in robustness.kept.items()
    }


def presence(robustness: Robustness) -> dict[frozenset[str], float]:
    """Return the share of the test samples that have exactly these modalities in the data, where it is not 0.

    A pattern's `n` counts the samples that have at least its modalities, so those that have more are subtracted.
    """
    num_exactly: dict[frozenset[str], int] = {}
    rows = {frozenset(name.split("+")): row.n for name, row in robustness.patterns.items()}
    for has in sorted(rows, key=len, reverse=True):
        num_exactly[has] = rows[has] - sum(number for larger, number in num_exactly.items() if larger > has)
    total = robustness.dataset.n["test"]
    num_exactly[frozenset()] = total - sum(num_exactly.values())
    return {has: number / total for has, number in num_exactly.items() if number}


def kept(shares: Mapping[frozenset[str], float], rates: Mapping[str, float]) -> dict[frozenset[str], float]:
    """Return the share of samples that keep each set: `shares` have a set, of which `rates` hide modalities.

    The page's script computes the same.
    """
    result: dict[frozenset[str], float] = {}
    for (has, share), flags in itertools.product(shares.items(), itertools.product((True, False), repeat=len(rates))):
        left = has.intersection(itertools.compress(rates, flags))
        chance = math.prod(1 - rate if is_left else rate for is_left, rate in zip(flags, rates.values(), strict=True))
        result[left] = result.get(left, 0.0) + share * chance
    return result


def expected(known: Mapping[frozenset[str], Metrics], rates: Mapping[str, float]) -> Metrics | None:
    """Return sum_S p(S) metric(S), each modality missing independently at its own rate; micro F1 where known.

    If the empty set is unknown, this is conditional on at least one modality being left. None if another set that can
    occur is unknown. The page's script computes the same.
    """
    total, sums = 0.0, dict.fromkeys(next(iter(known.values()), {}), 0.0)
    possible = [[is_present for is_present in (True, False) if rate != is_present] for rate in rates.values()]
    for flags in itertools.product(*possible):
        share = math.prod(
            1 - rate if is_present else rate for is_present, rate in zip(flags, rates.values(), strict=True)
        )
        present = frozenset(itertools.compress(rates, flags))
        if not present and present not in known:
            continue
        if present not in known:
            return None
        total += share
        sums = {name: old + share * known[present][name] for name, old in sums.items()}
    if not total:
        return None
    f1 = {"f1_micro": sums["hits"] / sums["labels"]} if sums.get("labels") else {}
    return {name: value / total for name, value in sums.items()} | f1
