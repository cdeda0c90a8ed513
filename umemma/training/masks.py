"""The masks that a run draws, their digests, and the share of each modality that they hide.

They are drawn from (seed, epoch, key, modality), so they are exactly what training saw, and another program can test
with the same modalities missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats

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

    Return the number of comparisons, and a message for each deviation beyond sampling error: two-sided binomial test at a
    family-wise level of 0.001 (Bonferroni).
    """
    comparisons = [
        (split, name, modality, count)
        for split, mask in masks.items()
        for number, name in enumerate(classes)
        for rows in [is_of(data[split].label, number)]
        for modality, count in _counts(mask[:, rows], data[split].rows(rows), hiding).items()
    ]
    level = _LEVEL / (2 * max(1, len(comparisons)))
    return len(comparisons), [
        f"{split}, class {name}, {modality}: {count.hidden} of {count.shown} hidden, {count.expected:.1f} expected"
        for split, name, modality, count in comparisons
        if count.chance() < level
    ]


@dataclass(frozen=True)
class _Count:
    """How often a modality that is there was hidden, over all epochs; `sure`: where the plan always hides it, `open`: at times."""

    hidden: int
    shown: int
    expected: float
    sure: int
    open: int

    def chance(self) -> float:
        """Return a bound on the probability of a count at least as far off, on its side.

        Chances may differ from sample to sample: the tail is then at most that of equal chances, from one off the mean on
        (Hoeffding 1956, doi 10.1214/aoms/1177728178).
        """
        hidden, expected = self.hidden - self.sure, self.expected - self.sure
        if self.open and abs(hidden - expected) < 1:
            return 1.0
        law = stats.binom(self.open, min(max(expected / max(self.open, 1), 0.0), 1.0))
        return float(law.sf(hidden - 1) if hidden > expected else law.cdf(hidden))


def _counts(masks: torch.Tensor, data: Batch, hiding: Hiding) -> dict[str, _Count]:
    share = torch.where(data.present, hiding.hidden_shares(data.present, data.key), 0.0)
    of_all = (data.present, share, share == 1, (share > 0) & (share < 1))
    columns = zip(
        (data.present & ~masks).sum(dim=(0, 1)).tolist(),
        *((value.sum(dim=0) * len(masks)).tolist() for value in of_all),
        strict=True,
    )
    return {name: _Count(*column) for name, column in zip(data.modalities, columns, strict=True)}


def _rates(masks: torch.Tensor, present: torch.Tensor, modalities: Sequence[str]) -> dict[str, float | None]:
    shown = present.sum(dim=0) * len(masks)
    hidden = (present & ~masks).sum(dim=(0, 1))
    return {name: round(int(hidden[m]) / int(shown[m]), 6) if shown[m] else None for m, name in enumerate(modalities)}
