"""Metrics of classification, from logits (sample, class) and a label whose shape tells the task.

- One label a sample: (sample,) int64. Logits are log-probabilities up to a constant; the largest is the answer.
- Several labels a sample: (sample, class) bool. Every class is a question of its own, answered by its log-odds: yes
  above 0. `share_correct` is then the share of a sample's questions that were answered right (1 - Hamming loss), `nll`
  the sum over them, a bound on the labels taken one by one.

So there is one variable to predict, or one for each class; functions that keep them apart have an axis `variable`.
Decisions that are to be made elsewhere than at 0 come as shifted logits (umemma.prediction.thresholds); probabilities never do.

What a bootstrap repeats a thousand times is split in two: sums that add up over samples, and the metric of any such
sums, whatever axes come before (`...`). So a replicate costs a matrix product, never a pass over the samples. The two
ranking metrics are no function of sums; they take the weight of every sample in every replicate.
"""

from typing import Any

import torch
from torch import nn

NUM_BINS = 15  # equal-width, as Guo et al. 2017 (arXiv 1706.04599)
_CHUNK = 2**20  # elements of the (replicate, sample) tables of `ranking` that are worked on at once


def is_correct(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, variable) bool: is the answer the right one? Ties go to the first class, and to no."""
    if label.ndim == 2:
        return (logits > 0) == label
    return (logits.argmax(dim=1) == label)[:, None]


def share_correct(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) float64: is the answer right, or the share of answers that are."""
    return is_correct(logits, label).double().mean(dim=1)


def nll_by_variable(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, variable) float64: -log p(what it is), in nats."""
    if label.ndim == 2:
        return nn.functional.binary_cross_entropy_with_logits(logits.double(), label.double(), reduction="none")
    return nn.functional.cross_entropy(logits.double(), label, reduction="none")[:, None]


def nll(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) float64: -log p(label), in nats, summed over variables; its mean is the cross-entropy."""
    return nll_by_variable(logits, label).sum(dim=1)


