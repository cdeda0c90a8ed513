"""Scores of a model on chosen test samples, each an estimate (1 + replicate,): accuracy, micro F1, AUROC and AUPRC."""

from collections.abc import Callable, Mapping

import torch

from umemma.evaluation.bootstrap import Resamples
from umemma.evaluation.comparison import Model
from umemma.metrics import classification, ranking
from umemma.missingness import Pattern

RARE = 0.75  # from this share of one class on, accuracy tells little: AUROC and AUPRC do
Estimate = Callable[[Model, Pattern, torch.Tensor, Resamples], torch.Tensor]  # of the samples that `rows` selects


def _accuracy(model: Model, pattern: Pattern, rows: torch.Tensor, resamples: Resamples) -> torch.Tensor:
    return resamples.mean(model.tables["test"].share_correct[pattern], rows)


def _f1(model: Model, pattern: Pattern, rows: torch.Tensor, resamples: Resamples) -> torch.Tensor:
    return classification.f1_micro(resamples.sums(model.tables["test"].counts[pattern], rows))


def _ranking(model: Model, pattern: Pattern, rows: torch.Tensor, resamples: Resamples) -> ranking.Ranking:
    logits, label = model.splits["test"].logits[pattern][rows], model.splits["test"].label[rows]
    classes = ranking.ranked_classes(model.splits["test"].label, logits.shape[1])
    return ranking.by_class(logits, label, classes, resamples.sample_weight(rows)).macro()


SCORES: Mapping[str, Estimate] = {
    "accuracy": _accuracy,
    "micro F1": _f1,
    "AUROC": lambda *arguments: _ranking(*arguments).auroc,
    "AUPRC": lambda *arguments: _ranking(*arguments).auprc,
}


def telling(label: torch.Tensor) -> tuple[str, ...]:
    """Return the scores that tell most of such labels: (sample,) int64, or (sample, class) bool."""
    if label.ndim == 2:
        return ("micro F1",)
    is_rare = torch.bincount(label).max().item() > RARE * len(label)
    return ("AUROC", "AUPRC") if is_rare else ("accuracy",)
