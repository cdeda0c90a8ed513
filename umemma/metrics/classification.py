"""Metrics of classification, from logits (sample, class) and a label whose shape determines the task.

- One label a sample: (sample,) int64. Logits are log-probabilities up to a constant; the largest is the prediction.
- Several labels a sample: (sample, class) bool. Every class is a binary variable, predicted by its log-odds: positive
  above 0. `share_correct` is then the share of a sample's classes that are predicted correctly (1 - Hamming loss), `nll`
  the sum over classes, each treated as a variable on its own.

So there is one variable to predict, or one per class; functions that keep them apart have an axis `variable`.
A decision threshold other than 0 is passed as shifted logits (umemma.prediction.thresholds); probabilities are never
computed from these.

What a bootstrap repeats a thousand times is split in two: sums over samples, and the metric as a function of such sums,
with any leading axes (`...`). So a replicate costs a matrix product, never a pass over the samples. The two ranking
metrics are not functions of sums; they take the weight of every sample in every replicate.
"""

from typing import Any

import torch
from torch import nn

NUM_BINS = 15  # equal-width, as Guo et al. 2017 (arXiv 1706.04599)
_CHUNK = 2**20  # elements of the (replicate, sample) tables that `ranking` processes at once


def is_correct(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, variable) bool: is the prediction correct? Ties go to the first class, and to negative."""
    if label.ndim == 2:
        return (logits > 0) == label
    return (logits.argmax(dim=1) == label)[:, None]


def share_correct(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) float64: 1 if the prediction is correct, else 0; with several labels the share correct."""
    return is_correct(logits, label).double().mean(dim=1)


def nll_by_variable(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, variable) float64: -log p(true value), in nats."""
    if label.ndim == 2:
        return nn.functional.binary_cross_entropy_with_logits(logits.double(), label.double(), reduction="none")
    return nn.functional.cross_entropy(logits.double(), label, reduction="none")[:, None]


def nll(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) float64: -log p(label), in nats, summed over variables; its mean is the cross-entropy."""
    return nll_by_variable(logits, label).sum(dim=1)


