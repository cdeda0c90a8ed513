"""Models that answered the same samples, side by side: arms over seeds, arms against this run, the uni-modal gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from statistics import fmean, stdev
from typing import Any

import torch

from umemma.errors import DataError
from umemma.evaluation.bootstrap import Resamples, enough_flips, holm, interval, rounded, sign_flip
from umemma.evaluation.robustness import Table
from umemma.missingness import Pattern, pattern_name
from umemma.prediction.predictions import Predictions

UNI = "uni"  # the arm of the towers: under {m} tower m alone, under a larger set the best tower of the set
Figures = Mapping[Pattern, Mapping[str, float | None]]  # accuracy, cross_entropy, utilisation; of several labels F1


@dataclass(frozen=True, eq=False)
class Model:
    """A model that was asked about validation and test data. Two models are equal only where they are one object.

    missing_rate  each modality's in training, None where that says nothing (a specialist)
    budget        training samples that an encoder saw, in all; None where it is not known
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
        """What is right and how surprising, for every split."""
        return {split: Table(one) for split, one in self.splits.items()}

    @property
    def training(self) -> tuple[str, tuple[tuple[str, float], ...] | None]:
        """What models that differ only by seed share: arm and missing rates."""
        return self.arm, None if self.missing_rate is None else tuple(self.missing_rate.items())


def check_same_samples(models: Sequence[Model], main: Model) -> None:
    """Raise DataError where a model answered other samples than `main`, or the same in another order."""
    for model in models:
        for split, own in main.splits.items():
            other = model.splits[split]
            if other.modalities != own.modalities:
                raise DataError(
                    f"{model.name}: answers modalities {', '.join(other.modalities)}, {main.name} answers "
                    f"{', '.join(own.modalities)}; they cannot be compared"
                )
            for what in ("key", "label", "present"):
                if not torch.equal(getattr(other, what), getattr(own, what)):
                    raise DataError(
                        f"{model.name}: its {split} answers differ from those of {main.name} in {what}; "
                        "only answers to the same samples in the same order can be compared"
                    )


def arms(
    models: Sequence[Model], main: Model, figures: Mapping[Model, Figures], resamples: Resamples, *, seed: int
) -> list[dict[str, Any]]:
    """Return `arms` of accounting.json: mean and spread over seeds of all models of one arm and missing rate.

    Where a seed was run more than once, its models are averaged first. `versus` compares with this run's arm on the
    seeds that both have; it is empty where they share none.
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
                        metric: _over_seeds([[figures[model][pattern][metric] for model in one] for one in seeds])
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

    For every arm that was trained at two rates or more, each the same for all modalities. In testing, modalities are
    missing independently; a sample left with nothing is answered by the prior. The mean over seeds, on test data.
    """
    found = []
    for arm in dict.fromkeys(model.arm for model in models):
        equal = [model for model in models if model.arm == arm and len(set((model.missing_rate or {}).values())) == 1]
        trained = sorted({_only_rate(model) for model in equal})
        if len(trained) < 2:
            continue
        rows = []
        for rate in trained:
            expected = [_expected_accuracy(model, rates) for model in equal if _only_rate(model) == rate]
            rows.append([round(value, 6) for value in torch.stack(expected).mean(dim=0).tolist()])
        found.append({"arm": arm, "train_rates": trained, "test_rates": list(rates), "accuracy": rows})
    return found


