"""The run against specialists over all test samples, each with what it has: what is gone, what failed, and by halves.

For any model, CE(S - m) - CE(S) = I(X_m; Y | X_{S - m}) + e(S - m) - e(S), with e >= 0 what the model fails to use. So what
hiding a modality costs this run has three parts, estimated with the best known models L of both sets, chosen on validation
data:

- gone            L(-m) - L(all): an estimate of I(X_m; Y | others), wrong either way, as both L are too high;
- failed          CE(-m) - L(-m): at least this much is failure without the modality;
- failed before   CE(all) - L(all): at least this much was failure with it already, and is not lost by hiding.

The loss is the first and second minus the third.
"""

from collections.abc import Sequence
from typing import Any

import torch

from umemma.evaluation.bootstrap import Interval, Resamples, difference, share
from umemma.evaluation.comparison import Model
from umemma.evaluation.known import Candidates
from umemma.evaluation.scores import SCORES, telling
from umemma.missingness import Pattern, halves

SPECIALISTS = "frozen specialist"  # the arm of data/reference/specialists
ADDITIVE = "frozen additive specialist"  # that of data/reference/additive: their heads sum one term per modality


def lost(models: Sequence[Model], main: Model, resamples: Resamples) -> dict[str, Any]:
    """Return by modality what hiding it costs: {modality: {n: samples that have it, model: the best known, by score}}."""
    test = main.splits["test"]
    num_modalities = len(test.modalities)
    everything = (True,) * num_modalities
    if num_modalities < 2:
        return {}
    candidates, every = Candidates(models, main, resamples), torch.ones(len(main.splits["val"].label), dtype=torch.bool)
    whole = candidates.best(everything, every)
    results = {}
    for m, modality in enumerate(test.modalities):
        without = tuple(number != m for number in range(num_modalities))
        best = candidates.best(without, every)
        results[modality] = {
            "n": int(test.present[:, m].sum()),
            "model": best[0].name,
            "scores": {
                name: _split(
                    [_score(name, *model, resamples) for model in ((main, everything), whole)],
                    [_score(name, *model, resamples) for model in ((main, without), best)],
                    resamples.num_clusters,
                )
                for name in (*telling(test.label), "cross-entropy")
            },
        }
    return results


def of_halves(models: Sequence[Model], main: Model, resamples: Resamples) -> dict[str, Any] | None:
    """Return the mean score over the sets of half of the modalities, of this run and of specialists, and its ratio."""
    test = main.splits["test"]
    sets = halves(len(test.modalities))
    specialists = next((model for model in models if model.arm == SPECIALISTS), None)
    if not sets or specialists is None:
        return None
    scores = {}
    for name in telling(test.label):
        ours, theirs = (
            torch.stack([_score(name, model, pattern, resamples) for pattern in sets]).mean(dim=0)
            for model in (main, specialists)
        )
        scores[name] = {
            "this_run": share(ours, resamples.num_clusters),
            "specialists": share(theirs, resamples.num_clusters),
            "ratio": difference(ours / theirs, resamples.num_clusters, lowest=0.0),
        }
    return {"kept": sum(sets[0]), "of": len(test.modalities), "sets": len(sets), "scores": scores}


def _split(full: Sequence[torch.Tensor], without: Sequence[torch.Tensor], clusters: int) -> dict[str, Interval]:
    """Return the loss and its parts from the scores of this run and of the best known model, with and without."""
    return {
        "loss": difference(full[0] - without[0], clusters),
        "gone": difference(full[1] - without[1], clusters),
        "failed": difference(without[1] - without[0], clusters),
        "failed_before": difference(full[1] - full[0], clusters),
    }


def _score(name: str, model: Model, pattern: Pattern, resamples: Resamples) -> torch.Tensor:
    """Return a score over all test samples, the higher the better: cross-entropy with its sign changed."""
    every = torch.ones(len(model.splits["test"].label), dtype=torch.bool)
    if name == "cross-entropy":
        return -resamples.mean(model.tables["test"].nll[pattern], every)
    return SCORES[name](model, pattern, every, resamples)