def loss(
    logits: torch.Tensor, label: torch.Tensor, smoothing: float = 0.0, log_weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Return what training minimises: the mean cross-entropy over samples, with several labels over variables too.

    `log_weight` (class,), see `log_class_weight`, weights a class's samples - with several labels, its positives. Weights
    alone would make the model overconfident in rare classes; so the loss is computed on logits shifted by `log_weight`,
    and the logits themselves stay those of the true probabilities.
    """
    weight = None if log_weight is None else log_weight.exp()
    shifted = logits if log_weight is None else logits + log_weight
    if label.ndim == 2:
        target = label.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(shifted, target, pos_weight=weight)
    return nn.functional.cross_entropy(shifted, label, weight, label_smoothing=smoothing)


def log_class_weight(log_prior: torch.Tensor, balance: float) -> torch.Tensor | None:
    """Return (class,): log of (1 / share) ** balance, with several labels of the odds; None for a balance of 0.

    With a balance of 0 every sample has the same weight, with 1 every class.
    """
    return -balance * log_prior if balance else None


def log_prior(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (class,): log of each class's share, or its log-odds, with pseudo-counts so that none is infinite.

    One for each class; with several labels one positive and one negative.
    """
    if label.ndim == 2:
        share = (label.double().sum(dim=0) + 1) / (len(label) + 2)
        return share.logit().float()
    counts = torch.bincount(label, minlength=num_classes) + 1.0
    return (counts / counts.sum()).log()


def outcome_counts(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (sample, variable, outcome) float64, 0 or 1: each variable's value, one-hot. Sums of it give entropies."""
    if label.ndim == 2:
        return torch.stack([~label, label], dim=2).double()
    return nn.functional.one_hot(label, num_classes).double()[:, None]


def is_of(label: torch.Tensor, number: int) -> torch.Tensor:
    """Return (sample,) bool: is the class `number` among the sample's labels?"""
    return label[:, number] if label.ndim == 2 else label == number


def class_counts(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, 3, class) float64, 0 or 1: true positives, predicted, true."""
    if label.ndim == 2:
        predicted, true = (logits > 0).double(), label.double()
    else:
        predicted, true = (nn.functional.one_hot(k, logits.shape[1]).double() for k in (logits.argmax(dim=1), label))
    return torch.stack([predicted * true, predicted, true], dim=1)


def f1_macro(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `class_counts`, (..., 3, class): the mean over classes of F1.

    A class that is never predicted and never true is left out.
    """
    true_positive, predicted, true = counts.unbind(dim=-2)
    return (2 * true_positive / (predicted + true)).nanmean(dim=-1)


def f1_micro(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `class_counts`, (..., 3, class): F1 over all classes' counts together.

    With one label a sample it equals accuracy.
    """
    true_positive, predicted, true = counts.sum(dim=-1).unbind(dim=-1)
    return 2 * true_positive / (predicted + true)


def f1_samples(counts: torch.Tensor) -> torch.Tensor:
    """Return (sample,) from `class_counts`: F1 of each sample's set of labels; 1 where both sets are empty."""
    return f1_micro(counts).nan_to_num(1.0)


def calibration_counts(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, bin, 3) float64: in the bin of the prediction's confidence 1, the confidence, and is it correct?

    Confidence is the probability of the predicted class; with several labels, of the prediction for each class. A bin
    includes its upper edge, not its lower one.
    """
    if label.ndim == 2:
        positive = logits.double().sigmoid()
        confidence = torch.maximum(positive, 1 - positive)
    else:
        confidence = logits.double().softmax(dim=1).amax(dim=1, keepdim=True)
    bins = ((confidence * NUM_BINS).ceil().long() - 1).clamp(0, NUM_BINS - 1)
    values = torch.stack([torch.ones_like(confidence), confidence, is_correct(logits, label).double()], dim=2)
    counts = values.new_zeros(len(values), NUM_BINS, 3)
    return counts.scatter_add_(1, bins[:, :, None].expand_as(values), values)


def calibration_error(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `calibration_counts`, (..., bin, 3): expected calibration error (Guo et al. 2017).

    The mean over samples of the gap between confidence and accuracy in their bin. Noise does not cancel in an absolute
    gap, so it is above zero even for a perfect model, the more so the fewer samples there are.
    """
    number, confidence, correct = counts.unbind(dim=-1)
    return (correct - confidence).abs().sum(dim=-1) / number.sum(dim=-1)


def reliability(counts: torch.Tensor) -> list[dict[str, Any]]:
    """Return mean confidence, accuracy and share of the samples of every non-empty bin; `counts`: (bin, 3)."""
    total = counts[:, 0].sum().item()
    return [
        {
            "confidence": round(confidence / number, 6),
            "accuracy": round(correct / number, 6),
            "share": round(number / total, 6),
        }
        for number, confidence, correct in counts.tolist()
        if number > 0
    ]


def ranking(logits: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return average precision and AUROC, each (replicate,): one class versus the rest, the mean over classes.

    `weight`: (replicate, sample) float64, 0 or more. A class of which a replicate has no sample, or nothing else, is
    left out. Average precision is the sum over thresholds of (gain in recall) * precision, as in scikit-learn.
    """
    # with one label not softmax: it saturates at 1.0 for confident predictions
    score = logits.double() if label.ndim == 2 else logits.double().log_softmax(dim=1)
    parts = []
    for chunk in weight.split(max(1, _CHUNK // max(1, len(label)))):
        by_sample = chunk.T.contiguous()
        by_class = [_one_versus_rest(score[:, k], is_of(label, k), by_sample) for k in range(logits.shape[1])]
        parts.append(torch.stack(by_class).nanmean(dim=0))
    average_precision, auroc = torch.cat(parts, dim=1)
    return average_precision, auroc


def _one_versus_rest(score: torch.Tensor, positive: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return (2, replicate): average precision, AUROC; NaN where a replicate lacks positives or negatives.

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
        [(positive_weight * precision).sum(dim=0), (positive_weight * (below + up_to)).sum(dim=0) / (2 * num_negative)]
    )
    return torch.where((num_positive > 0) & (num_negative > 0), totals / num_positive, torch.nan)
