"""Prediction sets: labels among which the truth is with a chosen probability, in every pattern of what is there.

Split conformal prediction, by pattern (Mondrian: Vovk, Gammerman, Shafer 2005). A label is in the set if it is no
stranger to the model than at least a share `1 - coverage` of calibration samples of the same pattern: one minus the
probability of the truth; with several labels, of the least probable true one, so that all true labels are in the set.

- A pattern that enough calibration samples have by themselves is calibrated on these: valid whatever made the holes.
- Another one borrows from samples that have more, with the rest hidden. That is valid if holes are independent of the
  label, or depend on the label alone: a sample of label y has weight P(exactly this pattern | y) / P(at least it | y) of
  the training set, and so has a candidate y (Tibshirani et al. 2019). Of a pattern that no training sample has by
  itself nothing is known, and all weights are 1. If holes depend on the values that they hide, no sets are valid.

Samples of one group are no independent draws: one of each counts. The decision itself is always in the set, so a set is
never empty, and where the model is right more often than `coverage` sets hold the truth more often, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from umemma.metrics.calibration import temperature, tempered
from umemma.missingness import Pattern, is_within
from umemma.prediction.predictions import Predictions

LEAST_OWN = 50  # samples of a pattern that are enough: a set's coverage then varies by 4 points with the samples (90 %)
_TO_MEAN = 10.0  # samples that pull a label's weight to that of all labels
_EXACT = 1e-9


@dataclass(frozen=True)
class Calibration:
    """Of one pattern, fitted on validation samples.

    temperature  divides logits; of several labels, what they say beyond the prior
    scores       (sample,) float64: how strange the truth was, one sample a group
    label        (sample,) int64; -1 with several labels
    weight       (class,) float64: of samples with this label; all 1 if `is_own`
    is_own       are the samples of exactly this pattern, not of larger ones?
    """

    temperature: torch.Tensor
    scores: torch.Tensor
    label: torch.Tensor
    weight: torch.Tensor
    is_own: bool


def calibrations(
    val: Predictions, train_present: torch.Tensor, train_label: torch.Tensor
) -> dict[Pattern, Calibration]:
    """Return the calibration of every pattern on file that a validation sample has, from what is there in training.

    `train_present` (sample, modality) bool and `train_label` say how often a pattern meets a label.
    """
    first = _one_a_group(val.group, val.key)
    log_prior = val.logits[(False,) * len(val.modalities)][0]
    result = {}
    for pattern, logits in val.logits.items():
        exact, holds = (val.present == torch.tensor(pattern)).all(dim=1), val.has(pattern)
        if not holds.any():
            continue
        own = exact & first
        is_own = int(own.sum()) >= LEAST_OWN
        rows = own if is_own else holds & first
        several = val.label.ndim == 2
        fitted = (
            temperature(logits[holds], val.label[holds], log_prior if several else None)
            if any(pattern)
            else torch.ones((), dtype=torch.float64)  # class shares are what they are
        )
        probability = probabilities(logits[rows], fitted, log_prior, several=several)
        result[pattern] = Calibration(
            fitted,
            _strangeness(probability, val.label[rows]),
            torch.full((int(rows.sum()),), -1) if several else val.label[rows],
            torch.ones(logits.shape[1], dtype=torch.float64)
            if is_own or several
            else _weights(pattern, train_present, train_label, logits.shape[1]),
            is_own,
        )
    return result


def probabilities(
    logits: torch.Tensor, temperature: torch.Tensor, log_prior: torch.Tensor, *, several: bool
) -> torch.Tensor:
    """Return (sample, class) float64: calibrated, of the only label to be the class, or of each to be among the labels.

    Of one label logits are divided as a whole, so that the most probable class stays the decision.
    """
    if several:
        return tempered(logits.double(), temperature, log_prior.double()).sigmoid()
    return (logits.double() / temperature).softmax(dim=1)


def sets(probability: torch.Tensor, decided: torch.Tensor, calibration: Calibration, coverage: float) -> torch.Tensor:
    """Return (sample, class) bool: the labels of each set; `decided` (sample, class) bool are in it in any case.

    With fewer calibration samples than 1 / (1 - coverage) - 1 all labels are, also where weights would tell them apart: of a
    set of modalities that few have, they are themselves a guess.
    """
    if (len(calibration.scores) + 1) * (1 - coverage) < 1 - _EXACT:
        return torch.ones_like(decided)
    strangeness = 1 - probability
    weight = calibration.weight[calibration.label] if bool((calibration.label >= 0).all()) else None
    order = calibration.scores.argsort()
    scores = calibration.scores[order]
    each = torch.ones_like(scores) if weight is None else weight[order]
    # The total weight of scores at least as large.
    from_here = torch.cat([each.flip(0).cumsum(0).flip(0), each.new_zeros(1)])
    at_least = from_here[torch.searchsorted(scores, strangeness.contiguous())]
    own = calibration.weight if weight is not None else torch.ones_like(calibration.weight)
    share = (at_least + own) / (each.sum() + own)
    return (share > 1 - coverage + _EXACT) | decided


def nearest(pattern: Pattern, known: Sequence[Pattern]) -> Pattern:
    """Return the pattern itself if it is known, else the largest known one within it, the first of equals."""
    if pattern in known:
        return pattern
    within = [other for other in known if is_within(other, pattern)]
    return max(within, key=lambda other: (sum(other), other))


def _strangeness(probability: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    if label.ndim == 1:
        return 1 - probability.gather(1, label[:, None]).squeeze(1)
    return (1 - probability).masked_fill(~label, 0.0).amax(dim=1)


def _one_a_group(group: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Return (sample,) bool: of each group the sample with the smallest digest of its key."""
    order = key.argsort(stable=True)
    seen: set[int] = set()
    first = torch.zeros(len(group), dtype=torch.bool)
    for row in order.tolist():
        if (name := int(group[row])) not in seen:
            seen.add(name)
            first[row] = True
    return first


def _weights(pattern: Pattern, present: torch.Tensor, label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (class,): how often a training sample with the label that has at least the pattern has just it."""
    wanted = torch.tensor(pattern)
    exact, holds = (present == wanted).all(dim=1), (present | ~wanted).all(dim=1)
    by_label = [torch.bincount(label[rows], minlength=num_classes).double() for rows in (exact, holds)]
    if not exact.any():
        return torch.ones(num_classes, dtype=torch.float64)
    mean = by_label[0].sum() / by_label[1].sum()
    return (by_label[0] + _TO_MEAN * mean) / (by_label[1] + _TO_MEAN)
