"""The masks that a run draws, their digests, and the share of each modality that they hide.

They are drawn from (seed, epoch, key, modality), so they are exactly what training saw, and another program can test
with the same modalities missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import torch

from umemma.data.batch import Batch
from umemma.metrics.classification import is_of
from umemma.missingness import Pattern, hide, outcomes

_LEVEL = 1e-3  # probability of a false alarm, over all comparisons of one run


@dataclass(frozen=True)
class Plan:
    """How modalities are hidden: protocol, one rate per modality, seed."""

    protocol: str
    rates: tuple[float, ...]
    seed: int


def draw(data: Batch, plan: Plan, rounds: int) -> torch.Tensor:
    """Return (epoch, sample, modality) bool: what is left."""
    return torch.stack(
        [
            hide(data.present, data.key, plan.rates, protocol=plan.protocol, seed=plan.seed, epoch=epoch)
            for epoch in range(rounds)
        ]
    )


def describe(masks: torch.Tensor, data: Batch, classes: Sequence[str]) -> dict[str, Any]:
    """Return digest, number of epochs, and the hidden share of present modalities, overall and by class."""
    by_class = {
        name: _rates(masks[:, rows], data.present[rows], data.modalities)
        for number, name in enumerate(classes)
        for rows in [is_of(data.label, number)]
    }
    return {
        "sha256": hashlib.sha256(masks.numpy().tobytes()).hexdigest(),
        "rounds": len(masks),
        "n": len(data),
        "realised": _rates(masks, data.present, data.modalities),
        "by_class": by_class,
    }


def deviations(
    masks: Mapping[str, torch.Tensor], data: Mapping[str, Batch], plan: Plan, classes: Sequence[str]
) -> tuple[int, list[str]]:
    """Compare the hidden counts of every split, class and modality with the protocol's exact probabilities.

    Return the number of comparisons, and a message for each deviation beyond sampling error: two-sided normal
    test at a family-wise level of 0.001 (Bonferroni).
    """
    comparisons = [
        (split, name, modality, hidden, shown, expected, variance)
        for split, mask in masks.items()
        for number, name in enumerate(classes)
        for rows in [is_of(data[split].label, number)]
        for modality, hidden, shown, expected, variance in _counts(
            mask[:, rows], data[split].present[rows], plan, data[split].modalities
        )
    ]
    bound = NormalDist().inv_cdf(1 - _LEVEL / (2 * max(1, len(comparisons))))
    return len(comparisons), [
        f"{split}, class {name}, {modality}: {hidden} of {shown} hidden, {expected:.1f} expected"
        for split, name, modality, hidden, shown, expected, variance in comparisons
        if abs(hidden - expected) > bound * variance**0.5 + 1e-6
    ]


def _counts(
    masks: torch.Tensor, present: torch.Tensor, plan: Plan, modalities: Sequence[str]
) -> list[tuple[str, int, int, float, float]]:
    """Return (modality, hidden, present, expected hidden, its variance), over all epochs."""
    patterns, number_of = present.unique(dim=0, return_counts=True)
    rows = []
    for m, modality in enumerate(modalities):
        shares = [
            (_hidden_shares(tuple(has), plan.rates, plan.protocol)[m], int(count) * len(masks))
            for has, count in zip(patterns.tolist(), number_of, strict=True)
            if has[m]
        ]
        rows.append(
            (
                modality,
                int((present & ~masks)[..., m].sum()),
                int(present[:, m].sum()) * len(masks),
                sum(share * count for share, count in shares),
                sum(share * (1 - share) * count for share, count in shares),
            )
        )
    return rows


@cache
def _hidden_shares(has: Pattern, rates: tuple[float, ...], protocol: str) -> tuple[float, ...]:
    """Return the probability of each modality to be hidden from samples with the pattern `has`."""
    left = outcomes(has, rates, protocol)
    return tuple(sum(share for kept, share in left.items() if not kept[m]) for m in range(len(has)))


def _rates(masks: torch.Tensor, present: torch.Tensor, modalities: Sequence[str]) -> dict[str, float | None]:
    shown = present.sum(dim=0) * len(masks)
    hidden = (present & ~masks).sum(dim=(0, 1))
    return {name: round(int(hidden[m]) / int(shown[m]), 6) if shown[m] else None for m, name in enumerate(modalities)}
