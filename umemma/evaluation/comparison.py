"""Comparison of models on the same samples: arms over seeds, arms against this run, the uni-modal gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from umemma.errors import DataError
from umemma.evaluation import bootstrap
from umemma.evaluation.bootstrap import Resamples, enough_flips, holm, rounded, sign_flip
from umemma.evaluation.robustness import Table
from umemma.missingness import Pattern, pattern_name
from umemma.prediction import predictions
from umemma.prediction.predictions import Predictions

UNI = "uni"  # the arm of the towers: under {m} tower m alone, under a larger set the best tower of the set
Rival = tuple[Pattern, str, torch.Tensor]  # a pattern, a model's name, and (sample,) whether it is correct there
Figures = Mapping[Pattern, Mapping[str, float | None]]  # accuracy, cross_entropy, utilisation; of several labels F1


@dataclass(frozen=True, eq=False)
class Model:
    """A model with its predictions on validation and test data. Two models are equal only if they are the same object.

    missing_rate  each modality's in training, None if it does not apply (a specialist)
    budget        total training samples seen by an encoder; None if unknown
    splits        `val` and `test`
    """

    name: str
    arm: str
    seed: int
    missing_rate: Mapping[str, float] | None
    budget: int | None
    splits: Mapping[str, Predictions]

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Correctness and negative log-likelihood for every split."""
        return {split: Table(predictions) for split, predictions in self.splits.items()}

    @property
    def training(self) -> tuple[str, tuple[tuple[str, float], ...] | None]:
        """What models that differ only by seed share: arm and missing rates."""
        return self.arm, None if self.missing_rate is None else tuple(self.missing_rate.items())


def read(path: Path, name: str | None = None) -> tuple[Model, str]:
    """Read one model's predictions; return it, called by its arm unless `name` is given, and the data's fingerprint."""
    splits, facts = predictions.read(path)
    model = Model(name or facts["arm"], facts["arm"], facts["seed"], facts["missing_rate"], facts["budget"], splits)
    return model, facts["fingerprint"]


def check_same_samples(models: Sequence[Model], main: Model) -> None:
    """Raise DataError if a model's predictions are not on the samples of `main` in the same order."""
    for model in models:
        for split, expected in main.splits.items():
            other = model.splits[split]
            if other.modalities != expected.modalities:
                raise DataError(
                    f"{model.name}: predicts from modalities {', '.join(other.modalities)}, {main.name} from "
                    f"{', '.join(expected.modalities)}; they cannot be compared"
                )
            for field_name in ("key", "label", "present"):
                if not torch.equal(getattr(other, field_name), getattr(expected, field_name)):
                    raise DataError(
                        f"{model.name}: its {split} predictions differ from those of {main.name} in {field_name}; "
                        "only predictions on the same samples in the same order can be compared"
                    )


def arms(
    models: Sequence[Model], main: Model, figures: Mapping[Model, Figures], resamples: Resamples, *, seed: int
) -> list[dict[str, Any]]:
    """Return `arms` of accounting.json: mean and spread over seeds of all models of one arm and missing rate.

    If a seed was run more than once, its models are averaged first. `versus` compares with this run's arm on the seeds
    that both have; it is empty if they share none. Its p values are corrected by Holm's method over all patterns of all
    arms together: they stand in one report, and whoever looks for the one that is better looks at all of them.
    """
    same = _by_training(models)
    versus = _versus({training: _by_seed(group) for training, group in same.items()}, main, resamples, seed)
    modalities, patterns = main.splits["test"].modalities, main.splits["test"].patterns()
    rows = []
    for training, group in same.items():
        seeds = _by_seed(group).values()
        rows.append(
            {
                "arm": group[0].arm,
                "missing_rate": None if group[0].missing_rate is None else dict(group[0].missing_rate),
                "num_seeds": len(seeds),
                "patterns": {
                    pattern_name(pattern, modalities): {
                        metric: _over_seeds(
                            [[figures[model][pattern][metric] for model in seed_models] for seed_models in seeds]
                        )
                        for metric in next(iter(figures.values()))[pattern]
                    }
                    for pattern in patterns
                },
                "versus": versus.get(training),
            }
        )
    return rows


