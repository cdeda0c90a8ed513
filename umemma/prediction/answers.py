"""Predictions of a split as text: a row for each sample, with what is true, what is predicted, and all probabilities.

A cell that a spreadsheet would run as a formula gets an apostrophe in front, as OWASP recommends against CSV injection:
keys, groups and classes come from the data.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from umemma.files import written_whole
from umemma.missingness import pattern_name
from umemma.prediction.predictions import Predictions

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
SEPARATOR = "; "


def write(
    path: Path,
    predictions: Predictions,
    split: str,
    *,
    keys: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Write the CSV: key, group, split, present, true, predicted, and the probability of each class.

    Every sample is predicted from all that it has. Several labels are separated by `; `.
    """
    head = ["key", "group", "split", "present", "true", "predicted", *(f"probability {name}" for name in classes)]
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for key, group, row in zip(keys, groups, _rows(predictions, classes), strict=True):
            present, true, predicted, probability = row
            text = [key, group, split, present, SEPARATOR.join(true), SEPARATOR.join(predicted)]
            writer.writerow([*map(_harmless, text), *(f"{value:.6g}" for value in probability)])


def _rows(predictions: Predictions, classes: Sequence[str]) -> Iterator[tuple[str, list[str], list[str], list[float]]]:
    logits, decisions = predictions.own()
    true, predicted = labelled(predictions.label, classes), labelled(decided(decisions, predictions.label), classes)
    present = [pattern_name(row, predictions.modalities) for row in predictions.present.tolist()]
    yield from zip(present, true, predicted, probabilities(logits, predictions.label).tolist(), strict=True)


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


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
