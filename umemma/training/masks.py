"""The masks that a run draws, their digests, and the share of each modality that they hide.

They are drawn from (seed, epoch, key, modality), so they are exactly what training saw, and another program can test
with the same modalities missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import torch

from umemma.data.batch import Batch
from umemma.metrics.classification import is_of
from umemma.training.hiding import Hiding

_LEVEL = 1e-3  # probability of a false alarm, over all comparisons of one run


def draw(data: Batch, hiding: Hiding, rounds: int) -> torch.Tensor:
    """Return (epoch, sample, modality) bool: what is left."""
    return torch.stack([hiding.left(data.present, data.key, epoch) for epoch in range(rounds)])


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
    masks: Mapping[str, torch.Tensor], data: Mapping[str, Batch], hiding: Hiding, classes: Sequence[str]
) -> tuple[int, list[str]]:
    """Compare the hidden counts of every split, class and modality with the exact probabilities of the plan.

    Return the number of comparisons, and a message for each deviation beyond sampling error: two-sided normal
    test at a family-wise level of 0.001 (Bonferroni).
    """
    comparisons = [
        (split, name, modality, hidden, shown, expected, variance)
        for split, mask in masks.items()
        for number, name in enumerate(classes)
        for rows in [is_of(data[split].label, number)]
        for modality, hidden, shown, expected, variance in _counts(mask[:, rows], data[split].rows(rows), hiding)
    ]
    bound = NormalDist().inv_cdf(1 - _LEVEL / (2 * max(1, len(comparisons))))
    return len(comparisons), [
        f"{split}, class {name}, {modality}: {hidden} of {shown} hidden, {expected:.1f} expected"
        for split, name, modality, hidden, shown, expected, variance in comparisons
        if abs(hidden - expected) > bound * variance**0.5 + 1e-6
    ]


def _counts(masks: torch.Tensor, data: Batch, hiding: Hiding) -> list[tuple[str, int, int, float, float]]:
    """Return (modality, hidden, present, expected hidden, its variance), over all epochs."""
    share = torch.where(data.present, hiding.hidden_shares(data.present, data.key), 0.0)
    expected, variance = ((value.sum(dim=0) * len(masks)).tolist() for value in (share, share * (1 - share)))
    hidden, shown = (data.present & ~masks).sum(dim=(0, 1)).tolist(), (data.present.sum(dim=0) * len(masks)).tolist()
    return list(zip(data.modalities, hidden, shown, expected, variance, strict=True))


def _rates(masks: torch.Tensor, present: torch.Tensor, modalities: Sequence[str]) -> dict[str, float | None]:
    shown = present.sum(dim=0) * len(masks)
    hidden = (present & ~masks).sum(dim=(0, 1))
    return {name: round(int(hidden[m]) / int(shown[m]), 6) if shown[m] else None for m, name in enumerate(modalities)}
