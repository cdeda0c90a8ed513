"""The expected metrics at any missing rates, from robustness.json alone: sum_S p(S) metric(S)."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

Metrics = tuple[float, float]  # accuracy, cross-entropy in nats


def per_pattern(robustness: Mapping[str, Any]) -> dict[frozenset[str], Metrics]:
    """Return (accuracy, cross-entropy) over ALL test samples by what is not hidden, the empty set too.

    From the corners of the grid, where every rate is 0 or 1: they also count samples whose own data lack part of the
    pattern. Where the grid has no such corner, from `patterns`, and then the empty set is not known.
    """
    known = {frozenset(name.split("+")): (row["accuracy"], row["cross_entropy"])
             for name, row in robustness["patterns"].items()}
    for row in robustness["rates"]:
        if set(row["missing_rate"].values()) <= {0.0, 1.0}:
            kept = frozenset(name for name, rate in row["missing_rate"].items() if rate == 0)
            known[kept] = row["accuracy"], row["cross_entropy"]
    return known


def expected(known: Mapping[frozenset[str], Metrics], rates: Mapping[str, float]) -> Metrics | None:
    """Return sum_S p(S) metric(S), each modality missing independently at its own rate.

    Where the empty set is not known, given that something is left. None where a set is lacking that can occur. The
    script of the page computes the same.
    """
    total, sums = 0.0, [0.0, 0.0]
    for flags in itertools.product((True, False), repeat=len(rates)):
        share = math.prod(1 - rate if there else rate for there, rate in zip(flags, rates.values(), strict=True))
        present = frozenset(itertools.compress(rates, flags))
        if share == 0 or (not present and present not in known):
            continue
        if present not in known:
            return None
        total += share
        sums = [old + share * metric for old, metric in zip(sums, known[present], strict=True)]
    return (sums[0] / total, sums[1] / total) if total else None
