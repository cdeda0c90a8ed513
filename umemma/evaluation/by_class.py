"""What a model says of each class, which classes it confuses, and where it is confidently wrong: classes.json.

Every test sample counts once, predicted from all the modalities that it has.
"""

from collections.abc import Sequence
from typing import Any

import torch

from umemma.evaluation.bootstrap import rounded
from umemma.metrics import classification, ranking
from umemma.missingness import pattern_name
from umemma.prediction import answers
from umemma.prediction.predictions import Predictions

NUM_CONFUSED, NUM_WRONG = 20, 12


def by_class(
    predictions: Predictions, classes: Sequence[str], *, keys: Sequence[str], groups: Sequence[str]
) -> dict[str, Any]:
    """Return classes.json; `keys` and `groups` name the samples."""
    logits, decisions = predictions.own()
    label = predictions.label
    is_correct = classification.is_correct(decisions, label).all(dim=1)
    confused = _confused(decisions, label)
    return {
        "n": len(label),
        "num_wrong": int((~is_correct).sum()),
        "classes": _scores(logits, decisions, label, classes),
        "confusion": None if label.ndim == 2 else _with_correct(confused, decisions, label).tolist(),
        "confused": _most(confused, label, classes),
        "wrong": _wrong(predictions, logits, decisions, classes, keys=keys, groups=groups),
    }


def _scores(
    logits: torch.Tensor, decisions: torch.Tensor, label: torch.Tensor, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    correct, predicted, true = classification.class_counts(decisions, label).sum(dim=0, dtype=torch.float64)
    ranked = ranking.by_class(logits, label, range(len(classes)))
    columns = {
        "precision": correct / predicted,
        "recall": correct / true,
        "f1": 2 * correct / (predicted + true),
        "auroc": ranked.auroc[0],
        "auprc": ranked.auprc[0],
    }
    return {
        name: {
            "support": int(true[number]),
            "predicted": int(predicted[number]),
            **{column: rounded(values[number].item()) for column, values in columns.items()},
        }
        for number, name in enumerate(classes)
    }


def _confused(decisions: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (class, class) int64: in how many samples the row's class is missed and the column's wrongly predicted."""
    num_classes = decisions.shape[1]
    predicted = answers.decided(decisions, label)
    if label.ndim == 2:
        return (label & ~predicted).long().T @ (predicted & ~label).long()
    wrong = label != predicted
    pairs = torch.bincount(label[wrong] * num_classes + predicted[wrong], minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def _with_correct(confused: torch.Tensor, decisions: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    correct = torch.bincount(label[decisions.argmax(dim=1) == label], minlength=len(confused))
    return confused + torch.diag(correct)


def _most(confused: torch.Tensor, label: torch.Tensor, classes: Sequence[str]) -> list[dict[str, Any]]:
    number = confused.flatten().sort(descending=True, stable=True)
    support = label.sum(dim=0) if label.ndim == 2 else torch.bincount(label, minlength=len(classes))
    return [
        {
            "true": classes[index // len(classes)],
            "predicted": classes[index % len(classes)],
            "n": count,
            "share": round(count / int(support[index // len(classes)]), 6),
        }
        for count, index in zip(number.values[:NUM_CONFUSED].tolist(), number.indices.tolist(), strict=False)
        if count
    ]


def _wrong(
    predictions: Predictions,
    logits: torch.Tensor,
    decisions: torch.Tensor,
    classes: Sequence[str],
    *,
    keys: Sequence[str],
    groups: Sequence[str],
) -> list[dict[str, Any]]:
    label = predictions.label
    probability = answers.probabilities(logits, label)
    if label.ndim == 2:
        said = torch.where(decisions > 0, probability, 1 - probability)
        confidence = said.masked_fill(classification.is_correct(decisions, label), -1.0).amax(dim=1)
    else:
        confidence = probability.gather(1, decisions.argmax(dim=1, keepdim=True))[:, 0]
        confidence = confidence.masked_fill(classification.is_correct(decisions, label)[:, 0], -1.0)
    order = confidence.sort(descending=True, stable=True).indices
    worst = [row for row in order[:NUM_WRONG].tolist() if confidence[row] >= 0]
    true = answers.labelled(label[worst], classes)
    predicted = answers.labelled(answers.decided(decisions[worst], label), classes)
    return [
        {
            "key": keys[row],
            "group": groups[row],
            "present": pattern_name(tuple(predictions.present[row].tolist()), predictions.modalities),
            "true": true[number],
            "predicted": predicted[number],
            "confidence": round(confidence[row].item(), 6),
        }
        for number, row in enumerate(worst)
    ]
