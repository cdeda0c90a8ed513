"""Where yes begins for each class of multi-label data: chosen for F1 on validation data, applied to test data.

At log-odds of 0 a rare class is hardly ever answered, however well it is ranked. The threshold that is best for F1 is
lower, and has to be looked for (Lipton et al. 2014, arXiv 1402.1892); it changes decisions only, never a probability.
A class with few positives in validation would be fitted to chance: its candidates are weighed together with the
F1 that one threshold for all classes has, as if `_PRIOR` further positives had been seen.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from umemma.answers import Answers

_NUM_CANDIDATES = 200
_PRIOR = 20.0  # positives


def decided(splits: Mapping[str, Answers], threshold: str) -> dict[str, Answers]:
    """Return the answers of `val` and `test`, decided as `evaluate.threshold` says; one label needs no threshold."""
    return fitted(splits) if threshold == "validation" and splits["val"].label.ndim == 2 else dict(splits)


def fitted(splits: Mapping[str, Answers]) -> dict[str, Answers]:
    """Return the answers of `val` and `test` with thresholds from `val`, for every pattern a model is asked under."""
    val = splits["val"]
    found = {pattern: fit(logits[val.has(pattern)], val.label[val.has(pattern)])
             for pattern, logits in val.logits.items() if any(pattern) and val.has(pattern).any()}
    return {split: replace(one, threshold=found) for split, one in splits.items()}


def fit(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (class,): the log-odds above which the answer is yes; logits (sample, class), label (sample, class) bool.

    A class without a positive takes the threshold that is best for all classes together.
    """
    levels = torch.linspace(0, 1, _NUM_CANDIDATES, dtype=torch.float64)
    candidates = logits.double().flatten().quantile(levels) if logits.numel() < 2**24 else torch.linspace(
        float(logits.min()), float(logits.max()), _NUM_CANDIDATES, dtype=torch.float64)
    answered = logits.double()[:, :, None] > candidates  # (sample, class, candidate)
    hit = (answered & label[:, :, None]).sum(dim=0).double()
    total = answered.sum(dim=0).double() + label.sum(dim=0).double()[:, None]
    positives = label.sum(dim=0).double()[:, None]
    pooled_hit, pooled_total = hit.sum(dim=0), total.sum(dim=0)
    share = _PRIOR / positives.sum().clamp_min(1.0)
    f1 = 2 * (hit + share * pooled_hit) / (total + share * pooled_total).clamp_min(1e-12)
    return candidates[f1.argmax(dim=1)].float()
