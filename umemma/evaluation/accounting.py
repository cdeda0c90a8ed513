"""Is the information missing, or did the model fail to use it? The content of accounting.json.

Bounds and estimates: H(Y) - CE of any model is a lower bound on I(X_S; Y), so `best_known` is if anything too low,
`utilisation` too high, the Fano `ceiling` too low, and the `floor` merely lower than it could be. A level is bounded; a
difference between levels of two sets (price, Shapley value, lost for good, gone) is an estimate that can be wrong either
way, and is taken on one population: the test samples that have everything, with the rest hidden down.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from umemma.evaluation import failure, holes, information, mixture, pairs, yardstick
from umemma.evaluation.bootstrap import LEVEL, Interval, Resamples, difference, interval, rounded, share
from umemma.evaluation.comparison import UNI, Figures, Model, arms, check_same_samples, matrices
from umemma.evaluation.known import Candidates, Known, entropy
from umemma.metrics import calibration, classification, ranking
from umemma.missingness import Pattern, in_order, pattern_name
from umemma.prediction import answers
from umemma.prediction.predictions import Predictions

Probes = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
UNDEFINED: Interval = {"value": None, "low": None, "high": None}


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
    is_additive: bool = False,
) -> dict[str, Any]:
    """Return accounting.json except `dataset`. Every set is measured on the test samples that have it.

    `main` is this run's model, one of `models`; those of arm `uni` hold the towers. `probes`: for each modality, is a
    linear probe correct (sample,), on the pre-trained encoder and on the one inside `main`. `truth`: I(X_S; Y) if it is
    known. `rates`: missing rates for the price and the matrices. `is_additive`: does this run's head sum one term per
    modality? Utilisation is undefined (None) if the interval of the best known model's bound is not above zero: no usable
    information is known to exist.

    Raises DataError if the models' predictions are not on the same samples in the same order.
    """
    assert main in models, "this run's model is one of the models that are compared"
    check_same_samples(models, main)
    test = main.splits["test"]
    resamples = Resamples(test.group, replicates=replicates, seed=seed)
    names = {pattern: pattern_name(pattern, test.modalities) for pattern in test.patterns()}
    candidates = Candidates(models, main, resamples)
    known = {pattern: candidates.known(pattern) for pattern in names}
    heads = failure.Heads.of(models, main, resamples, is_additive=is_additive)
    own = (
        heads
        if main.arm in failure.ON_TOWERS
        else failure.Heads.of(models, main, resamples, is_additive=is_additive, on=failure.ON_OWN)
    )
    gaps = failure.late_fusion(main, heads, list(names), resamples)
    diagnosis = holes.diagnosed(main)
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
        "entropy": rounded(entropy(outcomes, torch.ones(len(test.label), dtype=torch.bool), resamples)[0].sum().item()),
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
            | {
                "truth": rounded(truth[pattern]) if truth is not None else None,
                "parts": failure.parts(main, candidates, own, pattern, resamples, is_additive=is_additive),
            }
            for pattern, name in names.items()
        },
        "at_rates": _at_rates(main, candidates, resamples, rates),
        "as_they_come": mixture.as_they_come(main, candidates, resamples),
        "holes": diagnosis,
        "elsewhere": holes.elsewhere(main, rates, diagnosis),
        "by_modality": _by_modality(main, _towers_of(models, main), candidates, probes, resamples, rates=rates),
        "late_fusion": {names[pattern]: row for pattern, row in gaps.items()},
        "pairs": {
            names[pattern]: row for pattern, row in pairs.interactions(candidates, list(names), resamples).items()
        },
        "lost": yardstick.lost(models, main, resamples),
        "halves": yardstick.of_halves(models, main, resamples),
        "counter_intuitive": counter_intuitive(main, resamples),
        "reliability": {name: calibration.reliability(bins[pattern][0]) for pattern, name in names.items()},
        "models": [_described(model, main, figures[model], names) for model in models],
        "arms": arms(
            [model for model in models if not model.arm.endswith(failure.ON_OWN)], main, figures, resamples, seed=seed
        ),
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
        "cross_entropy": interval(resamples.mean(table.nll[pattern], rows), clusters, lowest=0.0),
        "ece": _within_1(calibration.calibration_error(bins), clusters),
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
        "lower_bound": interval(lower_bound, known.clusters),
        "best_known": {**interval(known.lower_bound, known.clusters), "model": known.model.name, "uses": known.used},
        "utilisation": interval(lower_bound / known.lower_bound, known.clusters) if known.is_informative else UNDEFINED,
        "floor": _within_1(known.floor, known.clusters),
        "ceiling": _within_1(known.ceiling, known.clusters),
    }


def _by_modality(
    main: Model,
    towers: Model | None,
    candidates: Candidates,
    probes: Probes | None,
    resamples: Resamples,
    *,
    rates: Sequence[float],
) -> dict[str, Any]:
    test = main.splits["test"]
    everything = (True,) * len(test.modalities)
    known = _down_from(everything, candidates, test)
    values = {pattern: bound.lower_bound for pattern, bound in known.items()}
    every_rate = torch.tensor(rates, dtype=torch.float64)[:, None].repeat(1, len(test.modalities))
    clusters = resamples.clusters_of(test.has(everything))
    results = {}
    for m, modality in enumerate(test.modalities):
        alone = information.added((False,) * len(test.modalities), m)
        without = tuple(number != m for number in range(len(test.modalities)))
        shapley = information.shapley(values, m) if values else torch.tensor([torch.nan])
        results[modality] = {
            "n": int(test.has(everything).sum()),
            "loss": difference(
                _score(main, everything, test.has(everything), resamples)
                - _score(main, without, test.has(everything), resamples),
                clusters,
            ),
            "price": [
                {"missing_rate": rate, **interval(estimate, clusters)}
                for rate, estimate in zip(rates, information.price(values, m, every_rate), strict=True)
            ]
            if values
            else [],
            "shapley": interval(shapley, clusters),
            "shapley_share": interval(shapley / values[everything], clusters)
            if values and known[everything].is_informative
            else UNDEFINED,
            "lost_for_good": interval(information.lost_for_good(values, m), clusters) if values else UNDEFINED,
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


def _down_from(everything: Pattern, candidates: Candidates, test: Predictions) -> dict[Pattern, Known]:
    """Return what is known of each set on the samples that have everything; nothing, if there are none.

    v(S) of samples that have S would compare patients with other patients: where holes depend on anything, a modality
    that says nothing would have a value.
    """
    if not test.has(everything).any():
        return {}
    return {pattern: candidates.known(pattern, everything) for pattern in in_order(test.logits) if any(pattern)}


def _at_rates(
    main: Model, candidates: Candidates, resamples: Resamples, rates: Sequence[float]
) -> list[dict[str, Any]]:
    """Return what is known, used and failed where every modality is missing at a rate, on samples that have everything.

    Nothing where a set that can occur was not evaluated, or no test sample has everything.
    """
    test = main.splits["test"]
    everything = (True,) * len(test.modalities)
    known, rows = _down_from(everything, candidates, test), test.has(everything)
    if not known or not main.tables["test"].is_known([0.5] * len(everything)):
        return []
    values = {pattern: bound.lower_bound for pattern, bound in known.items()}
    used = {
        pattern: known[everything].entropy.sum(dim=1) - resamples.mean(main.tables["test"].nll[pattern], rows)
        for pattern in known
    }
    clusters = resamples.clusters_of(rows)
    every_rate = torch.tensor(rates, dtype=torch.float64)[:, None].repeat(1, len(everything))
    each = (information.expected_information(game, every_rate) for game in (values, used))
    return [
        {
            "missing_rate": rate,
            "best_known": interval(best, clusters),
            "used": interval(ours, clusters),
            "failed": difference(best - ours, clusters),
        }
        for rate, best, ours in zip(rates, *each, strict=True)
    ]


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


def _within_1(estimate: torch.Tensor, clusters: int) -> Interval:
    return interval(estimate, clusters, lowest=0.0, highest=1.0)


def _difference(pretrained: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    return pretrained.double() - fused.double()
