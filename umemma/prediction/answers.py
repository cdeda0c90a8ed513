"""What logits say: decisions, probabilities, and the names of labels."""

from collections.abc import Sequence

import torch


def decided(decisions: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return the predicted label in the form of `label`: (sample,) int64, or (sample, class) bool."""
    return decisions > 0 if label.ndim == 2 else decisions.argmax(dim=1)


def probabilities(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, class) float64: of the only label to be the class, or of the class to be among the labels."""
    return logits.double().sigmoid() if label.ndim == 2 else logits.double().softmax(dim=1)


def labelled(label: torch.Tensor, classes: Sequence[str]) -> list[list[str]]:
    """Return the names of each sample's labels."""
    if label.ndim == 1:
        return [[classes[number]] for number in label.tolist()]
    return [[name for name, is_of in zip(classes, row, strict=True) if is_of] for row in label.tolist()]
