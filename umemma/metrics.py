"""Metrics of single-label classification, each a function of logits (sample, class) and label (sample,)."""

import torch
from torch import nn


def correct(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) bool: is the most likely class the right one? Ties go to the first class."""
    return logits.argmax(dim=1) == label


def surprise(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) float64: -log p(label), in nats; its mean is the cross-entropy."""
    return nn.functional.cross_entropy(logits.double(), label, reduction="none")


def log_prior(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (class,): log of each class's share, with one imaginary sample of each class so that none is -inf."""
    counts = torch.bincount(label, minlength=num_classes) + 1.0
    return (counts / counts.sum()).log()