def matrices(models: Sequence[Model], rates: Sequence[float]) -> list[dict[str, Any]]:
    """Return `matrices` of accounting.json: expected accuracy by training rate (row) and test rate (column).

    For every arm that was trained at two or more rates, each the same for all modalities. In testing, modalities are
    missing independently; the prior is the prediction for a sample left with nothing. Mean over seeds, on test data. None
    of so many modalities that not every pattern is on file.
    """
    results: list[dict[str, Any]] = []
    if models and not models[0].tables["test"].is_known([0.5] * len(models[0].splits["test"].modalities)):
        return results
    for arm in dict.fromkeys(model.arm for model in models):
        equal = [model for model in models if model.arm == arm and len(set((model.missing_rate or {}).values())) == 1]
        trained = sorted({_only_rate(model) for model in equal})
        if len(trained) < 2:
            continue
        rows = []
        for rate in trained:
            expected = [_expected_accuracy(model, rates) for model in equal if _only_rate(model) == rate]
            rows.append([round(value, 6) for value in torch.stack(expected).mean(dim=0).tolist()])
        results.append({"arm": arm, "train_rates": trained, "test_rates": list(rates), "accuracy": rows})
    return results


def gate_never_below(
    main: Model, uni: Model, *, seed: int, replicates: int, significance: float = 0.05
) -> dict[str, Any]:
    """Return the gate that fails if the model is significantly worse than the best tower of a set.

    For every pattern a paired one-sided test over clusters, Holm-corrected over patterns. The tower is the one with the
    highest accuracy on these same test samples: that favours the towers, so the gate is not made easier.
    """
    check_same_samples([uni], main)
    test, towers = main.splits["test"], uni.tables["test"]
    rivals: list[Rival] = []
    for pattern in test.patterns():
        rows = test.has(pattern)
        alone = [
            tuple(other == m for other in range(len(pattern))) for m, is_present in enumerate(pattern) if is_present
        ]
        best = max(alone, key=lambda tower: towers.share_correct[tower][rows].mean().item())
        rivals.append((pattern, f"tower {pattern_name(best, test.modalities)}", towers.share_correct[best]))
    failures = _above(main, rivals, seed=seed, replicates=replicates, significance=significance)
    return {
        "gate": "never below the uni-modal model",
        "passed": not failures,
        "checked": len(rivals),
        "failures": failures,
    }


def gate_baselines(
    main: Model, baselines: Sequence[Model], *, seed: int, replicates: int, significance: float = 0.05
) -> dict[str, Any]:
    """Return a gate that fails nothing; its findings are the patterns where a baseline is significantly better.

    The same test as `gate_never_below`, Holm-corrected over patterns and baselines.
    """
    check_same_samples(baselines, main)
    rivals = [
        (pattern, baseline.name, baseline.tables["test"].share_correct[pattern])
        for baseline in baselines
        for pattern in main.splits["test"].patterns()
    ]
    failures = _above(main, rivals, seed=seed, replicates=replicates, significance=significance)
    return as_finding(
        {
            "gate": f"not below {' and '.join(baseline.name for baseline in baselines)}",
            "passed": not failures,
            "checked": len(rivals),
            "failures": failures,
        }
    )


def _above(main: Model, rivals: Sequence[Rival], *, seed: int, replicates: int, significance: float) -> list[str]:
    """Return a sentence for each rival that is significantly more accurate than the model on the same test samples."""
    test, ours = main.splits["test"], main.tables["test"]
    differences = [
        torch.where(test.has(pattern), ours.share_correct[pattern] - is_correct, 0.0)
        for pattern, _, is_correct in rivals
    ]
    flips = enough_flips(replicates, len(rivals), significance)
    chances = holm(sign_flip(torch.stack(differences, dim=1), test.group, seed=seed, flips=flips).less).tolist()
    sentences = []
    for (pattern, name, is_correct), chance in zip(rivals, chances, strict=True):
        if chance < significance:
            accuracy, rival = ours.accuracy(pattern), is_correct[test.has(pattern)].mean().item()
            sentences.append(
                f"{main.arm}, {pattern_name(pattern, test.modalities)}: accuracy {accuracy:.3f}, {name} {rival:.3f}: "
                f"{rival - accuracy:.3f} lower (p {chance:.1g} after Holm)"
            )
    return sentences


