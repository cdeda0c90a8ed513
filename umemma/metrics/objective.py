"""The training objective: cross-entropy, with classes weighted and probabilities that stay calibrated."""

import torch
from torch import nn


def loss(
    logits: torch.Tensor,
    label: torch.Tensor,
    smoothing: float = 0.0,
    log_weight: torch.Tensor | None = None,
    target: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return what training minimises: the mean cross-entropy over samples, with several labels over variables too.

    `target` (batch, class): probabilities in place of the labels.

    `log_weight` (class,), see `log_class_weight`, weights a class's samples - with several labels, its positives. Weights
    alone would make the model overconfident in rare classes; so the loss is computed on logits shifted by `log_weight`,
    and the logits themselves stay those of the true probabilities.
    """
    weight = None if log_weight is None else log_weight.exp()
    shifted = logits if log_weight is None else logits + log_weight
    if label.ndim == 2:
        soft = (label if target is None else target).to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(shifted, soft, pos_weight=weight)
    return nn.functional.cross_entropy(shifted, label if target is None else target, weight, label_smoothing=smoothing)


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
