"""Is the information missing, or did the model fail to use it? The content of accounting.json.

Bounds and estimates: H(Y) - CE of any model is a lower bound on I(X_S; Y), so `best_known` is if anything too low,
`utilisation` too high, the Fano `ceiling` too low, and the `floor` merely lower than it could be. A difference between
the bounds of two sets (price, Shapley value, lost for good) can be wrong either way. The best known model is chosen on
validation data and measured on test data, so that the selection does not bias its result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from umemma.evaluation import information, yardstick
from umemma.evaluation.bootstrap import LEVEL, Interval, Resamples, difference, interval, rounded, share
from umemma.evaluation.comparison import UNI, Figures, Model, arms, check_same_samples, matrices
from umemma.metrics import calibration, classification, ranking
from umemma.missingness import Pattern, in_order, pattern_name
from umemma.prediction import answers
from umemma.prediction.predictions import Predictions

Probes = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
UNDEFINED: Interval = {"value": None, "low": None, "high": None}


@dataclass(frozen=True)
class Known:
    """What is known about one set of modalities on the test samples that have it; (1 + replicate, variable), in nats.

    The variable is the label; with several labels a sample there is one per class, and each has its own bound.
    """

    model: Model
    entropy: torch.Tensor
    cross_entropy: torch.Tensor
    largest_share: torch.Tensor
    num_outcomes: int

    @property
    def lower_bound(self) -> torch.Tensor:
        """The best known model's bound on I(X_S; Y), or on the sum of I(X_S; Y_k); (1 + replicate,)."""
        return information.lower_bound(self.entropy, self.cross_entropy).sum(dim=1)

    @property
    def residual(self) -> torch.Tensor:
        """The bound on H(Y|X_S): the best known model's cross-entropy, or H(Y) if that is lower."""
        return torch.minimum(self.cross_entropy, self.entropy)

    @property
    def floor(self) -> torch.Tensor:
        """The accuracy that `residual` guarantees, (1 + replicate,); the mean over variables."""
        return information.hellman_raviv_floor(self.residual, self.largest_share).mean(dim=1)

    @property
    def ceiling(self) -> torch.Tensor:
        """The accuracy that `residual` allows, (1 + replicate,); the mean over variables."""
        return information.fano_ceiling(self.residual, self.num_outcomes).mean(dim=1)

    @property
    def is_informative(self) -> bool:
        """Is the interval of `lower_bound` above zero? Only then are shares of it defined."""
        low = interval(self.lower_bound)["low"]
        return low is not None and low > 0


def account(
    models: Sequence[Model],
    *,
    main: Model,
    probes: Probes | None,
    truth: Mapping[Pattern, float] | None,
    classes: Sequence[str],
    seed: int,
    replicates: int,
    rates: Sequence[float],
) -> dict[str, Any]:
    """Return accounting.json except `dataset`. Every set is measured on the test samples that have it.

    `main` is this run's model, one of `models`; those of arm `uni` hold the towers. `probes`: for each modality, is a
    linear probe correct (sample,), on the pre-trained encoder and on the one inside `main`. `truth`: I(X_S; Y) if it is
    known. `rates`: missing rates for the price and the matrices. Utilisation is undefined (None) if the interval of the
    best known model's bound is not above zero: no usable information is known to exist.

    Raises DataError if the models' predictions are not on the same samples in the same order.
    """
    assert main in models, "this run's model is one of the models that are compared"
    check_same_samples(models, main)
    test = main.splits["test"]
    resamples = Resamples(test.group, replicates=replicates, seed=seed)
    names = {pattern: pattern_name(pattern, test.modalities) for pattern in test.patterns()}
    known = {pattern: _best_known(models, main, pattern, resamples) for pattern in names}
    figures = {model: _figures(model, known) for model in models}
    bins = {
        pattern: resamples.sums(calibration.calibration_counts(test.logits[pattern], test.label), test.has(pattern))
        for pattern in names
    }
    outcomes = classification.outcome_counts(test.label, len(classes))
    return {
        "arm": main.arm,
        "seed": main.seed,
        "task": "multi_label" if test.label.ndim == 2 else "single_label",
        "modalities": list(test.modalities),
        "classes": list(classes),
        "entropy": rounded(information.entropy(outcomes.sum(dim=0)).sum().item()),
        "bootstrap": {
            "replicates": replicates,
            "level": LEVEL,
            "clusters": resamples.num_clusters,
            "clustered": resamples.is_clustered,
        },
        "metrics": {
            name: _metrics(main, pattern, test.has(pattern), bins[pattern], resamples)
            for pattern, name in names.items()
        },
        "every_sample": _every_sample(main, resamples),
        "majority_labels": _majority_labels(test, classes),
        "majority": {name: _majority(main, pattern, test.has(pattern), resamples) for pattern, name in names.items()},
        "information": {
            name: _information(main, pattern, known[pattern], resamples)
            | {"truth": rounded(truth[pattern]) if truth is not None else None}
            for pattern, name in names.items()
        },
        "by_modality": _by_modality(main, _towers_of(models, main), known, probes, resamples, rates=rates),
        "lost": yardstick.lost(models, main, resamples),
        "halves": yardstick.of_halves(models, main, resamples),
        "counter_intuitive": counter_intuitive(main, resamples),
        "reliability": {name: calibration.reliability(bins[pattern][0]) for pattern, name in names.items()},
        "models": [_described(model, main, figures[model], names) for model in models],
        "arms": arms(models, main, figures, resamples, seed=seed),
        "matrices": matrices(models, rates),
    }