def as_finding(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a gate that is not enforced: it passes, its `failures` become `findings`. For arms that make no promise."""
    return {**gate, "passed": True, "failures": [], "findings": gate["failures"]}


def _versus(
    groups: Mapping[Any, Mapping[int, Sequence[Model]]], main: Model, resamples: Resamples, seed: int
) -> dict[Any, dict[str, Any]]:
    """Return {training: {pattern: paired difference of accuracy, with interval and p}} for all other trainings."""
    test, ours = main.splits["test"], groups[main.training]
    patterns = test.patterns()
    rows = [test.has(pattern) for pattern in patterns]
    others = {training: ours.keys() & group.keys() for training, group in groups.items() if training != main.training}
    differences = {
        training: [
            torch.stack(
                [
                    _share_correct(groups[training][number], pattern) - _share_correct(ours[number], pattern)
                    for number in sorted(shared)
                ]
            ).mean(dim=0)
            for pattern in patterns
        ]
        for training, shared in others.items()
        if shared
    }
    results: dict[Any, dict[str, Any]] = {training: {} for training in others}
    if not differences:
        return results
    columns = [
        torch.where(has, difference, 0.0)
        for by_pattern in differences.values()
        for has, difference in zip(rows, by_pattern, strict=True)
    ]
    chances = sign_flip(
        torch.stack(columns, dim=1), test.group, seed=seed, flips=enough_flips(len(resamples.weight) - 1, len(columns))
    ).different
    each = chances.split(len(patterns)), holm(chances).split(len(patterns))
    for (training, by_pattern), p, p_holm in zip(differences.items(), *each, strict=True):
        results[training] = {
            pattern_name(pattern, test.modalities): {
                "difference": bootstrap.difference(resamples.mean(difference, has), resamples.clusters_of(has)),
                "p": rounded(raw),
                "p_holm": rounded(corrected),
            }
            for pattern, difference, has, raw, corrected in zip(
                patterns, by_pattern, rows, p.tolist(), p_holm.tolist(), strict=True
            )
        }
    return results


def _share_correct(models: Sequence[Model], pattern: Pattern) -> torch.Tensor:
    return torch.stack([model.tables["test"].share_correct[pattern] for model in models]).mean(dim=0)


def _over_seeds(values: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Return mean and spread (the sample's standard deviation) of the defined values; `values` by seed and model."""
    means = [fmean(defined) for seed in values if (defined := [value for value in seed if value is not None])]
    return {
        "mean": rounded(fmean(means)) if means else None,
        "spread": rounded(stdev(means)) if len(means) > 1 else None,
        "n": len(means),
    }


def _by_training(models: Sequence[Model]) -> dict[Any, list[Model]]:
    groups: dict[Any, list[Model]] = {}
    for model in models:
        groups.setdefault(model.training, []).append(model)
    return groups


def _by_seed(models: Sequence[Model]) -> dict[int, list[Model]]:
    ordered = sorted(models, key=lambda model: model.seed)
    return {seed: list(group) for seed, group in groupby(ordered, key=lambda model: model.seed)}


def _only_rate(model: Model) -> float:
    return next(iter((model.missing_rate or {}).values()))


def _expected_accuracy(model: Model, rates: Sequence[float]) -> torch.Tensor:
    table = model.tables["test"]
    every_rate = torch.tensor(rates, dtype=torch.float64)[:, None].expand(-1, len(table.modalities))
    return table.expected_many(every_rate)["accuracy"]
