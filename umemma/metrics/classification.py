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

import torch
from torch import nn


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


def has_class(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (sample, class) float64, 0 or 1: is the class the sample's label, or among its labels?"""
    return (label if label.ndim == 2 else nn.functional.one_hot(label, num_classes)).double()


def outcome_counts(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (sample, variable, outcome) float64, 0 or 1: each variable's value, one-hot. Sums of it give entropies."""
    if label.ndim == 2:
        return torch.stack([~label, label], dim=2).double()
    return has_class(label, num_classes)[:, None]


def is_of(label: torch.Tensor, number: int) -> torch.Tensor:
    """Return (sample,) bool: is the class `number` among the sample's labels?"""
    return label[:, number] if label.ndim == 2 else label == number


def class_counts(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, 3, class) bool, as there are many: true positives, predicted, true."""
    decided = logits > 0 if label.ndim == 2 else logits.argmax(dim=1)
    predicted, true = (has_class(each, logits.shape[1]).bool() for each in (decided, label))
    return torch.stack([predicted & true, predicted, true], dim=1)


def f1_macro(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `class_counts`, (..., 3, class): the mean over classes of F1.

    A class that is never predicted and never true is left out.
    """
    true_positive, predicted, true = counts.double().unbind(dim=-2)
    return (2 * true_positive / (predicted + true)).nanmean(dim=-1)


def f1_micro(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `class_counts`, (..., 3, class): F1 over all classes' counts together.

    With one label a sample it equals accuracy.
    """
    true_positive, predicted, true = counts.sum(dim=-1, dtype=torch.float64).unbind(dim=-1)
    return 2 * true_positive / (predicted + true)


def f1_samples(counts: torch.Tensor) -> torch.Tensor:
    """Return (sample,) from `class_counts`: F1 of each sample's set of labels; 1 where both sets are empty."""
    return f1_micro(counts).nan_to_num(1.0)
