"""Where yes begins for each class of multi-label data: chosen for F1 on validation data, applied to test data.

At log-odds of 0 a rare class is hardly ever answered, however well it is ranked. The threshold that is best for F1 is
lower, and has to be looked for (Lipton et al. 2014, arXiv 1402.1892); it changes decisions only, never a probability.
A rare class has few positives in validation, and the best threshold for these few is one for their chance. So labels
serve to calibrate only, by one temperature for all classes; F1 is what the calibrated probabilities expect, samples and
classes as they come. On film genres (5-fold over training and validation data, 360 films for the thresholds) micro and
macro F1 of plots are 0.624 and 0.530 like this, and were 0.615 and 0.511 with the labels' F1 steadied by a threshold
common to all classes; of posters 0.515 and 0.374, and 0.528 and 0.337.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from umemma.metrics.calibration import temperature
from umemma.prediction.predictions import Predictions

_NUM_CANDIDATES = 200


def decided(splits: Mapping[str, Predictions], threshold: str) -> dict[str, Predictions]:
    """Return the answers of `val` and `test`, decided as `evaluate.threshold` says; one label needs no threshold."""
    return fitted(splits) if threshold == "validation" and splits["val"].label.ndim == 2 else dict(splits)


def fitted(splits: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Return the answers of `val` and `test` with thresholds from `val`, for every pattern a model is asked under."""
    val = splits["val"]
    found = {
        pattern: fit(logits[val.has(pattern)], val.label[val.has(pattern)])
        for pattern, logits in val.logits.items()
        if any(pattern) and val.has(pattern).any()
    }
    return {split: replace(one, threshold=found) for split, one in splits.items()}


def fit(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (class,): the log-odds above which the answer is yes; logits (sample, class), label (sample, class) bool.

    A class without a positive takes the threshold that its probabilities suggest, as all others do.
    """
    scores = logits.double()
    levels = torch.linspace(0, 1, _NUM_CANDIDATES, dtype=torch.float64)
    candidates = (
        scores.flatten().quantile(levels)
        if scores.numel() < 2**24
        else torch.linspace(float(scores.min()), float(scores.max()), _NUM_CANDIDATES, dtype=torch.float64)
    )
    positive = (scores / temperature(scores, label)).sigmoid()
    answered = scores[:, :, None] > candidates  # (sample, class, candidate)
    hit = (answered * positive[:, :, None]).sum(dim=0)
    f1 = 2 * hit / (answered.sum(dim=0) + positive.sum(dim=0)[:, None])
    return candidates[f1.argmax(dim=1)].float()
