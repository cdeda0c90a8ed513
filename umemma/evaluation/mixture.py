"""The information in a mixture of patterns: as samples come, with the holes that they have.

For any joint law of pattern R, data and label,

    H(Y) - H(Y | X_R, R) = I(Y; R) + sum_r p(r) I(Y; X_r | R = r),

the chain rule; and the cross-entropy of any model is H(Y | X_R, R) + sum_r p(r) e_r, e_r >= 0. So the information
has two parts, that of presence itself and that of what is present. Presence tells something of the label only where holes
are not random, and what it tells is a shortcut: it is worth nothing where holes have another cause.
"""

from typing import Any

import torch

from umemma.evaluation.bootstrap import Resamples, difference, interval
from umemma.evaluation.comparison import Model
from umemma.evaluation.known import Candidates, entropy
from umemma.metrics import classification
from umemma.prediction.predictions import Predictions

MIN_SAMPLES = 30  # of validation with exactly a pattern, to choose a model for it


def as_they_come(main: Model, candidates: Candidates, resamples: Resamples) -> dict[str, Any] | None:
    """Return what is known, used and failed over all test samples, each with exactly what it has; nats.

    `presence`: a lower bound of I(Y; R), from a classifier that knows only which modalities are there, fitted to validation
    data. None where every test sample has everything.
    """
    test, table = main.splits["test"], main.tables["test"]
    if test.present.all():
        return None
    every = torch.ones(len(test.label), dtype=torch.bool)
    outcomes = classification.outcome_counts(test.label, test.num_classes)
    label_entropy = entropy(outcomes, every, resamples).sum(dim=1)
    used = table.nll[(True,) * len(test.modalities)]
    best = _best(main, candidates)
    alone = resamples.mean(classification.nll(presence_logits(main.splits["val"], test), test.label), every)

    def bound(nll: torch.Tensor) -> torch.Tensor:
        return label_entropy - resamples.mean(nll, every)

    return {
        "n": len(test.label),
        "entropy": interval(label_entropy, resamples.num_clusters),
        "used": interval(bound(used), resamples.num_clusters),
        "best_known": interval(bound(best), resamples.num_clusters),
        "failed": difference(resamples.mean(used - best, every), resamples.num_clusters),
        "presence": interval(label_entropy - alone, resamples.num_clusters),
    }


def presence_logits(val: Predictions, test: Predictions) -> torch.Tensor:
    """Return (test sample, class): log-probabilities, or log-odds, of who sees only which modalities are there.

    The class shares of the validation samples with the same pattern, drawn towards those of all by as many samples as there
    are classes: a pattern of three samples says little.
    """
    several = val.label.ndim == 2
    counts = classification.has_class(val.label, val.num_classes)
    weight = 2 if several else val.num_classes
    prior = (counts.sum(dim=0) + 1) / (len(counts) + weight)
    share = prior.expand(len(test.label), -1).clone()
    for pattern in val.present.unique(dim=0):
        rows, at = (val.present == pattern).all(dim=1), (test.present == pattern).all(dim=1)
        share[at] = (counts[rows].sum(dim=0) + weight * prior) / (rows.sum() + weight)
    return share.logit() if several else share.log()


def _best(main: Model, candidates: Candidates) -> torch.Tensor:
    """Return (test sample,): the loss of the best known model of exactly what each has, chosen on such validation samples."""
    val, test = main.splits["val"], main.splits["test"]
    nll = torch.zeros(len(test.label), dtype=torch.float64)
    for flags in test.present.unique(dim=0):
        pattern = tuple(flags.tolist())
        rows = (val.present == flags).all(dim=1)
        model, uses = candidates.best(pattern, rows if rows.sum() >= MIN_SAMPLES else val.has(pattern))
        at = (test.present == flags).all(dim=1)
        nll[at] = model.tables["test"].nll[uses][at]
    return nll