def counter_intuitive(main: Model, resamples: Resamples) -> list[dict[str, Any]]:
    """Return how often an added modality turns a correct prediction wrong, for every set and modality not in it.

    The share of test samples with the larger set that are correct before, wrong after, and have a lower likelihood of
    the true class.
    """
    test, table = main.splits["test"], main.tables["test"]
    results = []
    for present in test.patterns():
        for m, modality in enumerate(test.modalities):
            after = information.added(present, m)
            rows = test.has(after)
            if present[m] or not rows.any() or after not in test.logits:
                continue
            flipped = (
                (
                    table.is_correct[present]
                    & ~table.is_correct[after]
                    & (table.nll_by_variable[after] > table.nll_by_variable[present])
                )
                .double()
                .mean(dim=1)
            )
            results.append(
                {
                    "present": pattern_name(present, test.modalities),
                    "added": modality,
                    "rate": share(resamples.mean(flipped, rows), resamples.clusters_of(rows)),
                }
            )
    return results


def _best_known(models: Sequence[Model], main: Model, pattern: Pattern, resamples: Resamples) -> Known:
    """Choose by cross-entropy on validation data; if no validation sample has the pattern, take this run's model."""
    rows, test = main.splits["val"].has(pattern), main.splits["test"]
    best = min(models, key=lambda model: model.tables["val"].cross_entropy(pattern)) if rows.any() else main
    rows = test.has(pattern)
    outcomes = classification.outcome_counts(test.label, test.logits[pattern].shape[1])
    counts = resamples.sums(outcomes, rows)
    number = counts[:, :1].sum(dim=2)
    return Known(
        best,
        information.entropy(counts),
        resamples.sums(best.tables["test"].nll_by_variable[pattern], rows) / number,
        counts.amax(dim=2) / number,
        outcomes.shape[2],
    )


def _every_sample(main: Model, resamples: Resamples) -> dict[str, Any]:
    """Return the metrics over all test samples, each with what it has, by what is not hidden: everything, all but one.

    Nothing, where every sample has everything: these are then the metrics of the patterns.
    """
    test = main.splits["test"]
    if test.present.all():
        return {}
    every = torch.ones(len(test.label), dtype=torch.bool)
    results = {}
    for pattern in in_order(test.logits):
        if sum(pattern) < max(1, len(pattern) - 1):
            continue
        bins = resamples.sums(calibration.calibration_counts(test.logits[pattern], test.label), every)
        name = pattern_name(pattern, test.modalities)
        results[name] = _metrics(main, pattern, every, bins, resamples)
        results[name]["majority"] = _majority(main, pattern, every, resamples)
    return results


def _metrics(
    main: Model, pattern: Pattern, rows: torch.Tensor, bins: torch.Tensor, resamples: Resamples
) -> dict[str, Any]:
    """Return the metrics on the samples `rows`, each with what it has of the pattern."""
    test, table = main.splits["test"], main.tables["test"]
    logits = test.logits[pattern]
    counts, clusters = resamples.sums(table.counts[pattern], rows), resamples.clusters_of(rows)
    ranked = ranking.by_class(logits[rows], test.label[rows], table.ranked, resamples.sample_weight(rows)).macro()
    return {
        "n": int(rows.sum()),
        "clusters": clusters,
        "accuracy": share(resamples.mean(table.share_correct[pattern], rows), clusters),
        "f1_macro": share(classification.f1_macro(counts), clusters),
        "f1_micro": share(classification.f1_micro(counts), clusters),
        "f1_samples": share(resamples.mean(classification.f1_samples(table.counts[pattern]), rows), clusters),
        "auroc": share(ranked.auroc, clusters),
        "auprc": share(ranked.auprc, clusters),
        "cross_entropy": interval(resamples.mean(table.nll[pattern], rows), lowest=0.0),
        "ece": _within_1(calibration.calibration_error(bins)),
    }


def _majority_labels(test: Predictions, classes: Sequence[str]) -> list[str]:
    """Return what the prior predicts: of the most frequent class in training, or of none, one, or several labels."""
    nothing = (False,) * len(test.modalities)
    return answers.labelled(answers.decided(test.decisions(nothing)[:1], test.label), classes)[0]


