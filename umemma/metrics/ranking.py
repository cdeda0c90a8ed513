"""Metrics of ranking: AUROC and AUPRC, class by class, with a weight for every sample in every bootstrap replicate.

AUPRC is average precision, sum over thresholds of (gain in recall) * precision, as in scikit-learn: unlike the trapezoid
rule it does not interpolate where precision is not linear (Davis & Goadrich 2006). Equal scores are one threshold.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from umemma.metrics.classification import is_of

_CHUNK = 2**20  # elements of the (replicate, sample) tables that are processed at once


class Ranking(NamedTuple):
    """AUROC and AUPRC, of the same shape; NaN where there are no positives, or no negatives."""

    auroc: torch.Tensor
    auprc: torch.Tensor

    def macro(self) -> "Ranking":
        """Return the mean over classes, the last axis, without those that are undefined."""
        return Ranking(self.auroc.nanmean(dim=-1), self.auprc.nanmean(dim=-1))


def ranked_classes(label: torch.Tensor, num_classes: int) -> list[int]:
    """Return the classes that are ranked against the rest: of two exclusive classes only the rarer one, else all.

    Of two that are equally frequent the second, which by custom is the positive one.
    """
    if label.ndim == 2 or num_classes != 2:
        return list(range(num_classes))
    first, second = torch.bincount(label, minlength=2).tolist()
    return [0 if first < second else 1]


def by_class(
    logits: torch.Tensor, label: torch.Tensor, classes: Sequence[int], weight: torch.Tensor | None = None
) -> Ranking:
    """Return (replicate, class): each of `classes` against the rest.

    `weight`: (replicate, sample) float64, 0 or more; without it, one replicate in which every sample counts once.
    """
    score = logits.double() if label.ndim == 2 else _log_odds(logits.double())
    weight = torch.ones(1, len(label), dtype=torch.float64) if weight is None else weight
    parts = []
    for chunk in weight.split(max(1, _CHUNK // max(1, len(label)))):
        by_sample = chunk.T.contiguous()
        parts.append(torch.stack([_one_versus_rest(score[:, k], is_of(label, k), by_sample) for k in classes], dim=2))
    return Ranking(*torch.cat(parts, dim=1))


def micro(logits: torch.Tensor, label: torch.Tensor) -> Ranking:
    """Return scalars: every yes or no about a class of a sample is a case of its own; `label` (sample, class) bool."""
    weight = torch.ones(label.numel(), 1, dtype=torch.float64)
    return Ranking(*_one_versus_rest(logits.double().flatten(), label.flatten(), weight)[:, 0])


def _log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Return (sample, class): log p / (1 - p), which ranks as p does but does not saturate for confident predictions.

    Summed in order of size, so that a tie stays one wherever the same logits stand in another order.
    """
    shifted = logits - logits.amax(dim=1, keepdim=True)
    ordered = shifted.sort(dim=1, descending=True).values
    log_p = shifted - ordered.exp().sum(dim=1, keepdim=True).log()
    rest = ordered[:, 1:].logsumexp(dim=1, keepdim=True)
    return torch.where(shifted == 0, -rest, log_p - torch.log1p(-log_p.exp().clamp(max=0.5)))


def _one_versus_rest(score: torch.Tensor, positive: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return (2, replicate): AUROC, AUPRC; NaN where a replicate lacks positives or negatives.

    `weight`: (sample, replicate). Only the scores of positives matter as thresholds, so the negatives are summed
    between these: 5 times faster than a running sum over all samples.
    """
    threshold, index = score[positive].unique(return_inverse=True)
    positive_weight = weight.new_zeros(len(threshold), weight.shape[1]).index_add_(0, index, weight[positive])
    negative, negative_weight = score[~positive], weight[~positive]

    def running(bucket: torch.Tensor) -> torch.Tensor:
        sums = negative_weight.new_zeros(len(threshold) + 1, negative_weight.shape[1]).index_add_(
            0, bucket, negative_weight
        )
        return sums.cumsum(dim=0)[:-1]

    is_below, is_up_to = (torch.searchsorted(threshold, negative, right=side) for side in (True, False))
    below = running(is_below)
    up_to = below if torch.equal(is_below, is_up_to) else running(is_up_to)
    num_positive, num_negative = positive_weight.sum(dim=0), negative_weight.sum(dim=0)
    hits = positive_weight.flip(0).cumsum(dim=0).flip(0)  # positives at or above the threshold
    precision = (hits / (hits + num_negative - below)).nan_to_num(0.0)  # 0 / 0 only above every sample drawn
    totals = torch.stack(
        [(positive_weight * (below + up_to)).sum(dim=0) / (2 * num_negative), (positive_weight * precision).sum(dim=0)]
    )
    return torch.where((num_positive > 0) & (num_negative > 0), totals / num_positive, torch.nan)