def gate_never_below(
    main: Model, uni: Model, *, seed: int, replicates: int, significance: float = 0.05
) -> dict[str, Any]:
    """Return the gate that fails where the model is worse than the best tower of a set by more than chance.

    For every pattern a paired one-sided test over clusters, Holm-corrected over patterns. The tower is the one that is
    most often right on the very test samples: that flatters the towers, so the gate is not made easier.
    """
    check_same_samples([uni], main)
    test, ours, towers = main.splits["test"], main.tables["test"], uni.tables["test"]
    patterns = test.patterns()
    best, differences = [], []
    for pattern in patterns:
        rows = test.has(pattern)
        alone = [tuple(place == m for place in range(len(pattern))) for m, there in enumerate(pattern) if there]
        best.append(max(alone, key=lambda one: towers.share_correct[one][rows].mean().item()))
        differences.append(torch.where(rows, ours.share_correct[pattern] - towers.share_correct[best[-1]], 0.0))
    p = holm(
        sign_flip(
            torch.stack(differences, dim=1),
            test.group,
            seed=seed,
            flips=enough_flips(replicates, len(patterns), significance),
        ).less
    ).tolist()
    failures = []
    for pattern, tower, chance in zip(patterns, best, p, strict=True):
        if chance < significance:
            own, other = ours.accuracy(pattern), towers.share_correct[tower][test.has(pattern)].mean().item()
            failures.append(
                f"{main.arm}, {pattern_name(pattern, test.modalities)}: accuracy {own:.3f}, tower "
                f"{pattern_name(tower, test.modalities)} {other:.3f}: {other - own:.3f} lower "
                f"(p {chance:.1g} after Holm)"
            )
    return {
        "gate": "never below the uni-modal model",
        "passed": not failures,
        "checked": len(patterns),
        "failures": failures,
    }


def as_finding(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a gate that is not judged: it passes, and its `failures` become `findings`. For what nothing promises."""
    return {**gate, "passed": True, "failures": [], "findings": gate["failures"]}


def _versus(
    groups: Mapping[Any, Mapping[int, Sequence[Model]]], main: Model, resamples: Resamples, seed: int
) -> dict[Any, dict[str, Any]]:
    """Return for every other training the paired difference of accuracy, with interval and p, of every pattern."""
    test, ours = main.splits["test"], groups[main.training]
    patterns = test.patterns()
    rows = [test.has(pattern) for pattern in patterns]
    others = {training: ours.keys() & group.keys() for training, group in groups.items() if training != main.training}
    differences = {
        training: [
            torch.stack(
                [
                    _share_right(groups[training][one], pattern) - _share_right(ours[one], pattern)
                    for one in sorted(shared)
                ]
            ).mean(dim=0)
            for pattern in patterns
        ]
        for training, shared in others.items()
        if shared
    }
    found: dict[Any, dict[str, Any]] = {training: {} for training in others}
    if not differences:
        return found
    columns = [
        torch.where(kept, one, 0.0) for many in differences.values() for kept, one in zip(rows, many, strict=True)
    ]
    chances = sign_flip(
        torch.stack(columns, dim=1), test.group, seed=seed, flips=enough_flips(len(resamples.weight) - 1, len(patterns))
    ).different
    for (training, many), p in zip(differences.items(), chances.split(len(patterns)), strict=True):
        found[training] = {
            pattern_name(pattern, test.modalities): {
                "difference": interval(resamples.mean(one, kept)),
                "p": rounded(raw),
                "p_holm": rounded(corrected),
            }
            for pattern, one, kept, raw, corrected in zip(
                patterns, many, rows, p.tolist(), holm(p).tolist(), strict=True
            )
        }
    return found


def _share_right(models: Sequence[Model], pattern: Pattern) -> torch.Tensor:
    return torch.stack([model.tables["test"].share_correct[pattern] for model in models]).mean(dim=0)


def _over_seeds(values: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Return mean and spread (the sample's standard deviation) of what is defined; `values`: of every seed's models."""
    kept = [fmean(defined) for one in values if (defined := [value for value in one if value is not None])]
    return {
        "mean": rounded(fmean(kept)) if kept else None,
        "spread": rounded(stdev(kept)) if len(kept) > 1 else None,
        "n": len(kept),
    }


def _by_training(models: Sequence[Model]) -> dict[Any, list[Model]]:
    found: dict[Any, list[Model]] = {}
    for model in models:
        found.setdefault(model.training, []).append(model)
    return found


def _by_seed(models: Sequence[Model]) -> dict[int, list[Model]]:
    ordered = sorted(models, key=lambda model: model.seed)
    return {seed: list(group) for seed, group in groupby(ordered, key=lambda model: model.seed)}


def _only_rate(model: Model) -> float:
    return next(iter((model.missing_rate or {}).values()))


def _expected_accuracy(model: Model, rates: Sequence[float]) -> torch.Tensor:
    table = model.tables["test"]
    every_rate = torch.tensor(rates, dtype=torch.float64)[:, None].expand(-1, len(table.modalities))
    return table.expected_many(every_rate)["accuracy"]