def loss(
    logits: torch.Tensor, label: torch.Tensor, smoothing: float = 0.0, log_weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Return what training minimises: the mean cross-entropy of a sample, with several labels that of a variable.

    `log_weight` (class,), see `log_class_weight`, weighs a class's samples - with several labels, its positives. Weights
    alone would make every answer too sure of rare classes; so the loss is of logits moved by `log_weight`, and the
    logits themselves stay those of true probabilities.
    """
    weight = None if log_weight is None else log_weight.exp()
    moved = logits if log_weight is None else logits + log_weight
    if label.ndim == 2:
        target = label.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(moved, target, pos_weight=weight)
    return nn.functional.cross_entropy(moved, label, weight, label_smoothing=smoothing)


def log_class_weight(log_prior: torch.Tensor, balance: float) -> torch.Tensor | None:
    """Return (class,): log of (1 / share) ** balance, of the odds with several labels; None for a balance of 0.

    With 0 every sample counts the same, with 1 every class does.
    """
    return -balance * log_prior if balance else None


def log_prior(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (class,): log of each class's share, or its log-odds, with an imaginary sample so that none is infinite.

    One of each class; with several labels one that has a class and one that has it not.
    """
    if label.ndim == 2:
        share = (label.double().sum(dim=0) + 1) / (len(label) + 2)
        return share.logit().float()
    counts = torch.bincount(label, minlength=num_classes) + 1.0
    return (counts / counts.sum()).log()


def outcome_counts(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (sample, variable, outcome) float64 of 0 and 1: what each variable is. Sums of it give entropies."""
    if label.ndim == 2:
        return torch.stack([~label, label], dim=2).double()
    return nn.functional.one_hot(label, num_classes).double()[:, None]


def is_of(label: torch.Tensor, number: int) -> torch.Tensor:
    """Return (sample,) bool: is the class `number` among the sample's labels?"""
    return label[:, number] if label.ndim == 2 else label == number


def class_counts(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, 3, class) float64 of 0 and 1: the class that was hit, that was answered, that is right."""
    if label.ndim == 2:
        answered, true = (logits > 0).double(), label.double()
    else:
        answered, true = (nn.functional.one_hot(one, logits.shape[1]).double() for one in (logits.argmax(dim=1), label))
    return torch.stack([answered * true, answered, true], dim=1)


def f1_macro(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `class_counts`, (..., 3, class): the mean over classes of F1.

    A class that is neither answered nor right anywhere is left out.
    """
    hit, answered, true = counts.unbind(dim=-2)
    return (2 * hit / (answered + true)).nanmean(dim=-1)


def f1_micro(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `class_counts`, (..., 3, class): F1 over all classes' counts together.

    With one label a sample it equals accuracy.
    """
    hit, answered, true = counts.sum(dim=-1).unbind(dim=-1)
    return 2 * hit / (answered + true)


def f1_samples(counts: torch.Tensor) -> torch.Tensor:
    """Return (sample,) from `class_counts`: F1 of each sample's set of labels; 1 where both sets are empty."""
    return f1_micro(counts).nan_to_num(1.0)


def calibration_counts(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, bin, 3) float64: in the bin of the sample's confidence 1, the confidence, and is it right?

    Confidence is the probability of the answer, or of yes or no for every class. A bin holds its upper edge, not its
    lower one.
    """
    if label.ndim == 2:
        yes = logits.double().sigmoid()
        confidence = torch.maximum(yes, 1 - yes)
    else:
        confidence = logits.double().softmax(dim=1).amax(dim=1, keepdim=True)
    bins = ((confidence * NUM_BINS).ceil().long() - 1).clamp(0, NUM_BINS - 1)
    values = torch.stack([torch.ones_like(confidence), confidence, is_correct(logits, label).double()], dim=2)
    found = values.new_zeros(len(values), NUM_BINS, 3)
    return found.scatter_add_(1, bins[:, :, None].expand_as(values), values)


def calibration_error(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `calibration_counts`, (..., bin, 3): expected calibration error (Guo et al. 2017).

    The mean over samples of the gap between confidence and accuracy in their bin. Noise cannot cancel in a gap, so it
    is above zero even for a perfect model, the more the fewer samples there are.
    """
    number, confidence, right = counts.unbind(dim=-1)
    return (right - confidence).abs().sum(dim=-1) / number.sum(dim=-1)


def reliability(counts: torch.Tensor) -> list[dict[str, Any]]:
    """Return mean confidence, accuracy and share of the samples of every bin that holds any; `counts`: (bin, 3)."""
    total = counts[:, 0].sum().item()
    return [
        {
            "confidence": round(confidence / number, 6),
            "accuracy": round(right / number, 6),
            "share": round(number / total, 6),
        }
        for number, confidence, right in counts.tolist()
        if number > 0
    ]


def ranking(logits: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return average precision and AUROC, each (replicate,): one class against the rest, the mean over classes.

    `weight`: (replicate, sample) float64, 0 or more. Where a replicate has no sample of a class, or no other, the
    class is left out. Average precision is the sum over thresholds of (gain in recall) * precision, as scikit-learn's.
    """
    # with one label not softmax: it is 1.0 for every answer that is sure enough
    score = logits.double() if label.ndim == 2 else logits.double().log_softmax(dim=1)
    parts = []
    for some in weight.split(max(1, _CHUNK // max(1, len(label)))):
        by_sample = some.T.contiguous()
        by_class = [_one_versus_rest(score[:, k], is_of(label, k), by_sample) for k in range(logits.shape[1])]
        parts.append(torch.stack(by_class).nanmean(dim=0))
    average_precision, auroc = torch.cat(parts, dim=1)
    return average_precision, auroc


def _one_versus_rest(score: torch.Tensor, positive: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return (2, replicate): average precision, AUROC; NaN where a replicate lacks positives or negatives.

    `weight`: (sample, replicate). Only the scores of positives are thresholds that matter, so the negatives are summed
    between them: 5 times faster than a running sum over all samples.
    """
    threshold, at = score[positive].unique(return_inverse=True)
    own = weight.new_zeros(len(threshold), weight.shape[1]).index_add_(0, at, weight[positive])
    negative, rest = score[~positive], weight[~positive]

    def running(bucket: torch.Tensor) -> torch.Tensor:
        sums = rest.new_zeros(len(threshold) + 1, rest.shape[1]).index_add_(0, bucket, rest)
        return sums.cumsum(dim=0)[:-1]

    is_below, is_up_to = (torch.searchsorted(threshold, negative, right=side) for side in (True, False))
    below = running(is_below)
    up_to = below if torch.equal(is_below, is_up_to) else running(is_up_to)
    num_positive, num_negative = own.sum(dim=0), rest.sum(dim=0)
    hit = own.flip(0).cumsum(dim=0).flip(0)  # positives at or above the threshold
    precision = (hit / (hit + num_negative - below)).nan_to_num(0.0)  # 0 / 0 only above all that was drawn
    found = torch.stack([(own * precision).sum(dim=0), (own * (below + up_to)).sum(dim=0) / (2 * num_negative)])
    return torch.where((num_positive > 0) & (num_negative > 0), found / num_positive, torch.nan)
