"""The run against specialists over all test samples, each with what it has: what is gone, what failed, and by halves.

What hiding a modality costs this run is split in two. Failed: by how much it is then worse than the best known model
without that modality, chosen on validation data. Gone: the rest; even that model is worse by it than this run with
everything. The first is a lower bound of the failure, the second an estimate, too large by what no model known finds.
"""

from collections.abc import Sequence
from typing import Any

import torch

from umemma.evaluation.bootstrap import Interval, Resamples, difference, share
from umemma.evaluation.comparison import Model
from umemma.evaluation.scores import SCORES, telling
from umemma.missingness import Pattern, halves

SPECIALISTS = "frozen specialist"  # the arm of data/reference/specialists


def lost(models: Sequence[Model], main: Model, resamples: Resamples) -> dict[str, Any]:
    """Return by modality what hiding it costs: {modality: {n: samples that have it, model: the best known, by score}}."""
    test = main.splits["test"]
    num_modalities = len(test.modalities)
    everything = (True,) * num_modalities
    if num_modalities < 2:
        return {}
    results = {}
    for m, modality in enumerate(test.modalities):
        without = tuple(number != m for number in range(num_modalities))
        best = min(models, key=lambda model: model.tables["val"].nll[without].mean().item())
        results[modality] = {
            "n": int(test.present[:, m].sum()),
            "model": best.name,
            "scores": {
                name: _split(
                    _score(name, main, everything, resamples),
                    _score(name, main, without, resamples),
                    _score(name, best, without, resamples),
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


def _split(full: torch.Tensor, without: torch.Tensor, best_without: torch.Tensor, clusters: int) -> dict[str, Interval]:
    return {
        "loss": difference(full - without, clusters),
        "gone": difference(full - best_without, clusters),
        "failed": difference(best_without - without, clusters),
    }


def _score(name: str, model: Model, pattern: Pattern, resamples: Resamples) -> torch.Tensor:
    """Return a score over all test samples, the higher the better: cross-entropy with its sign changed."""
    every = torch.ones(len(model.splits["test"].label), dtype=torch.bool)
    if name == "cross-entropy":
        return -resamples.mean(model.tables["test"].nll[pattern], every)
    return SCORES[name](model, pattern, every, resamples)