def _majority(main: Model, pattern: Pattern, rows: torch.Tensor, resamples: Resamples) -> dict[str, Any]:
    """Return how often the prior alone is right on the samples `rows`, and how much better this run is."""
    nothing = (False,) * len(pattern)
    prior = _score(main, nothing, rows, resamples)
    return {
        "score": rounded(prior[0].item()),
        "gain": difference(
            _score(main, pattern, rows, resamples) - prior, resamples.clusters_of(rows), lowest=-1.0, highest=1.0
        ),
    }


def _score(main: Model, pattern: Pattern, rows: torch.Tensor, resamples: Resamples) -> torch.Tensor:
    """Return the headline score, accuracy or micro F1, under a pattern on the samples `rows`; (1 + replicate,)."""
    table = main.tables["test"]
    if table.has_several_labels:
        return classification.f1_micro(resamples.sums(table.counts[pattern], rows))
    return resamples.mean(table.share_correct[pattern], rows)


def _information(main: Model, pattern: Pattern, known: Known, resamples: Resamples) -> dict[str, Any]:
    cross_entropy = resamples.mean(main.tables["test"].nll[pattern], main.splits["test"].has(pattern))
    lower_bound = information.lower_bound(known.entropy.sum(dim=1), cross_entropy)
    return {
        "lower_bound": interval(lower_bound),
        "best_known": {**interval(known.lower_bound), "model": known.model.name},
        "utilisation": interval(lower_bound / known.lower_bound) if known.is_informative else UNDEFINED,
        "floor": _within_1(known.floor),
        "ceiling": _within_1(known.ceiling),
    }


def _by_modality(
    main: Model,
    towers: Model | None,
    known: Mapping[Pattern, Known],
    probes: Probes | None,
    resamples: Resamples,
    *,
    rates: Sequence[float],
) -> dict[str, Any]:
    test = main.splits["test"]
    values = {pattern: bound.lower_bound for pattern, bound in known.items()}
    everything = (True,) * len(test.modalities)
    every_rate = torch.tensor(rates, dtype=torch.float64)[:, None].repeat(1, len(test.modalities))
    results = {}
    for m, modality in enumerate(test.modalities):
        alone = information.added((False,) * len(test.modalities), m)
        without = tuple(number != m for number in range(len(test.modalities)))
        shapley = information.shapley(values, m)
        is_share_defined = everything in known and known[everything].is_informative
        results[modality] = {
            "loss": difference(
                _score(main, everything, test.has(everything), resamples)
                - _score(main, without, test.has(everything), resamples),
                resamples.clusters_of(test.has(everything)),
            ),
            "price": [
                {"missing_rate": rate, **interval(estimate)}
                for rate, estimate in zip(rates, information.price(values, m, every_rate), strict=True)
            ],
            "shapley": interval(shapley),
            "shapley_share": interval(shapley / values[everything]) if is_share_defined else UNDEFINED,
            "lost_for_good": interval(information.lost_for_good(values, m)),
            "encoder_term": difference(
                resamples.mean(_difference(*probes[modality]), test.present[:, m]),
                resamples.clusters_of(test.present[:, m]),
            )
            if probes
            else None,
            "fusion_noise": difference(
                resamples.mean(
                    towers.tables["test"].share_correct[alone] - main.tables["test"].share_correct[alone],
                    test.has(alone),
                ),
                resamples.clusters_of(test.has(alone)),
            )
            if towers is not None
            else UNDEFINED,
        }
    return results


def _towers_of(models: Sequence[Model], main: Model) -> Model | None:
    """Return the towers of this run's seed, otherwise any, otherwise None."""
    towers = [model for model in models if model.arm == UNI]
    return next((model for model in towers if model.seed == main.seed), towers[0] if towers else None)


def _figures(model: Model, known: Mapping[Pattern, Known]) -> Figures:
    table, figures = model.tables["test"], {}
    for pattern, bound in known.items():
        cross_entropy, label_entropy = table.cross_entropy(pattern), bound.entropy[0].sum().item()
        best = bound.lower_bound[0].item()
        figures[pattern] = {
            "accuracy": table.accuracy(pattern),
            "cross_entropy": cross_entropy,
            "utilisation": (label_entropy - cross_entropy) / best if bound.is_informative else None,
            **(table.f1(pattern) if table.has_several_labels else {}),
        }
    return figures


def _described(model: Model, main: Model, figures: Figures, names: Mapping[Pattern, str]) -> dict[str, Any]:
    return {
        "name": model.name,
        "arm": model.arm,
        "seed": model.seed,
        "missing_rate": None if model.missing_rate is None else dict(model.missing_rate),
        "this_run": model is main,
        "budget": model.budget,
        "patterns": {
            names[pattern]: {metric: None if value is None else rounded(value) for metric, value in row.items()}
            for pattern, row in figures.items()
        },
    }


def _within_1(estimate: torch.Tensor) -> Interval:
    return interval(estimate, lowest=0.0, highest=1.0)


def _difference(pretrained: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    return pretrained.double() - fused.double()
